//! The day tables of the ledger: one for each UTC day that has events.

use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use rollup::Interner;
use store::{Connection, Database, Error, Result, Row, Transaction, USAGE_EVENTS, sql};

use crate::MIN_LEDGER_DAYS;

/// The most days that are remembered to have a table.
const MAX_KNOWN_DAYS: usize = 10_000;

/// The number of days before the current one that are always kept. If one of them was dropped, it was by mistake.
const MIN_KEPT_DAYS: i64 = MIN_LEDGER_DAYS as i64;

/// The table of a day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DayTable {
    pub(crate) day: UnixTime,
    /// True if keys of reported rows in the table may lack the prefix.
    pub(crate) has_bare_ids: bool,
}

/// The day tables that a writer knows to exist.
#[derive(Default)]
pub(crate) struct Partitions {
    known: Interner<UnixTime, DayTable>,
    /// True if a transaction has begun and not been committed.
    is_open: bool,
}

impl Partitions {
    /// Must be called when a transaction begins. If the one before has failed, the reason may be that a table was
    /// dropped, so all are forgotten.
    pub(crate) fn begin(&mut self) {
        self.known.begin();
        if self.is_open || self.known.len() > MAX_KNOWN_DAYS {
            self.known.clear();
        }
        self.is_open = true;
    }

    /// Must be called when the transaction has committed.
    pub(crate) fn committed(&mut self) {
        self.known.committed();
        self.is_open = false;
    }

    /// Creates the table of a day if there is none. Of two programs that do so at the same time, one waits for the
    /// other.
    ///
    /// A day that was dropped although it is recent at `now` was dropped by a clock that was ahead: its table is
    /// created again if `may_recreate`. Sums of rows from before can then no longer be verified.
    pub(crate) async fn ensure(
        &mut self,
        transaction: &mut Transaction,
        database: &Database,
        day: UnixTime,
        (may_recreate, now): (bool, UnixTime),
    ) -> Result<DayTable> {
        if let Some(table) = self.known.get(&day) {
            return Ok(table);
        }
        let note = sql!(
            "INSERT INTO usage_partitions (day) VALUES ($1) ON CONFLICT DO NOTHING",
            day
        );
        let mut table = DayTable {
            day,
            has_bare_ids: false,
        };
        if transaction.execute(note).await? == 1 {
            let create = transaction.create_partition(database, USAGE_EVENTS, day);
            create.await?;
        } else {
            let is_old = day
                < now
                    .floor(SECONDS_PER_DAY)
                    .plus(-MIN_KEPT_DAYS * SECONDS_PER_DAY);
            if may_recreate && !is_old {
                recreate(transaction, database, day).await?;
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
        self.known.insert(day, table);
        Ok(table)
    }
}

/// Creates the table of a day again if it was dropped.
async fn recreate(transaction: &mut Transaction, database: &Database, day: UnixTime) -> Result<()> {
    let note = sql!(
        "UPDATE usage_partitions SET remade = TRUE, bare_ids = FALSE WHERE day = $1 AND dropped AND NOT remade",
        day
    );
    if transaction.execute(note).await? == 1 {
        let create = transaction.create_partition(database, USAGE_EVENTS, day);
        create.await?;
        tracing::error!(
            day = day.date_digits(),
            "dropped ledger day created again within retention"
        );
    }
    Ok(())
}

/// Drops the table of a day. True if there was one.
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

/// Returns the days of `start..end` whose table was dropped, in order, including those that have a table again.
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

/// Returns the days of `start..end` that have a table, in order.
pub(crate) async fn days(
    connection: &mut Connection,
    start: UnixTime,
    end: UnixTime,
) -> Result<Vec<UnixTime>> {
    let days = sql!(
        "SELECT day FROM usage_partitions WHERE day >= $1 AND day < $2 AND (remade OR NOT dropped) ORDER BY day",
        start.floor(SECONDS_PER_DAY),
        end
    );
    connection.fetch_all(days, |row| row.time("day")).await
}
