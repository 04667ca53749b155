//! The table `bodies`, as the body writer uses it.

use base::UnixTime;
use base::ids::{OrganizationId, ProjectId, RequestId};
use store::{Connection, Database, Result, Row, Statement, Transaction, Value, sql};

use crate::Side;
use crate::capture::{CapturedBody, Job};

/// The most bodies that are deleted in one transaction, so that the ledger writer gets its turn.
const MAX_DELETE_BATCH: i64 = 100;

/// The organization and the project of bodies.
pub(crate) type ProjectKey = (OrganizationId, ProjectId);

/// Returns the context that a body is encrypted for, which ties it to its row.
pub(crate) fn context(place: &ProjectKey, request: &RequestId, side: Side) -> String {
    let ((organization, project), side) = (place, side.as_str());
    format!("{organization}/{project}/{request}/{side}")
}

/// Returns the row of a body.
pub(crate) fn row(job: &Job, side: Side, passed: &CapturedBody, sealed: Vec<u8>) -> Vec<Value> {
    let count = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let info = &job.info;
    vec![
        (&info.organization).into(),
        (&info.project).into(),
        (&info.id).into(),
        side.as_str().into(),
        (passed.content == crate::Content::Media).into(),
        info.at.into(),
        info.endpoint.into(),
        Value::shown(&info.model),
        job.status.map(i64::from).into(),
        count(passed.length).into(),
        count(passed.kept).into(),
        sealed.into(),
    ]
}

/// Inserts rows.
pub(crate) async fn insert(transaction: &mut Transaction, rows: Vec<Vec<Value>>) -> Result<()> {
    let head = sql!(
        "INSERT INTO bodies (organization_id, project_id, request_id, side, is_media, created_at, endpoint, model, \
         status, length, kept, content) VALUES "
    );
    let none: Vec<()> = transaction
        .write_rows(&head, rows, &sql!(""), |_| Ok(()))
        .await?;
    debug_assert!(none.is_empty(), "it returns nothing");
    Ok(())
}

/// Returns the first project that has bodies after another.
pub(crate) async fn next_place(
    connection: &mut Connection,
    after: Option<&ProjectKey>,
) -> Result<Option<ProjectKey>> {
    let mut statement = sql!("SELECT organization_id, project_id FROM bodies");
    if let Some((organization, project)) = after {
        statement
            .push(" WHERE (organization_id, project_id) > (")
            .bind(organization)
            .push(", ")
            .bind(project)
            .push(")");
    }
    statement.push(" ORDER BY organization_id, project_id LIMIT 1");
    let read = |row: &Row<'_>| Ok((row.id("organization_id")?, row.id("project_id")?));
    connection.fetch_optional(statement, read).await
}

/// Deletes the bodies up to a time, inclusive. Returns their number.
pub(crate) async fn delete_until(database: &Database, moment: UnixTime) -> Result<u64> {
    let condition = |statement: &mut Statement| {
        statement.push("created_at <= ").bind(moment);
    };
    delete(database, condition).await
}

/// Deletes the bodies of a project, but those of images or sound if `but_media`. Returns their number.
pub(crate) async fn delete_of(
    database: &Database,
    (organization, project): &ProjectKey,
    but_media: bool,
) -> Result<u64> {
    let condition = |statement: &mut Statement| {
        statement.push("organization_id = ").bind(organization);
        statement.push(" AND project_id = ").bind(project);
        if but_media {
            statement.push(" AND is_media = FALSE");
        }
    };
    delete(database, condition).await
}

async fn delete(database: &Database, condition: impl Fn(&mut Statement)) -> Result<u64> {
    let mut all = 0;
    loop {
        let mut statement = sql!(
            "DELETE FROM bodies WHERE (organization_id, project_id, request_id, side) IN \
             (SELECT organization_id, project_id, request_id, side FROM bodies WHERE "
        );
        condition(&mut statement);
        statement.push(" LIMIT ").bind(MAX_DELETE_BATCH).push(")");
        let mut transaction = database.begin().await?;
        let deleted = transaction.execute(statement).await?;
        transaction.commit().await?;
        all += deleted;
        if deleted == 0 {
            return Ok(all);
        }
    }
}
