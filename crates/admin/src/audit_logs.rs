//! `/organization/audit_logs`: the audit log.

mod verification;
pub mod verify;

use std::collections::BTreeSet;

use base::event_type;
use base::ids::AuditLogId;
use base::{Error, EventType, Permission, Result, UnixTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use store::{Order, PageRequest, Row};

use crate::list::{List, list_item};
use crate::operation::{
    Limit, Operation, Organization, Read, Separated, TenantStatement, operations,
};
use crate::{args, column, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/organization/audit_logs";
    let mut all = operations! {
        GET "audit-logs list", ALL, Permission::AuditLogsRead, "Lists audit log entries, newest first.", list;
    };
    all.extend(verification::operations());
    all
}

/// An entry of the audit log. The details are in a field that is named after the type.
#[derive(Debug, Serialize)]
pub struct AuditLog {
    id: AuditLogId,
    r#type: String,
    effective_at: UnixTime,
    #[serde(skip_serializing_if = "Json::is_null")]
    actor: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<AuditProject>,
    #[serde(flatten)]
    details: Map<String, Json>,
}

#[derive(Debug, Serialize)]
struct AuditProject {
    id: String,
    name: String,
}

/// Returns the schema of event types: all that the contract names, and those of this program.
fn event_type_schema() -> Schema {
    let ours = EventType::ALL.iter().map(|kind| kind.as_str().to_owned());
    let names: BTreeSet<String> = event_type::published().chain(ours).collect();
    json_schema!({ "type": "string", "enum": names })
}

impl JsonSchema for AuditLog {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AuditLog".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = || json_schema!({ "type": "string" });
        let user =
            json_schema!({ "type": "object", "properties": { "id": text(), "email": text() } });
        let account = json_schema!({ "type": "object", "properties": { "id": text() } });
        json_schema!({
            "type": "object",
            "required": ["id", "type", "effective_at"],
            "properties": {
                "id": text(),
                "type": event_type_schema(),
                "effective_at": { "type": "integer" },
                "project": { "type": "object", "properties": { "id": text(), "name": text() } },
                "actor": { "type": ["object", "null"], "properties": {
                    "type": { "type": "string", "enum": ["session", "api_key"] },
                    "session": { "type": "object", "properties": { "user": user, "ip_address": text() } },
                    "api_key": { "type": "object", "properties": {
                        "id": text(),
                        "type": { "type": "string", "enum": ["user", "service_account"] },
                        "ip_address": text(),
                        "user": user,
                        "service_account": account,
                    } },
                } },
            },
            "additionalProperties": { "type": "object" },
        })
    }
}

impl AuditLog {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let project: (Option<String>, Option<String>) =
            (row.get("project_id")?, row.get("project_name")?);
        let kind: String = row.get("type")?;
        Ok(Self {
            id: row.id("id")?,
            effective_at: row.time("effective_at")?,
            actor: column::json(row, "actor")?,
            project: project
                .0
                .zip(project.1)
                .map(|(id, name)| AuditProject { id, name }),
            details: Map::from_iter([(kind.clone(), column::json(row, "payload")?)]),
            r#type: kind,
        })
    }
}

list_item!(AuditLog, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListAuditLogs {
    /// Only events in this period.
    effective_at: Option<EffectiveAt>,
    /// Only events in these projects.
    #[serde(default)]
    project_ids: Separated<String>,
    /// Only events of these types.
    #[serde(default)]
    #[schemars(schema_with = "event_types_schema")]
    event_types: Separated<String>,
    /// Only events by these users, service accounts or keys.
    #[serde(default)]
    actor_ids: Separated<String>,
    /// Only events by users with these e-mail addresses.
    #[serde(default)]
    actor_emails: Separated<String>,
    /// Only events about these resources.
    #[serde(default)]
    resource_ids: Separated<String>,
    /// Only events of the tenant above the organization.
    #[serde(default)]
    tenant_only: bool,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// Id of the last entry of the previous page.
    after: Option<String>,
    /// Id of the first entry of the next page.
    before: Option<String>,
}

fn event_types_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": event_type_schema() })
}

/// A period, in Unix seconds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct EffectiveAt {
    gt: Option<i64>,
    gte: Option<i64>,
    lt: Option<i64>,
    lte: Option<i64>,
}

const LOGS: &str = "\
    SELECT id, type, effective_at, actor, project_id, project_name, payload FROM audit_logs \
    WHERE organization_id = $1";

async fn list(mut cx: Read, _: Organization, query: ListAuditLogs) -> Result<List<AuditLog>> {
    check_types(&query)?;
    let whole = tenant_sql!(cx, LOGS, args![]);
    let mut list = whole.clone();
    filter(&mut list, &query);
    let request = PageRequest {
        limit: query.limit.0,
        after: query.after,
        before: query.before,
        order: Order::Descending,
    };
    cx.list(&request, list, whole, "id", AuditLog::read).await
}

/// Refuses unknown event types and, with `tenant_only`, those that are not a tenant's.
fn check_types(query: &ListAuditLogs) -> Result<()> {
    for (index, name) in query.event_types.iter().enumerate() {
        let param = format!("event_types[{index}]");
        let shown = base::shown(name);
        if name.parse::<EventType>().is_err() && !event_type::is_published(name) {
            return Err(Error::invalid(
                param,
                format!("'{shown}' is no event type."),
            ));
        }
        if query.tenant_only && !event_type::is_of_tenant(name) {
            let message = format!(
                "With tenant_only every event type must be tenant-scoped; '{shown}' is not."
            );
            return Err(Error::invalid(param, message));
        }
    }
    Ok(())
}

fn filter(list: &mut TenantStatement, query: &ListAuditLogs) {
    if let Some(at) = &query.effective_at {
        let bounds = [
            (" > ", at.gt),
            (" >= ", at.gte),
            (" < ", at.lt),
            (" <= ", at.lte),
        ];
        for (comparison, bound) in bounds {
            if let Some(bound) = bound {
                list.push(" AND effective_at").push(comparison).bind(bound);
            }
        }
    }
    let push_in = |list: &mut TenantStatement, text, values: &[String]| {
        list.push(text).bind_list(values.to_vec());
    };
    if query.event_types.is_empty() {
        list.push(" AND type NOT LIKE 'x.%'");
    } else {
        push_in(list, " AND type IN ", &query.event_types);
    }
    if query.tenant_only {
        list.push(" AND (type LIKE 'tenant.%' OR type IN ")
            .bind_list(event_type::UNPREFIXED_TENANT_EVENTS)
            .push(")");
    }
    if !query.project_ids.is_empty() {
        push_in(list, " AND project_id IN ", &query.project_ids);
    }
    if !query.actor_ids.is_empty() {
        push_in(list, " AND (actor_id IN ", &query.actor_ids);
        push_in(list, " OR actor_key_id IN ", &query.actor_ids);
        list.push(")");
    }
    if !query.actor_emails.is_empty() {
        let emails = query.actor_emails.iter().map(|email| email.to_lowercase());
        list.push(" AND actor_email IN ").bind_list(emails);
    }
    if !query.resource_ids.is_empty() {
        push_in(list, " AND (resource_id IN ", &query.resource_ids);
        list.push(
            " OR id IN (SELECT audit_log_id FROM audit_log_targets WHERE organization_id = $1",
        );
        push_in(list, " AND resource_id IN ", &query.resource_ids);
        list.push("))");
    }
}
