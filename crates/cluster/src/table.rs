//! Statements on the tables `nodes` and `generations`, each of them a transaction.

use base::BootClock;
use store::{Channel, Error, Result, Row, sql};

use crate::clock_reading::ClockReading;
use crate::session_state::{Generation, SESSION_TIMEOUT};
use crate::session_task::SessionOptions;

/// The time for which the rows of ended sessions stay, in microseconds.
const MAX_ENDED_AGE: i64 = 7 * 24 * 3_600 * 1_000_000;
/// The time for which a dead session that has not acknowledged a generation keeps it closed, in microseconds: the window of
/// a minute, and what its last slice lasted.
const MAX_UNACKNOWLEDGED: i64 = 70_000_000;

/// A source of rows with the time of the database's clock.
macro_rules! clock {
    () => {
        "(SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now) AS clock"
    };
}

/// System identifier and timeline. The latter is that of the log's current file: the control file lags behind.
macro_rules! identity {
    () => {
        "(SELECT CAST(system_identifier AS TEXT) FROM pg_control_system()) || '/' \
         || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    };
}

const BEGIN: &str = concat!(
    "INSERT INTO nodes (name, version, fingerprint, keep_bodies_days, started_at, until, generation_seen, revision_seen) \
     SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), clock.now, \
            clock.now + CAST($5 AS BIGINT), generations.number, CAST($6 AS BIGINT) \
     FROM generations, ",
    clock!(),
    " WHERE generations.id = 1 RETURNING epoch, started_at AS now"
);
const PROLONG: &str = concat!(
    "UPDATE nodes SET until = clock.now + $2, generation_seen = $3, revision_seen = $4 FROM ",
    clock!(),
    " WHERE nodes.epoch = $1 AND nodes.ended_at IS NULL AND nodes.until > clock.now RETURNING clock.now AS now"
);
const END_EXPIRED: &str = concat!(
    "UPDATE nodes SET ended_at = nodes.until FROM ",
    clock!(),
    " WHERE nodes.ended_at IS NULL AND nodes.until <= clock.now RETURNING nodes.epoch, nodes.name"
);
const END: &str = concat!(
    "UPDATE nodes SET ended_at = clock.now, has_left = $2 FROM ",
    clock!(),
    " WHERE nodes.epoch = $1 AND nodes.ended_at IS NULL"
);
const PRUNE: &str = concat!(
    "DELETE FROM nodes USING ",
    clock!(),
    " WHERE nodes.ended_at < clock.now - $1"
);
const GENERATION: &str = concat!(
    "SELECT generations.number, generations.identity, generations.clock_step, ",
    identity!(),
    " AS current_identity, NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.generation_seen < generations.number \
       AND (nodes.ended_at IS NULL OR (NOT nodes.has_left AND nodes.until > clock.now - $1))) AS is_open \
     FROM generations, ",
    clock!(),
    " WHERE generations.id = 1"
);
/// The ends of sessions move with the clock, so that a clock that was set ends none of them; but for sessions that were
/// prolonged since, whose ends are close.
const ADVANCE: &str = concat!(
    "WITH advanced AS ( \
        UPDATE generations SET number = number + 1, identity = $2, clock_step = clock_step + $3 \
        WHERE id = 1 AND number = $1 RETURNING number) \
     UPDATE nodes SET until = nodes.until + $3 FROM ",
    clock!(),
    " WHERE nodes.ended_at IS NULL AND EXISTS (SELECT 1 FROM advanced) \
        AND (nodes.until <= clock.now OR nodes.until > clock.now + 8000000)"
);
pub(crate) const LIVING: &str = concat!(
    "SELECT nodes.epoch, nodes.name, nodes.version, nodes.fingerprint, nodes.revision_seen, nodes.keep_bodies_days, \
            clock.now - nodes.started_at AS age, clock.now + 8000000 - nodes.until AS silence FROM nodes, ",
    clock!(),
    " WHERE nodes.ended_at IS NULL AND nodes.until > clock.now ORDER BY nodes.epoch"
);

/// The generation in the database, and the identity of the server that has answered.
pub(crate) struct StoredGeneration {
    pub(crate) generation: Generation,
    identity: String,
    current_identity: String,
}

impl StoredGeneration {
    /// True if another server, or another timeline of the same, has answered than the one that the generation is of.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.identity != self.current_identity
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            generation: Generation {
                number: row.get("number")?,
                is_open: row.get("is_open")?,
                clock_step: row.get::<i64>("clock_step")? / 1_000,
            },
            identity: row.get("identity")?,
            current_identity: row.get("current_identity")?,
        })
    }
}

