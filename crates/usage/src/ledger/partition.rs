//! The tables of the ledger: one for each UTC day that has events.

use std::collections::HashSet;

use base::UnixTime;
use base::time::DAY;
use store::{Connection, Database, Error, Result, Transaction, USAGE_EVENTS, sql};

/// How many days are known to have a table, at the most.
const MOST_KNOWN: usize = 10_000;

/// The days that have a table, as far as a writer has met them.
#[derive(Default)]
pub(crate) struct Partitions {
    known: HashSet<UnixTime>,
    found: HashSet<UnixTime>,
    /// Whether a transaction has begun, and not been committed.
    is_open: bool,
}

impl Partitions {
    /// As [`crate::dictionary::Dictionary::begin`]. When the transaction before has failed, that may be because a table
    /// was dropped.
    pub(crate) fn begin(&mut self) {
        self.found.clear();
        if self.is_open || self.known.len() > MOST_KNOWN {
            self.known.clear();
        }
        self.is_open = true;
    }

    /// As [`crate::dictionary::Dictionary::committed`].
    pub(crate) fn committed(&mut self) {
        self.known.extend(self.found.drain());
        self.is_open = false;
    }

    /// Makes the table of a day if there is none. Of two programs that do so at the same time one waits for the other.
    pub(crate) async fn make(
        &mut self,
        transaction: &mut Transaction,
        database: &Database,
        day: UnixTime,
    ) -> Result<()> {
        if self.known.contains(&day) || !self.found.insert(day) {
            return Ok(());
        }
        let note = sql!(
            "INSERT INTO usage_partitions (day) VALUES ($1) ON CONFLICT DO NOTHING",
            day
        );
        if transaction.execute(note).await? == 1 {
            return transaction
                .create_partition(database, USAGE_EVENTS, day)
                .await;
        }
        match dropped(transaction, day, day.plus(DAY)).await?[..] {
            [] => Ok(()),
            _ => Err(Error::Dropped),
        }
    }
}

/// Drops the table of a day that has one; whether it had.
pub(crate) async fn drop_day(transaction: &mut Transaction, day: UnixTime) -> Result<bool> {
    let note = sql!(
        "UPDATE usage_partitions SET dropped = TRUE WHERE day = $1 AND NOT dropped",
        day
    );
    let had = transaction.execute(note).await? == 1;
    if had {
        transaction.drop_partition(USAGE_EVENTS, day).await?;
    }
    Ok(had)
}

/// The days of `start..end` whose table was dropped, in order.
pub(crate) async fn dropped(
    connection: &mut Connection,
    start: UnixTime,
    end: UnixTime,
) -> Result<Vec<UnixTime>> {
    let days = sql!(
        "SELECT day FROM usage_partitions WHERE day >= $1 AND day < $2 AND dropped ORDER BY day",
        start,
        end
    );
    connection.fetch_all(days, |row| row.time("day")).await
}

/// The days of `start..end` that have a table, in order.
pub(crate) async fn days(
    connection: &mut Connection,
    start: UnixTime,
    end: UnixTime,
) -> Result<Vec<UnixTime>> {
    let days = sql!(
        "SELECT day FROM usage_partitions WHERE day >= $1 AND day < $2 AND NOT dropped ORDER BY day",
        start.floor(DAY),
        end
    );
    connection.fetch_all(days, |row| row.time("day")).await
}
