//! What holds for a project's data at this moment, by the database: for those who are about to write or delete some.

use base::ids::{OrganizationId, ProjectId};
use store::{Connection, Result, Row, sql};

use crate::Retention;

const NOW: &str = "\
    SELECT own.retention_type AS own, whole.retention_type AS whole FROM projects p \
    LEFT JOIN data_retention own ON own.organization_id = p.organization_id AND own.project_id = p.id \
    LEFT JOIN data_retention whole ON whole.organization_id = p.organization_id AND whole.project_id = '' \
    WHERE p.organization_id = $1 AND p.id = $2 AND p.archived_at IS NULL";

/// What is set for a project now, else for its organization; none if it is archived, or not there.
///
/// # Errors
/// The database's.
pub async fn retention_now(
    connection: &mut Connection,
    organization: &OrganizationId,
    project: &ProjectId,
) -> Result<Option<Retention>> {
    let read = |row: &Row<'_>| Ok((word(row, "own")?, word(row, "whole")?));
    let set = connection.fetch_optional(sql!(NOW, organization, project), read);
    Ok(set
        .await?
        .map(|(own, whole)| own.or(whole).unwrap_or_default()))
}

fn word(row: &Row<'_>, column: &'static str) -> Result<Option<Retention>> {
    match row.get::<Option<String>>(column)? {
        None => Ok(None),
        Some(_) => row.word(column, Retention::of_word),
    }
}
