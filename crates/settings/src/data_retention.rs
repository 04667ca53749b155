//! Data retention.

use base::ids::{OrganizationId, ProjectId};
use base::{EventType, names};
use store::{Connection, Result, Row, Value, sql};

use crate::setting::row_sql;
use crate::{RowSetting, RowSql, ScopeSettings};

/// Retention of the data that clients send and receive. The default is [`Self::NoControl`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// Data may be stored.
    #[default]
    NoControl,
    /// Neither text nor anything that may contain text is stored, and upstreams must not store it either.
    ZeroDataRetention,
    /// Text is not stored.
    ModifiedAbuseMonitoring,
    /// Like [`Self::ZeroDataRetention`], and neither are images and audio stored.
    EnhancedZeroDataRetention,
    /// Like [`Self::ModifiedAbuseMonitoring`], and neither are images and audio stored.
    EnhancedModifiedAbuseMonitoring,
}

names! { Retention {
    NoControl = "none",
    ZeroDataRetention = "zero_data_retention",
    ModifiedAbuseMonitoring = "modified_abuse_monitoring",
    EnhancedZeroDataRetention = "enhanced_zero_data_retention",
    EnhancedModifiedAbuseMonitoring = "enhanced_modified_abuse_monitoring",
}}

impl Retention {
    /// Returns true if upstreams must not store the data either.
    #[must_use]
    pub fn is_zero(self) -> bool {
        matches!(
            self,
            Self::ZeroDataRetention | Self::EnhancedZeroDataRetention
        )
    }

    /// Returns true if text, and data that may contain text, may be stored.
    #[must_use]
    pub fn allows_text(self) -> bool {
        self == Self::NoControl
    }

    /// Returns true if images and audio may be stored.
    #[must_use]
    pub fn allows_media(self) -> bool {
        !matches!(
            self,
            Self::EnhancedZeroDataRetention | Self::EnhancedModifiedAbuseMonitoring
        )
    }
}

/// The stored name for a project that follows its organization.
const ORGANIZATION_DEFAULT: &str = "organization_default";

/// Retention of an organization or a project. `None`, the default, follows the organization, or [`Retention::default`]
/// where the organization has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataRetention(pub Option<Retention>);

impl DataRetention {
    /// Returns the setting with this name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            ORGANIZATION_DEFAULT => Some(Self(None)),
            name => Retention::parse(name).map(|retention| Self(Some(retention))),
        }
    }

    /// Returns the setting's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0.map_or(ORGANIZATION_DEFAULT, Retention::as_str)
    }
}

impl RowSetting for DataRetention {
    const SQL: RowSql = row_sql!("data_retention" { "retention_type" = "$3" });
    const UPDATED: EventType = EventType::DataRetentionUpdated;

    fn read(row: &Row<'_>) -> Result<Self> {
        row.word("retention_type", Self::parse)
    }

    fn values(&self) -> Vec<Value> {
        vec![self.as_str().into()]
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.retention = self.0;
    }
}

const RETENTION_NOW: &str = "\
    SELECT own.retention_type AS own, whole.retention_type AS whole FROM projects p \
    LEFT JOIN data_retention own ON own.organization_id = p.organization_id AND own.project_id = p.id \
    LEFT JOIN data_retention whole ON whole.organization_id = p.organization_id AND whole.project_id = '' \
    WHERE p.organization_id = $1 AND p.id = $2 AND p.archived_at IS NULL";

/// Reads the retention of a project's data from the database, for callers that are about to store or delete data.
/// Returns `None` if the project is archived or does not exist.
///
/// # Errors
/// The database's.
pub async fn retention_now(
    connection: &mut Connection,
    organization: &OrganizationId,
    project: &ProjectId,
) -> Result<Option<Retention>> {
    let read = |row: &Row<'_>| Ok((optional(row, "own")?, optional(row, "whole")?));
    let statement = sql!(RETENTION_NOW, organization, project);
    let found = connection.fetch_optional(statement, read).await?;
    Ok(found.map(|(own, whole)| own.0.or(whole.0).unwrap_or_default()))
}

fn optional(row: &Row<'_>, column: &'static str) -> Result<DataRetention> {
    match row.get::<Option<String>>(column)? {
        None => Ok(DataRetention::default()),
        Some(_) => row.word(column, DataRetention::parse),
    }
}
