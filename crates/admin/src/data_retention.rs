//! `/organization/data_retention` and `/organization/projects/{project_id}/data_retention`: how long what clients send
//! is kept.

use base::{Error, Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::level::Level;
use crate::literal::literals;
use crate::operation::{
    Done, EventType, Nothing, Operation, Organization, Read, Write, read, write,
};
use crate::projects::ConfiguredProject;
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

/// A level that data retention is set at.
trait Retained: Level {
    type Object: Default + Serialize + JsonSchema + Send + 'static;
    type Kind: Retention;
}

impl Retained for Organization {
    type Object = OrganizationDataRetention;
    type Kind = OrganizationRetention;
}

impl Retained for ConfiguredProject {
    type Object = ProjectDataRetention;
    type Kind = ProjectRetention;
}

/// A kind of retention.
trait Retention:
    Copy + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// What holds until something is set.
    const UNSET: Self;
}

/// What an organization can ask for; `none` is what holds until it asks.
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

/// What a project can ask for.
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

impl Retention for OrganizationRetention {
    const UNSET: Self = Self::None;
}

impl Retention for ProjectRetention {
    const UNSET: Self = Self::OrganizationDefault;
}

/// How long what clients send is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}")]
struct DataRetention<O, K> {
    object: O,
    r#type: K,
}

type RetentionOf<L> = DataRetention<<L as Retained>::Object, <L as Retained>::Kind>;

impl<O: Default, K> DataRetention<O, K> {
    fn new(kind: K) -> Self {
        Self {
            object: O::default(),
            r#type: kind,
        }
    }
}

const ONE: &str = "\
    SELECT retention_type FROM data_retention WHERE organization_id = $1 AND project_id = $2";

/// The kind that a word in the table stands for.
fn kind<K: Retention>(word: Option<String>) -> Result<K> {
    match word {
        None => Ok(K::UNSET),
        Some(word) => serde_json::from_value(json!(word)).map_err(|error| {
            tracing::error!(%error, "data retention is set to an unknown word");
            Error::internal()
        }),
    }
}

async fn retrieve<L: Retained>(mut cx: Read, level: L, _: Nothing) -> Result<RetentionOf<L>> {
    let one = tenant_sql!(cx, ONE, args![level.project_key()]);
    let word = cx
        .fetch_optional(one, |row| row.get("retention_type"))
        .await?;
    Ok(DataRetention::new(kind(word)?))
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

async fn update<L: Retained>(
    mut cx: Write,
    level: L,
    body: SetDataRetention<L::Kind>,
) -> Result<Done<RetentionOf<L>>> {
    let one = tenant_sql!(cx, ONE, args![level.project_key()]);
    let word = cx
        .fetch_optional(one, |row| row.get("retention_type"))
        .await?;
    let new = body.retention_type;
    if kind::<L::Kind>(word)? == new {
        return Ok(cx.unchanged(DataRetention::new(new)));
    }
    let name = json!(new);
    let save = tenant_sql!(
        cx,
        "INSERT INTO data_retention (organization_id, project_id, retention_type) VALUES ($1, $2, $3) \
         ON CONFLICT (organization_id, project_id) DO UPDATE SET retention_type = excluded.retention_type",
        args![level.project_key(), name.as_str().unwrap_or_default()],
    );
    cx.execute(save).await?;
    let details = json!({"changes_requested": {"retention_type": name}});
    let event = level.event(cx.organization(), EventType::DataRetentionUpdated, details);
    Ok(cx.done(event, DataRetention::new(new)))
}
