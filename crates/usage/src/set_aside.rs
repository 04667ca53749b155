//! Events set aside: events of the gateway that the database refused, kept in a table of their own until the ledger
//! accepts them.

use base::UnixTime;
use store::{Connection, Database, Error, Result, Row, sql};

use crate::UsageEvent;

/// The longest reason in bytes.
const MAX_REASON_BYTES: usize = 1_000;

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The number of the event in the table.
    pub(crate) number: i64,
    /// The time at which it was set aside.
    pub set_aside_at: UnixTime,
    /// The database's reason to refuse it.
    pub reason: String,
    /// The event.
    pub event: UsageEvent,
}

/// Returns an event as JSON, complete.
pub(crate) fn json_of(event: &UsageEvent) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

impl SetAside {
    fn read(row: &Row<'_>) -> Result<Self> {
        let packed: Vec<u8> = row.get("event")?;
        let broken = |_| Error::Column("event".to_owned(), "is no event".to_owned());
        Ok(Self {
            number: row.get("number")?,
            set_aside_at: row.time("set_aside_at")?,
            reason: row.get("reason")?,
            event: serde_json::from_slice(&packed).map_err(broken)?,
        })
    }
}

/// Sets an event aside, unless it is already set aside.
pub(crate) async fn add(
    database: &Database,
    event: &UsageEvent,
    reason: &str,
    now: UnixTime,
) -> Result<()> {
    let mut reason = reason.replace('\0', "\u{fffd}");
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    let packed = json_of(event).into_bytes();
    let mut transaction = database.begin().await?;
    let known = sql!(
        "SELECT number FROM usage_set_aside WHERE event = $1",
        packed.clone()
    );
    let known = transaction.fetch_optional(known, |row| row.get::<i64>("number"));
    if known.await?.is_none() {
        let insert = sql!(
            "INSERT INTO usage_set_aside (set_aside_at, reason, event) VALUES ($1, $2, $3)",
            now,
            reason,
            packed
        );
        transaction.execute(insert).await?;
    }
    transaction.commit().await
}

/// Returns at most `limit` events that were set aside after the one with this number, oldest first.
pub(crate) async fn after(
    connection: &mut Connection,
    number: i64,
    limit: i64,
) -> Result<Vec<SetAside>> {
    let select = sql!(
        "SELECT number, set_aside_at, reason, event FROM usage_set_aside WHERE number > $1 ORDER BY number LIMIT $2",
        number,
        limit
    );
    connection.fetch_all(select, SetAside::read).await
}

/// Removes an event that is in the ledger now.
pub(crate) async fn remove(database: &Database, number: i64) -> Result<()> {
    let mut transaction = database.begin().await?;
    let delete = sql!("DELETE FROM usage_set_aside WHERE number = $1", number);
    transaction.execute(delete).await?;
    transaction.commit().await
}

/// Returns the number of events that are set aside.
pub(crate) async fn count(connection: &mut Connection) -> Result<i64> {
    let count = sql!("SELECT CAST(COUNT(*) AS BIGINT) AS events FROM usage_set_aside");
    connection.fetch_one(count, |row| row.get("events")).await
}

/// Returns at most `limit` events that are set aside, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn set_aside(database: &Database, limit: i64) -> Result<Vec<SetAside>> {
    after(&mut *database.read().await?, i64::MIN, limit).await
}
