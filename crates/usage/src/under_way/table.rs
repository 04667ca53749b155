//! The table `under_way`.

use store::{Connection, Database, Result, Row, Transaction, sql};

use super::DueRequests;
use crate::set_aside::json_of;

/// The most ids of one statement. Fewer ids are repeated up to a power of [`IDS_RATIO`], so that there is a handful of
/// texts to prepare.
const MAX_IDS: usize = 64;
const IDS_RATIO: usize = 4;

/// A request that a process has left in the table.
pub(super) struct StoredRequest {
    pub(super) id: String,
    pub(super) event: Vec<u8>,
}

impl StoredRequest {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            event: row.get("event")?,
        })
    }
}

/// Inserts requests that are under way, and deletes those that have ended without a row.
pub(crate) async fn write(database: &Database, epoch: i64, due: &DueRequests) -> Result<()> {
    let rows = due.requests.iter().map(|(_, request)| {
        let event = request.event();
        let packed = json_of(&event).into_bytes();
        vec![event.id.into(), epoch.into(), packed.into()]
    });
    let head = sql!("INSERT INTO under_way (id, epoch, event) VALUES ");
    let tail = sql!(" ON CONFLICT (id) DO NOTHING");
    let rows: Vec<_> = rows.collect();
    let mut transaction = database.begin().await?;
    if !rows.is_empty() {
        let written = transaction.write_rows(&head, rows, &tail, |_| Ok(()));
        written.await?;
    }
    delete(&mut transaction, &due.abandoned).await?;
    transaction.commit().await
}

/// Deletes requests.
pub(crate) async fn delete(transaction: &mut Transaction, ids: &[String]) -> Result<()> {
    for some in ids.chunks(MAX_IDS) {
        let mut count = MAX_IDS;
        while count / IDS_RATIO >= some.len() {
            count /= IDS_RATIO;
        }
        let ids = some.iter().cycle().take(count).cloned();
        let mut delete = sql!("DELETE FROM under_way WHERE id IN ");
        delete.bind_list(ids);
        transaction.execute(delete).await?;
    }
    Ok(())
}

/// Returns at most `limit` requests of a session, by id.
pub(super) async fn of_epoch(
    connection: &mut Connection,
    epoch: i64,
    limit: i64,
) -> Result<Vec<StoredRequest>> {
    let select = sql!(
        "SELECT id, event FROM under_way WHERE epoch = $1 ORDER BY id LIMIT $2",
        epoch,
        limit
    );
    connection.fetch_all(select, StoredRequest::read).await
}

/// Returns the sessions that have requests in the table.
pub(super) async fn epochs(connection: &mut Connection) -> Result<Vec<i64>> {
    let select = sql!("SELECT DISTINCT epoch FROM under_way ORDER BY epoch");
    connection
        .fetch_all(select, |row| row.get::<i64>("epoch"))
        .await
}
