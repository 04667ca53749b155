//! `/organization/projects/{project_id}/model_permissions`: permissions for models.

use std::collections::BTreeSet;

use base::name::VISIBLE;
use base::{Error, Permission, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::{DeletableSetting, ModelListMode, ModelPermissions};

use super::ConfiguredProject;
use crate::literal::literals;
use crate::operation::Operation;
use crate::setting::{DeletableResource, SettingPath, SettingResource};

pub(crate) fn operations() -> Vec<Operation> {
    let at = SettingPath {
        path: "/organization/projects/{project_id}/model_permissions",
        read: Permission::ProjectSettingsRead,
        write: Permission::ProjectSettingsWrite,
    };
    vec![
        at.retrieve::<ModelPermissions, ConfiguredProject>(
            "projects:model-permissions retrieve",
            "Retrieves the project's model permissions.",
        ),
        at.update::<ModelPermissions, ConfiguredProject>(
            "projects:model-permissions update",
            "Replaces the project's model permissions.",
        ),
        at.delete::<ModelPermissions, ConfiguredProject>(
            "projects:model-permissions delete",
            "Deletes the project's model permissions, so that every model may be called.",
        ),
    ]
}

literals! {
    ModelPermissionsObject = "project.model_permissions";
    ModelPermissionsDeleted = "project.model_permissions.deleted";
}

/// Models that a project may or may not call.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ModelPermissions")]
pub struct ModelPermissionsAnswer {
    object: ModelPermissionsObject,
    mode: ModelListMode,
    model_ids: Vec<String>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetModelPermissions {
    mode: ModelListMode,
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

impl SettingResource<ConfiguredProject> for ModelPermissions {
    type Body = SetModelPermissions;
    type Answer = ModelPermissionsAnswer;

    fn apply(_: Option<&Self>, body: SetModelPermissions) -> Result<Self> {
        body.check()?;
        Ok(Self {
            mode: body.mode,
            model_ids: body.model_ids,
        })
    }

    fn answer(permissions: Option<&Self>) -> Result<ModelPermissionsAnswer> {
        let permissions = permissions.ok_or_else(|| Error::not_set(Self::NOUN))?;
        Ok(ModelPermissionsAnswer {
            object: ModelPermissionsObject,
            mode: permissions.mode,
            model_ids: permissions.model_ids.clone(),
        })
    }
}

impl DeletableResource<ConfiguredProject> for ModelPermissions {
    type Deleted = ModelPermissionsDeleted;
}
