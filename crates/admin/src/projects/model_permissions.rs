//! `/organization/projects/{project_id}/model_permissions`: permissions for models.

use std::collections::BTreeSet;

use base::name::VISIBLE;
use base::{Error, Permission, Result};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::{ModelListMode, ModelPermissions, RowSetting, Setting};

use super::ConfiguredProject;
use crate::list::Unset;
use crate::literal::literals;
use crate::operation::{Done, Event, EventType, NoParameters, Operation, Read, Write, read, write};
use crate::{args, setting, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectSettingsRead, ProjectSettingsWrite};
    const ONE: &str = "/organization/projects/{project_id}/model_permissions";
    vec![
        read(
            "projects:model-permissions retrieve",
            ONE,
            ProjectSettingsRead,
            "Retrieves the project's model permissions.",
            retrieve,
        ),
        write(
            "projects:model-permissions update",
            Method::POST,
            ONE,
            ProjectSettingsWrite,
            "Replaces the project's model permissions.",
            update,
        ),
        write(
            "projects:model-permissions delete",
            Method::DELETE,
            ONE,
            ProjectSettingsWrite,
            "Deletes the project's model permissions, so that every model may be called.",
            delete,
        ),
    ]
}

literals! {
    ModelPermissionsObject = "project.model_permissions";
    ModelPermissionsDeleted = "project.model_permissions.deleted";
}

/// Models that a project may or may not call.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ModelPermissions")]
pub struct ModelPermissionsAnswer {
    object: ModelPermissionsObject,
    mode: Mode,
    model_ids: Vec<String>,
}

/// Meaning of `model_ids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Mode {
    /// Only the listed models may be called.
    AllowList,
    /// All models but the listed ones may be called.
    DenyList,
}

impl From<ModelListMode> for Mode {
    fn from(mode: ModelListMode) -> Self {
        match mode {
            ModelListMode::AllowList => Self::AllowList,
            ModelListMode::DenyList => Self::DenyList,
        }
    }
}

impl From<Mode> for ModelListMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::AllowList => Self::AllowList,
            Mode::DenyList => Self::DenyList,
        }
    }
}

impl From<ModelPermissions> for ModelPermissionsAnswer {
    fn from(permissions: ModelPermissions) -> Self {
        Self {
            object: ModelPermissionsObject,
            mode: permissions.mode.into(),
            model_ids: permissions.model_ids,
        }
    }
}

fn not_set() -> Error {
    Error::not_set("The policy for models")
}

async fn retrieve(
    mut cx: Read,
    project: ConfiguredProject,
    _: NoParameters,
) -> Result<ModelPermissionsAnswer> {
    let one = tenant_sql!(cx, ModelPermissions::SELECT_ONE, args![&project.id]);
    let found = cx.fetch_optional(one, ModelPermissions::read).await?;
    Ok(found.ok_or_else(not_set)?.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetModelPermissions {
    mode: Mode,
    /// Names of models, without duplicates. They need not be configured yet.
    #[schemars(schema_with = "model_names")]
    model_ids: Vec<String>,
}

/// The most models in a list.
const MAX_MODELS: usize = 1000;
/// Maximum length of a model's name, in characters.
const MAX_NAME_LEN: usize = 256;

fn model_names(_: &mut SchemaGenerator) -> Schema {
    let name =
        json!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME_LEN, "pattern": VISIBLE });
    json_schema!({ "type": "array", "maxItems": MAX_MODELS, "uniqueItems": true, "items": name })
}

impl SetModelPermissions {
    fn check(&self) -> Result<()> {
        if self.model_ids.len() > MAX_MODELS {
            let message = format!("model_ids must have at most {MAX_MODELS} names.");
            return Err(Error::invalid("model_ids", message));
        }
        let mut seen = BTreeSet::new();
        for (index, name) in self.model_ids.iter().enumerate() {
            let param = format!("model_ids[{index}]");
            if name.trim().is_empty()
                || name.chars().count() > MAX_NAME_LEN
                || name.chars().any(char::is_control)
            {
                let message = format!(
                    "{param} must be the name of a model: 1 to {MAX_NAME_LEN} characters, no control characters."
                );
                return Err(Error::invalid(param, message));
            }
            if !seen.insert(name) {
                let message = format!("{param} repeats '{name}'.");
                return Err(Error::invalid(param, message));
            }
        }
        Ok(())
    }
}

async fn update(
    mut cx: Write,
    project: ConfiguredProject,
    body: SetModelPermissions,
) -> Result<Done<ModelPermissionsAnswer>> {
    body.check()?;
    let one = tenant_sql!(cx, ModelPermissions::SELECT_ONE, args![&project.id]);
    let old = cx.fetch_optional(one, ModelPermissions::read).await?;
    let requested = json!({"mode": body.mode, "model_ids": body.model_ids});
    let new = ModelPermissions {
        mode: body.mode.into(),
        model_ids: body.model_ids,
    };
    if old.is_some_and(|old| old == new) {
        return Ok(cx.unchanged(new.into()));
    }
    setting::save(&mut cx, &project, &new).await?;
    let details = json!({"changes_requested": requested});
    let event = Event::new(EventType::ModelPermissionsUpdated, &project.id, details);
    Ok(cx.done(event, new.into()))
}

async fn delete(
    mut cx: Write,
    project: ConfiguredProject,
    _: NoParameters,
) -> Result<Done<Unset<ModelPermissionsDeleted>>> {
    if !setting::delete::<ModelPermissions>(&mut cx, &project).await? {
        return Err(not_set());
    }
    let event = Event::new(EventType::ModelPermissionsDeleted, &project.id, json!({}));
    Ok(cx.done(event, Unset::done()))
}