/// Runs a statement that returns the time of the database's clock in its first row.
async fn timed<T>(
    channel: &mut Channel,
    boot: &BootClock,
    statement: store::Statement,
    read: fn(&Row<'_>) -> Result<(i64, T)>,
) -> Result<Option<(ClockReading, T)>> {
    let asked = boot.microseconds();
    let rows = channel.fetch_all(statement, read).await?;
    let answered = boot.microseconds();
    Ok(rows.into_iter().next().map(|(time, value)| {
        let reading = ClockReading {
            time,
            asked,
            answered,
        };
        (reading, value)
    }))
}

/// Begins a session. Returns its epoch.
pub(crate) async fn begin(
    channel: &mut Channel,
    boot: &BootClock,
    options: &SessionOptions,
    revision: i64,
) -> Result<(ClockReading, i64)> {
    let statement = sql!(
        BEGIN,
        options.name.as_str(),
        options.version,
        options.fingerprint.as_str(),
        i64::from(options.keep_bodies_days),
        SESSION_TIMEOUT,
        revision
    );
    let read = |row: &Row<'_>| Ok((row.get("now")?, row.get("epoch")?));
    let begun = timed(channel, boot, statement, read).await?;
    begun.ok_or(Error::NoRow)
}

/// Prolongs a session; `None` if it is over.
pub(crate) async fn prolong(
    channel: &mut Channel,
    boot: &BootClock,
    (epoch, generation, revision): (i64, i64, i64),
) -> Result<Option<ClockReading>> {
    let statement = sql!(PROLONG, epoch, SESSION_TIMEOUT, generation, revision);
    let read = |row: &Row<'_>| Ok((row.get("now")?, ()));
    let prolonged = timed(channel, boot, statement, read).await?;
    Ok(prolonged.map(|(reading, ())| reading))
}

/// Ends a session; `has_left` if nothing is left under way.
pub(crate) async fn end(channel: &mut Channel, epoch: i64, has_left: bool) -> Result<()> {
    channel
        .fetch_all(sql!(END, epoch, has_left), |_| Ok(()))
        .await?;
    Ok(())
}

/// Ends the sessions whose time has passed, for good. Returns their epochs and the names of their nodes.
pub(crate) async fn end_expired(channel: &mut Channel) -> Result<Vec<(i64, String)>> {
    let read = |row: &Row<'_>| Ok((row.get("epoch")?, row.get("name")?));
    channel.fetch_all(sql!(END_EXPIRED), read).await
}

/// Deletes the rows of sessions that have ended long ago.
pub(crate) async fn prune(channel: &mut Channel) -> Result<()> {
    channel
        .fetch_all(sql!(PRUNE, MAX_ENDED_AGE), |_| Ok(()))
        .await?;
    Ok(())
}

/// Returns the generation.
pub(crate) async fn generation(channel: &mut Channel) -> Result<StoredGeneration> {
    let statement = sql!(GENERATION, MAX_UNACKNOWLEDGED);
    let rows = channel.fetch_all(statement, StoredGeneration::read).await?;
    rows.into_iter().next().ok_or(Error::NoRow)
}

/// Begins the generation after `before`, unless another node has. `step` is the time by which the clock was set, in
/// microseconds.
pub(crate) async fn advance_generation(
    channel: &mut Channel,
    before: &StoredGeneration,
    step: i64,
) -> Result<()> {
    let identity = before.current_identity.as_str();
    let statement = sql!(ADVANCE, before.generation.number, identity, step);
    channel.fetch_all(statement, |_| Ok(())).await?;
    Ok(())
}
