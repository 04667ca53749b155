//! `/organization/data_retention` and `/organization/projects/{project_id}/data_retention`: data retention.

use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::{DataRetention, RowSetting};

use crate::literal::literals;
use crate::operation::{NoParameters, Operation, Organization, Read, read};
use crate::projects::ConfiguredProject;
use crate::role_scope::RoleScope;
use crate::setting::{SettingPath, SettingResource};
use crate::stored_data::StoredData;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    let at = |path| SettingPath {
        path,
        read: Permission::DataRetentionRead,
        write: Permission::DataRetentionWrite,
    };
    let whole = at("/organization/data_retention");
    let project = at("/organization/projects/{project_id}/data_retention");
    vec![
        whole.retrieve::<DataRetention, Organization>(
            "data-retention retrieve",
            "Retrieves the organization's data retention.",
        ),
        whole.update::<DataRetention, Organization>(
            "data-retention update",
            "Sets the organization's data retention.",
        ),
        read(
            "projects:data-retention retrieve",
            project.path,
            project.read,
            "Retrieves the project's data retention.",
            retrieve_of_project,
        ),
        project.update::<DataRetention, ConfiguredProject>(
            "projects:data-retention update",
            "Sets the project's data retention.",
        ),
    ]
}

literals! {
    OrganizationDataRetention = "organization.data_retention";
    ProjectDataRetention = "project.data_retention";
}

/// An organization or a project, with the names of its answers about data retention.
pub(crate) trait RetentionScope: RoleScope {
    type Object: Default + PartialEq + Serialize + JsonSchema + Send + 'static;
    /// The values in answers and requests.
    type Kind: PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// The value in an answer while nothing is set.
    const UNSET: Self::Kind;
}

impl RetentionScope for Organization {
    type Object = OrganizationDataRetention;
    type Kind = OrganizationRetention;
    const UNSET: OrganizationRetention = OrganizationRetention::None;
}

impl RetentionScope for ConfiguredProject {
    type Object = ProjectDataRetention;
    type Kind = ProjectRetention;
    const UNSET: ProjectRetention = ProjectRetention::OrganizationDefault;
}

/// Data retention of an organization; `none` until it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum OrganizationRetention {
    #[serde(skip_deserializing)]
    None,
    ZeroDataRetention,
    ModifiedAbuseMonitoring,
    EnhancedZeroDataRetention,
    EnhancedModifiedAbuseMonitoring,
}

/// Data retention of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum ProjectRetention {
    OrganizationDefault,
    None,
    ZeroDataRetention,
    ModifiedAbuseMonitoring,
    EnhancedZeroDataRetention,
    EnhancedModifiedAbuseMonitoring,
}

/// Retention of the data that clients send and receive.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
pub(crate) struct RetentionAnswer<O, K> {
    object: O,
    r#type: K,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    bound(deserialize = "K: serde::de::DeserializeOwned")
)]
#[schemars(inline)]
pub(crate) struct SetDataRetention<K> {
    retention_type: K,
}

/// Retention of the data that clients of a project send and receive, and what is stored of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProjectDataRetentionWithStored")]
pub(crate) struct RetentionReport {
    #[serde(flatten)]
    retention: RetentionAnswer<ProjectDataRetention, ProjectRetention>,
    /// Data that upstreams and this deployment store for the project.
    stored: StoredData,
}

async fn retrieve_of_project(
    mut cx: Read,
    project: ConfiguredProject,
    _: NoParameters,
) -> Result<RetentionReport> {
    let one = tenant_sql!(
        cx,
        DataRetention::SQL.select_one,
        args![project.project_key()]
    );
    let setting = cx.fetch_optional(one, DataRetention::read).await?;
    let retention =
        <DataRetention as SettingResource<ConfiguredProject>>::answer(setting.as_ref())?;
    let stored = StoredData::of(&mut cx, &project).await?;
    Ok(RetentionReport { retention, stored })
}

impl<S: RetentionScope> SettingResource<S> for DataRetention {
    type Body = SetDataRetention<S::Kind>;
    type Answer = RetentionAnswer<S::Object, S::Kind>;

    fn apply(_: Option<&Self>, body: Self::Body) -> Result<Self> {
        let name = json!(body.retention_type);
        let setting = name.as_str().and_then(Self::parse);
        setting.ok_or_else(Error::internal)
    }

    fn answer(setting: Option<&Self>) -> Result<Self::Answer> {
        let kind = setting.map(|setting| serde_json::from_value(json!(setting.as_str())));
        let kind = kind.transpose().map_err(|error| {
            tracing::error!(%error, "stored data retention is not valid here");
            Error::internal()
        })?;
        Ok(RetentionAnswer {
            object: S::Object::default(),
            r#type: kind.unwrap_or(S::UNSET),
        })
    }
}
