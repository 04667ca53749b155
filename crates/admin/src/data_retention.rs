//! `/organization/data_retention` and `/organization/projects/{project_id}/data_retention`: data retention.

use base::{Error, Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use settings::{DataRetention, RowSetting, Setting};

use crate::literal::literals;
use crate::operation::{
    Done, EventType, NoParameters, Operation, Organization, Read, Write, read, write,
};
use crate::projects::ConfiguredProject;
use crate::role_scope::RoleScope;
use crate::setting;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{DataRetentionRead, DataRetentionWrite};
    const ORGANIZATION: &str = "/organization/data_retention";
    const PROJECT: &str = "/organization/projects/{project_id}/data_retention";
    vec![
        read(
            "data-retention retrieve",
            ORGANIZATION,
            DataRetentionRead,
            "Retrieves the organization's data retention.",
            retrieve::<Organization>,
        ),
        write(
            "data-retention update",
            Method::POST,
            ORGANIZATION,
            DataRetentionWrite,
            "Sets the organization's data retention.",
            update::<Organization>,
        ),
        read(
            "projects:data-retention retrieve",
            PROJECT,
            DataRetentionRead,
            "Retrieves the project's data retention.",
            retrieve::<ConfiguredProject>,
        ),
        write(
            "projects:data-retention update",
            Method::POST,
            PROJECT,
            DataRetentionWrite,
            "Sets the project's data retention.",
            update::<ConfiguredProject>,
        ),
    ]
}

literals! {
    OrganizationDataRetention = "organization.data_retention";
    ProjectDataRetention = "project.data_retention";
}

/// An organization or a project, with the names of its answers about data retention.
trait RetentionScope: RoleScope {
    type Object: Default + Serialize + JsonSchema + Send + 'static;
    type Kind: RetentionKind;
}

impl RetentionScope for Organization {
    type Object = OrganizationDataRetention;
    type Kind = OrganizationRetention;
}

impl RetentionScope for ConfiguredProject {
    type Object = ProjectDataRetention;
    type Kind = ProjectRetention;
}

/// The values that data retention has in answers and requests.
trait RetentionKind:
    Copy + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The value in an answer while nothing is set.
    const UNSET: Self;
}

/// Data retention of an organization; `none` until it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum OrganizationRetention {
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
enum ProjectRetention {
    OrganizationDefault,
    None,
    ZeroDataRetention,
    ModifiedAbuseMonitoring,
    EnhancedZeroDataRetention,
    EnhancedModifiedAbuseMonitoring,
}

impl RetentionKind for OrganizationRetention {
    const UNSET: Self = Self::None;
}

impl RetentionKind for ProjectRetention {
    const UNSET: Self = Self::OrganizationDefault;
}

/// Retention of the data that clients send and receive.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
struct RetentionAnswer<O, K> {
    object: O,
    r#type: K,
}

type RetentionOf<S> = RetentionAnswer<<S as RetentionScope>::Object, <S as RetentionScope>::Kind>;

impl<O: Default, K> RetentionAnswer<O, K> {
    fn new(kind: K) -> Self {
        Self {
            object: O::default(),
            r#type: kind,
        }
    }
}

/// Returns the value that answers show for a setting.
fn kind<K: RetentionKind>(setting: Option<DataRetention>) -> Result<K> {
    let Some(setting) = setting else {
        return Ok(K::UNSET);
    };
    serde_json::from_value(json!(setting.as_str())).map_err(|error| {
        tracing::error!(%error, "stored data retention setting not valid");
        Error::internal()
    })
}

async fn retrieve<S: RetentionScope>(
    mut cx: Read,
    scope: S,
    _: NoParameters,
) -> Result<RetentionOf<S>> {
    let one = tenant_sql!(cx, DataRetention::SELECT_ONE, args![scope.project_key()]);
    let setting = cx.fetch_optional(one, DataRetention::read).await?;
    Ok(RetentionAnswer::new(kind(setting)?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    bound(deserialize = "K: serde::de::DeserializeOwned")
)]
#[schemars(inline)]
struct SetDataRetention<K> {
    retention_type: K,
}

async fn update<S: RetentionScope>(
    mut cx: Write,
    scope: S,
    body: SetDataRetention<S::Kind>,
) -> Result<Done<RetentionOf<S>>> {
    let one = tenant_sql!(cx, DataRetention::SELECT_ONE, args![scope.project_key()]);
    let old = cx.fetch_optional(one, DataRetention::read).await?;
    let new = body.retention_type;
    if kind::<S::Kind>(old)? == new {
        return Ok(cx.unchanged(RetentionAnswer::new(new)));
    }
    let name = json!(new);
    let setting = name.as_str().and_then(DataRetention::parse);
    let setting = setting.ok_or_else(Error::internal)?;
    setting::save(&mut cx, &scope, &setting).await?;
    let details = json!({"changes_requested": {"retention_type": name}});
    let event = scope.event(cx.organization(), EventType::DataRetentionUpdated, details);
    Ok(cx.done(event, RetentionAnswer::new(new)))
}
