//! `/organization/projects/{project_id}/model_permissions`: which models a project may call.

use std::collections::BTreeSet;

use base::name::VISIBLE;
use base::{Error, Permission, Result};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;

use super::ConfiguredProject;
use crate::list::Unset;
use crate::literal::literals;
use crate::operation::{Done, Event, EventType, Nothing, Operation, Read, Write, read, write};
use crate::{args, column, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectSettingsRead, ProjectSettingsWrite};
    const ONE: &str = "/organization/projects/{project_id}/model_permissions";
    vec![
        read(
            "projects:model-permissions retrieve",
            ONE,
            ProjectSettingsRead,
            "Retrieves which models the project may call.",
            retrieve,
        ),
        write(
            "projects:model-permissions update",
            Method::POST,
            ONE,
            ProjectSettingsWrite,
            "Sets which models the project may call, in the place of what was set.",
            update,
        ),
        write(
            "projects:model-permissions delete",
            Method::DELETE,
            ONE,
            ProjectSettingsWrite,
            "Lets the project call every model again.",
            delete,
        ),
    ]
}

literals! {
    ModelPermissionsObject = "project.model_permissions";
    ModelPermissionsDeleted = "project.model_permissions.deleted";
}

/// Which models a project may call.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelPermissions {
    object: ModelPermissionsObject,
    mode: Mode,
    model_ids: Vec<String>,
}

/// What a list of models means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Mode {
    /// Only these.
    AllowList,
    /// All but these.
    DenyList,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::AllowList => "allow_list",
            Self::DenyList => "deny_list",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::AllowList, Self::DenyList]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }
}

impl ModelPermissions {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: ModelPermissionsObject,
            mode: row.word("mode", Mode::parse)?,
            model_ids: column::json(row, "model_ids")?,
        })
    }
}

const ONE: &str = "\
    SELECT mode, model_ids FROM model_permissions WHERE organization_id = $1 AND project_id = $2";

fn not_set() -> Error {
    Error::not_set("The policy for models")
}

async fn retrieve(
    mut cx: Read,
    project: ConfiguredProject,
    _: Nothing,
) -> Result<ModelPermissions> {
    let one = tenant_sql!(cx, ONE, args![&project.id]);
    let found = cx.fetch_optional(one, ModelPermissions::read).await?;
    found.ok_or_else(not_set)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetModelPermissions {
    mode: Mode,
    /// Names of models, each once; they need not be known yet.
    #[schemars(schema_with = "model_names")]
    model_ids: Vec<String>,
}

/// The most models in a policy.
const MOST_MODELS: usize = 1000;
/// The longest name of a model, in characters.
const LONGEST: usize = 256;

fn model_names(_: &mut SchemaGenerator) -> Schema {
    let name =
        json!({ "type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": VISIBLE });
    json_schema!({ "type": "array", "maxItems": MOST_MODELS, "uniqueItems": true, "items": name })
}

impl SetModelPermissions {
    fn check(&self) -> Result<()> {
        if self.model_ids.len() > MOST_MODELS {
            let message = format!("model_ids must have at most {MOST_MODELS} names.");
            return Err(Error::invalid("model_ids", message));
        }
        let mut seen = BTreeSet::new();
        for (index, name) in self.model_ids.iter().enumerate() {
            let param = format!("model_ids[{index}]");
            if name.trim().is_empty()
                || name.chars().count() > LONGEST
                || name.chars().any(char::is_control)
            {
                let message = format!(
                    "{param} must be the name of a model: 1 to {LONGEST} characters, no control characters."
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
) -> Result<Done<ModelPermissions>> {
    body.check()?;
    let one = tenant_sql!(cx, ONE, args![&project.id]);
    let old = cx.fetch_optional(one, ModelPermissions::read).await?;
    let new = ModelPermissions {
        object: ModelPermissionsObject,
        mode: body.mode,
        model_ids: body.model_ids,
    };
    let requested = json!({"mode": new.mode, "model_ids": new.model_ids});
    let details = json!({"changes_requested": requested});
    if old.is_some_and(|old| old == new) {
        return Ok(cx.unchanged(new));
    }
    let save = tenant_sql!(
        cx,
        "INSERT INTO model_permissions (organization_id, project_id, mode, model_ids) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (organization_id, project_id) \
         DO UPDATE SET mode = excluded.mode, model_ids = excluded.model_ids",
        args![
            &project.id,
            new.mode.as_str(),
            json!(new.model_ids).to_string()
        ],
    );
    cx.execute(save).await?;
    let event = Event::new(EventType::ModelPermissionsUpdated, &project.id, details);
    Ok(cx.done(event, new))
}

async fn delete(
    mut cx: Write,
    project: ConfiguredProject,
    _: Nothing,
) -> Result<Done<Unset<ModelPermissionsDeleted>>> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM model_permissions WHERE organization_id = $1 AND project_id = $2",
        args![&project.id],
    );
    if cx.execute(delete).await? == 0 {
        return Err(not_set());
    }
    let event = Event::new(EventType::ModelPermissionsDeleted, &project.id, json!({}));
    Ok(cx.done(event, Unset::done()))
}
