//! The tables of the ledger: one for each UTC day that has events.

use std::collections::HashMap;

use base::UnixTime;
use base::time::DAY;
use store::{Connection, Database, Error, Result, Row, Transaction, USAGE_EVENTS, sql};

use crate::FEWEST_DAYS;

/// How many days are known to have a table, at the most.
const MOST_KNOWN: usize = 10_000;

/// The number of days before the current one that are always kept: one of them that was dropped was dropped by mistake.
const MIN_KEPT_DAYS: i64 = FEWEST_DAYS as i64;

/// The table of a day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) day: UnixTime,
    /// True if reported rows of it may have keys without a prefix.
    pub(crate) has_bare_ids: bool,
}

/// The tables of days, as far as a writer has met them.
#[derive(Default)]
pub(crate) struct Partitions {
    known: HashMap<UnixTime, Table>,
    found: HashMap<UnixTime, Table>,
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
    ///
    /// A day that was dropped and is not old at `now` was dropped by a clock that was ahead: its table is made anew for
    /// rows that `may_remake` it. What its sums have besides cannot be proved any more.
    pub(crate) async fn make(
        &mut self,
        transaction: &mut Transaction,
        database: &Database,
        day: UnixTime,
        (may_remake, now): (bool, UnixTime),
    ) -> Result<Table> {
        let known = self.known.get(&day).or_else(|| self.found.get(&day));
        if let Some(table) = known {
            return Ok(*table);
        }
        let note = sql!(
            "INSERT INTO usage_partitions (day) VALUES ($1) ON CONFLICT DO NOTHING",
            day
        );
        let mut table = Table {
            day,
            has_bare_ids: false,
        };
        if transaction.execute(note).await? == 1 {
            let create = transaction.create_partition(database, USAGE_EVENTS, day);
            create.await?;
        } else {
            let is_old = day < now.floor(DAY).plus(-MIN_KEPT_DAYS * DAY);
            if may_remake && !is_old {
                remake(transaction, database, day).await?;
            }
            let select = sql!(
                "SELECT bare_ids, dropped AND NOT remade AS is_gone FROM usage_partitions WHERE day = $1",
                day
            );
            let read = |row: &Row<'_>| Ok((row.get("bare_ids")?, row.get("is_gone")?));
            let (has_bare_ids, is_gone): (bool, bool) = transaction.fetch_one(select, read).await?;
            if is_gone {
                return Err(Error::Dropped);
            }
            table.has_bare_ids = has_bare_ids;
        }
        self.found.insert(day, table);
        Ok(table)
    }
}

/// Makes the table of a day anew if it was dropped.
async fn remake(transaction: &mut Transaction, database: &Database, day: UnixTime) -> Result<()> {
    let note = sql!(
        "UPDATE usage_partitions SET remade = TRUE, bare_ids = FALSE WHERE day = $1 AND dropped AND NOT remade",
        day
    );
    if transaction.execute(note).await? == 1 {
        let create = transaction.create_partition(database, USAGE_EVENTS, day);
        create.await?;
        tracing::error!(
            day = day.date_digits(),
            "ledger day made anew: it was dropped while it was to be kept"
        );
    }
    Ok(())
}

/// Drops the table of a day that has one; whether it had.
pub(crate) async fn drop_day(transaction: &mut Transaction, day: UnixTime) -> Result<bool> {
    let note = sql!(
        "UPDATE usage_partitions SET dropped = TRUE, remade = FALSE WHERE day = $1 AND (remade OR NOT dropped)",
        day
    );
    let had = transaction.execute(note).await? == 1;
    if had {
        transaction.drop_partition(USAGE_EVENTS, day).await?;
    }
    Ok(had)
}

/// The days of `start..end` whose table was dropped, in order; also those that have a new one.
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
        "SELECT day FROM usage_partitions WHERE day >= $1 AND day < $2 AND (remade OR NOT dropped) ORDER BY day",
        start.floor(DAY),
        end
    );
    connection.fetch_all(days, |row| row.time("day")).await
}
