//! Permissions for models.

use std::collections::HashSet;

use base::{EventType, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Result, Row, Value};

use crate::setting::row_sql;
use crate::{DeletableSetting, RowSetting, RowSql, ScopeSettings};

/// Meaning of `model_ids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ModelListMode {
    /// Only the listed models may be called.
    AllowList,
    /// All models but the listed ones may be called.
    DenyList,
}

names! { ModelListMode {
    AllowList = "allow_list",
    DenyList = "deny_list",
}}

/// Models that a project may or may not call, in the order in which they were given. Without a row, a project may call
/// every model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPermissions {
    /// The meaning of `model_ids`.
    pub mode: ModelListMode,
    /// Names of models. They need not be configured.
    pub model_ids: Vec<String>,
}

/// [`ModelPermissions`] in a form that is quick to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPolicy {
    /// True if only `names` may be called, false if all models but `names` may be.
    pub is_allow_list: bool,
    /// Names of models.
    pub names: HashSet<String>,
}

impl ModelPolicy {
    /// Returns true if `model` may be called.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.names.contains(model) == self.is_allow_list
    }
}

impl From<ModelPermissions> for ModelPolicy {
    fn from(permissions: ModelPermissions) -> Self {
        Self {
            is_allow_list: permissions.mode == ModelListMode::AllowList,
            names: permissions.model_ids.into_iter().collect(),
        }
    }
}

impl RowSetting for ModelPermissions {
    const SQL: RowSql = row_sql!("model_permissions" { "mode" = "$3", "model_ids" = "$4" });
    const UPDATED: EventType = EventType::ModelPermissionsUpdated;
    const EVENTS: &'static [EventType] = &[Self::UPDATED, Self::DELETED];

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            mode: row.word("mode", ModelListMode::parse)?,
            model_ids: row.word("model_ids", |names| serde_json::from_str(names).ok())?,
        })
    }

    fn values(&self) -> Vec<Value> {
        let model_ids = serde_json::Value::from(self.model_ids.clone());
        vec![self.mode.as_str().into(), model_ids.to_string().into()]
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.models = Some(self.into());
    }
}

impl DeletableSetting for ModelPermissions {
    const NOUN: &'static str = "The policy for models";
    const DELETED: EventType = EventType::ModelPermissionsDeleted;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_allows_or_denies_the_models_in_its_list() {
        let policy = |mode| {
            ModelPolicy::from(ModelPermissions {
                mode,
                model_ids: vec!["a".to_owned()],
            })
        };
        let allow = policy(ModelListMode::AllowList);
        assert!(allow.allows("a") && !allow.allows("b"));
        let deny = policy(ModelListMode::DenyList);
        assert!(!deny.allows("a") && deny.allows("b"));
    }
}
