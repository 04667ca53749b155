//! Loading of settings from the database.

use std::collections::HashMap;
use std::sync::Arc;

use base::ids::{Id, OrganizationId, ProjectId};
use settings::{ENFORCED, ScopeSettings, Settings};
use store::{Connection, Result, Statement};

use super::invalidation::SettingsSelection;

/// Settings by project; those of the organization itself have an empty key.
type SettingsByProject = HashMap<String, ScopeSettings>;

/// Loads the selected settings; all others are those of `before`.
pub(super) async fn load_settings(
    connection: &mut Connection,
    organization: &OrganizationId,
    before: Option<&Settings>,
    selection: &SettingsSelection,
) -> Result<Settings> {
    let loaded = load_rows(connection, organization, selection).await?;
    let mut settings = match (selection, before) {
        (SettingsSelection::Organization | SettingsSelection::Project(_), Some(before)) => {
            before.clone()
        }
        _ => Settings::default(),
    };
    settings.organization = ScopeSettings::default();
    if let SettingsSelection::Project(project) = selection {
        settings.projects.remove(project);
    }
    for (project, scope) in loaded {
        if project.is_empty() {
            settings.organization = scope;
        } else {
            let project = ProjectId::from_text(project);
            settings.projects.insert(project, Arc::new(scope));
        }
    }
    Ok(settings)
}

async fn load_rows(
    connection: &mut Connection,
    organization: &OrganizationId,
    selection: &SettingsSelection,
) -> Result<SettingsByProject> {
    let mut all = SettingsByProject::new();
    for setting in ENFORCED {
        let statement = statement(setting.select_all, organization, selection);
        for (project, enforce) in connection.fetch_all(statement, setting.read).await? {
            enforce(all.entry(project).or_default());
        }
    }
    Ok(all)
}

fn statement(
    text: &'static str,
    organization: &OrganizationId,
    selection: &SettingsSelection,
) -> Statement {
    let mut statement = Statement::new(text, vec![organization.into()]);
    match selection {
        SettingsSelection::All => {}
        SettingsSelection::Organization => {
            statement.push(" AND s.project_id = ''");
        }
        SettingsSelection::Project(project) => {
            statement
                .push(" AND s.project_id IN ('', ")
                .bind(project)
                .push(")");
        }
    }
    statement
}
