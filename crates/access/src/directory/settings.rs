//! Reads what is set from the database.

use std::collections::HashMap;
use std::sync::Arc;

use base::NanoDollars;
use base::ids::{Id, OrganizationId, ProjectId};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use store::{Connection, Result, Row, Statement};

use crate::{
    Authority, HostedTool, HostedTools, Level, ModelLimits, ModelPolicy, Retention, Settings,
};

/// What is set where, by project; what is set for the organization is under an empty name.
type Levels = HashMap<String, Level>;

/// Where what is set may have changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere.
    Everywhere,
    /// In the organization itself, or in this project.
    At(Option<ProjectId>),
}

impl Place {
    /// Where a change of this type may have touched what is set; `project` is where it was made, or the default project. What
    /// is not known to spare it touches it everywhere.
    pub(super) fn of(kind: &str, project: Option<ProjectId>) -> Option<Self> {
        let kind = kind.strip_prefix("x.").unwrap_or(kind);
        if kind == "project.archived" {
            return Some(Self::At(project));
        }
        let noun = kind.split('.').next().unwrap_or_default();
        match noun {
            "rate_limit"
            | "certificates"
            | "model_permissions"
            | "hosted_tool_permissions"
            | "data_retention"
            | "spend_limit" => Some(Self::At(project)),
            // Nothing is in force before it is activated, and what is active cannot be deleted.
            "certificate" | "spend_alert" | "bodies" | "login" => None,
            "api_key" | "service_account" | "project" | "user" | "invite" | "group" | "role" => {
                None
            }
            _ => Some(Self::Everywhere),
        }
    }
}

const LIMITS: &str = "\
    SELECT s.project_id, s.model, s.max_requests_per_1_minute, s.max_tokens_per_1_minute, s.max_images_per_1_minute, \
           s.max_audio_megabytes_per_1_minute, s.max_requests_per_1_day, s.batch_1_day_max_input_tokens \
    FROM rate_limits s WHERE s.organization_id = $1";
const MODELS: &str = "SELECT s.project_id, s.mode, s.model_ids FROM model_permissions s WHERE s.organization_id = $1";
const TOOLS: &str = "\
    SELECT s.project_id, s.file_search, s.web_search, s.image_generation, s.mcp, s.code_interpreter \
    FROM hosted_tool_permissions s WHERE s.organization_id = $1";
const RETENTION: &str =
    "SELECT s.project_id, s.retention_type FROM data_retention s WHERE s.organization_id = $1";
const SPEND_LIMITS: &str =
    "SELECT s.project_id, s.threshold_amount FROM spend_limits s WHERE s.organization_id = $1";
const AUTHORITIES: &str = "\
    SELECT s.project_id, s.certificate_id, c.content FROM certificate_activations s \
    JOIN certificates c ON c.organization_id = s.organization_id AND c.id = s.certificate_id \
    WHERE s.organization_id = $1";

/// What is set now, where only `place` may differ from what was set `before`.
pub(super) async fn load(
    connection: &mut Connection,
    organization: &OrganizationId,
    before: Option<&Settings>,
    place: &Place,
) -> Result<Settings> {
    let levels = levels(connection, organization, place).await?;
    let mut settings = match (place, before) {
        (Place::At(_), Some(before)) => before.clone(),
        _ => Settings::default(),
    };
    settings.organization = Level::default();
    if let Place::At(Some(project)) = place {
        settings.projects.remove(project);
    }
    for (project, level) in levels {
        if project.is_empty() {
            settings.organization = level;
        } else {
            let project = ProjectId::from_text(project);
            settings.projects.insert(project, Arc::new(level));
        }
    }
    Ok(settings)
}

async fn levels(
    connection: &mut Connection,
    organization: &OrganizationId,
    place: &Place,
) -> Result<Levels> {
    let mut all = Levels::new();
    let at = |text| statement(text, organization, place);
    let rows = connection.fetch_all(at(LIMITS), |row| {
        Ok((row.get("project_id")?, ModelLimits::read(row)?))
    });
    for (project, (model, limits)) in rows.await? {
        all.entry(project).or_default().limits.insert(model, limits);
    }
    let rows = connection.fetch_all(at(MODELS), |row| Ok((row.get("project_id")?, policy(row)?)));
    for (project, policy) in rows.await? {
        all.entry(project).or_default().models = Some(policy);
    }
    let rows = connection.fetch_all(at(TOOLS), |row| Ok((row.get("project_id")?, tools(row)?)));
    for (project, tools) in rows.await? {
        all.entry(project).or_default().tools = tools;
    }
    let rows = connection.fetch_all(at(RETENTION), |row| {
        Ok((row.get("project_id")?, retention(row)?))
    });
    for (project, retention) in rows.await? {
        all.entry(project).or_default().retention = retention;
    }
    let rows = connection.fetch_all(at(SPEND_LIMITS), |row| {
        Ok((row.get("project_id")?, spend_limit(row)?))
    });
    for (project, limit) in rows.await? {
        all.entry(project).or_default().spend_limit = Some(limit);
    }
    let rows = connection.fetch_all(at(AUTHORITIES), |row| {
        Ok((row.get("project_id")?, authority(row)?))
    });
    for (project, (id, authority)) in rows.await? {
        let level = all.entry(project).or_default();
        level.authorities.insert(id, authority);
    }
    Ok(all)
}

fn statement(text: &'static str, organization: &OrganizationId, place: &Place) -> Statement {
    let mut statement = Statement::new(text, vec![organization.into()]);
    match place {
        Place::Everywhere => {}
        Place::At(None) => {
            statement.push(" AND s.project_id = ''");
        }
        Place::At(Some(project)) => {
            statement
                .push(" AND s.project_id IN ('', ")
                .bind(project)
                .push(")");
        }
    }
    statement
}

fn policy(row: &Row<'_>) -> Result<ModelPolicy> {
    Ok(ModelPolicy {
        is_allow_list: row.word("mode", |mode| match mode {
            "allow_list" => Some(true),
            "deny_list" => Some(false),
            _ => None,
        })?,
        names: row.word("model_ids", |names| serde_json::from_str(names).ok())?,
    })
}

fn tools(row: &Row<'_>) -> Result<HostedTools> {
    let mut tools = HostedTools::default();
    for tool in HostedTool::ALL {
        if !row.get::<bool>(tool.as_str())? {
            tools.remove(*tool);
        }
    }
    Ok(tools)
}

/// None where a project has what its organization has.
fn retention(row: &Row<'_>) -> Result<Option<Retention>> {
    row.word("retention_type", Retention::of_word)
}

fn spend_limit(row: &Row<'_>) -> Result<NanoDollars> {
    Ok(NanoDollars::from_cents(row.get("threshold_amount")?))
}

fn authority(row: &Row<'_>) -> Result<(String, Authority)> {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).ok();
    let authority = Authority::new(&row.word("content", read)?);
    Ok((row.get("certificate_id")?, authority))
}
