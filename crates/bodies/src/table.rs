//! The table `bodies`: what the keeper does to it.

use base::UnixTime;
use base::ids::{OrganizationId, ProjectId, RequestId};
use store::{Connection, Database, Result, Row, Statement, Transaction, Value, sql};

use crate::Side;
use crate::capture::{Job, Passed};

/// How many bodies are deleted in one transaction, so that the ledger's writer gets its turn.
const BATCH: i64 = 100;

/// Where bodies are.
pub(crate) type Place = (OrganizationId, ProjectId);

/// What a body is encrypted for: it can be read in no other row.
pub(crate) fn context(place: &Place, request: &RequestId, side: Side) -> String {
    let ((organization, project), side) = (place, side.as_str());
    format!("{organization}/{project}/{request}/{side}")
}

/// The row of a body.
pub(crate) fn row(job: &Job, side: Side, passed: &Passed, sealed: Vec<u8>) -> Vec<Value> {
    let count = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let about = &job.about;
    vec![
        (&about.organization).into(),
        (&about.project).into(),
        (&about.id).into(),
        side.as_str().into(),
        (passed.content == crate::Content::Media).into(),
        about.at.into(),
        about.endpoint.into(),
        Value::shown(&about.model),
        job.status.map(i64::from).into(),
        count(passed.length).into(),
        count(passed.kept).into(),
        sealed.into(),
    ]
}

/// Writes rows.
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

/// The first place that has bodies after this one.
pub(crate) async fn next_place(
    connection: &mut Connection,
    after: Option<&Place>,
) -> Result<Option<Place>> {
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

/// Deletes what was kept before a moment, that moment included; how many bodies that were.
pub(crate) async fn delete_until(database: &Database, moment: UnixTime) -> Result<u64> {
    let which = |statement: &mut Statement| {
        statement.push("created_at <= ").bind(moment);
    };
    delete(database, which).await
}

/// Deletes what is kept of a place, or only what is not images or sound; how many bodies that were.
pub(crate) async fn delete_of(
    database: &Database,
    (organization, project): &Place,
    but_media: bool,
) -> Result<u64> {
    let which = |statement: &mut Statement| {
        statement.push("organization_id = ").bind(organization);
        statement.push(" AND project_id = ").bind(project);
        if but_media {
            statement.push(" AND is_media = FALSE");
        }
    };
    delete(database, which).await
}

async fn delete(database: &Database, which: impl Fn(&mut Statement)) -> Result<u64> {
    let mut all = 0;
    loop {
        let mut statement = sql!(
            "DELETE FROM bodies WHERE (organization_id, project_id, request_id, side) IN \
             (SELECT organization_id, project_id, request_id, side FROM bodies WHERE "
        );
        which(&mut statement);
        statement.push(" LIMIT ").bind(BATCH).push(")");
        let mut transaction = database.begin().await?;
        let deleted = transaction.execute(statement).await?;
        transaction.commit().await?;
        all += deleted;
        if deleted == 0 {
            return Ok(all);
        }
    }
}
