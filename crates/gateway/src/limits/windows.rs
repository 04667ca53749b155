//! The store of windows that last longer than the process: those that nodes share, or those of the only node.

use serde::Serialize;
use slices::{SavedUse, SwapAnswer, SwapCall};
use store::{Channel, Database, Result, Row, Store, sql};

use cluster::NodeSession;

/// The most rows that are read at a time.
const PAGE_LIMIT: i64 = 1_000;

/// Replaces blobs whose versions are those that the calls name. The rows are locked in their order, so that nodes whose calls
/// name the same do not wait for one another in a circle. A row begins with a version that it has never had.
const SWAP: &str = "\
    WITH calls AS MATERIALIZED ( \
        SELECT call.n, call.project, call.model, call.version, call.expires_at, decode(call.parts, 'hex') AS parts \
        FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS json)) AS call \
            (n BIGINT, project TEXT, model TEXT, version BIGINT, expires_at BIGINT, parts TEXT)), \
    current AS MATERIALIZED ( \
        SELECT generations.number FROM generations \
        WHERE generations.id = 1 AND generations.number = $2 AND generations.identity = \
            (SELECT CAST(system_identifier AS TEXT) FROM pg_control_system()) || '/' \
            || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)), \
    locked AS MATERIALIZED ( \
        SELECT own.project, own.model FROM limit_windows AS own \
        JOIN calls ON own.project = calls.project AND own.model = calls.model \
        ORDER BY own.project, own.model FOR UPDATE OF own), \
    updated AS ( \
        UPDATE limit_windows AS own \
        SET version = own.version + 1, parts = calls.parts, expires_at = calls.expires_at \
        FROM calls, current, locked \
        WHERE own.project = calls.project AND own.model = calls.model AND locked.project = own.project \
            AND locked.model = own.model AND own.version = calls.version AND calls.parts IS NOT NULL \
        RETURNING calls.n, own.version), \
    inserted AS ( \
        INSERT INTO limit_windows (project, model, version, parts, expires_at) \
        SELECT calls.project, calls.model, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT), calls.parts, \
            calls.expires_at \
        FROM calls, current WHERE calls.version = 0 AND calls.parts IS NOT NULL \
        ORDER BY calls.project, calls.model \
        ON CONFLICT (project, model) DO NOTHING RETURNING project, model, version) \
    SELECT calls.n, EXISTS (SELECT 1 FROM current) AS is_current, \
        COALESCE(updated.version, inserted.version) AS swapped, own.version AS present, own.parts \
    FROM calls \
    LEFT JOIN updated ON updated.n = calls.n \
    LEFT JOIN inserted ON inserted.project = calls.project AND inserted.model = calls.model \
    LEFT JOIN limit_windows AS own ON own.project = calls.project AND own.model = calls.model";

/// The windows of rate limits that last longer than the process, if any do.
pub struct LimitWindows(pub(crate) WindowStore);

/// The kinds of stores.
pub(crate) enum WindowStore {
    /// None: a restart begins with empty windows.
    Memory,
    /// A database that only this process serves, and what it has saved before.
    Own {
        database: Database,
        started_at: u64,
        saved: Vec<SavedRow>,
    },
    /// A database that nodes share.
    Shared { store: Store, session: NodeSession },
}

/// The windows of a name as they were saved.
pub(crate) struct SavedRow {
    pub(crate) project: String,
    pub(crate) model: String,
    pub(crate) parts: Vec<u8>,
}

impl LimitWindows {
    /// Returns windows that end with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self(WindowStore::Memory)
    }

    /// Opens the windows of a store: on PostgreSQL those that its nodes share, on SQLite those that this process has saved
    /// before.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(store: &Store, session: &NodeSession) -> Result<Self> {
        let database = store.usage().for_background();
        if !database.is_local() {
            let (store, session) = (store.clone(), session.clone());
            return Ok(Self(WindowStore::Shared { store, session }));
        }
        let started_at = session.now().hi;
        let saved = saved_rows(&database, milliseconds(started_at)).await?;
        Ok(Self(WindowStore::Own {
            database,
            started_at,
            saved,
        }))
    }
}

/// Reads the rows of which something is within a window.
async fn saved_rows(database: &Database, now: i64) -> Result<Vec<SavedRow>> {
    let mut rows: Vec<SavedRow> = Vec::new();
    let mut connection = database.read().await?;
    loop {
        let last = rows.last();
        let (project, model) = last.map_or(("", ""), |row| (&row.project, &row.model));
        let statement = sql!(
            "SELECT project, model, parts FROM limit_windows \
             WHERE (project > $1 OR project = $1 AND model > $2) AND expires_at > $3 \
             ORDER BY project, model LIMIT $4",
            project,
            model,
            now,
            PAGE_LIMIT
        );
        let page = connection.fetch_all(statement, read_row).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

fn read_row(row: &Row<'_>) -> Result<SavedRow> {
    Ok(SavedRow {
        project: row.get("project")?,
        model: row.get("model")?,
        parts: row.get("parts")?,
    })
}

/// Saves the use of names, and deletes rows of which nothing is within a window at `now`.
///
/// # Errors
/// The database's.
pub(super) async fn save(database: &Database, saved: &[SavedUse], now: u64) -> Result<()> {
    let mut transaction = database.begin().await?;
    for row in saved {
        let statement = sql!(
            "INSERT INTO limit_windows (project, model, version, parts, expires_at) VALUES ($1, $2, 1, $3, $4) \
             ON CONFLICT (project, model) DO UPDATE SET parts = excluded.parts, expires_at = excluded.expires_at",
            &*row.tenant,
            &*row.name,
            row.blob.clone(),
            milliseconds(row.expiry)
        );
        transaction.execute(statement).await?;
    }
    let expired = sql!(
        "DELETE FROM limit_windows WHERE expires_at <= $1",
        milliseconds(now)
    );
    transaction.execute(expired).await?;
    transaction.commit().await
}

/// A call to the store, as the statement reads it.
#[derive(Serialize)]
struct CallRow<'a> {
    n: usize,
    project: &'a str,
    model: &'a str,
    version: u64,
    expires_at: i64,
    parts: Option<String>,
}

/// A row of the statement's result.
struct AnswerRow {
    number: i64,
    answer: SwapAnswer,
}

/// Sends calls of one generation to the database that nodes share. Returns an answer for each.
///
/// # Errors
/// The database's: then nobody knows which blobs were stored.
pub(super) async fn swap(channel: &mut Channel, calls: &[SwapCall]) -> Result<Vec<SwapAnswer>> {
    let generation = calls.first().map_or(0, |call| call.generation);
    let rows = calls.iter().enumerate().map(|(n, call)| CallRow {
        n,
        project: &call.tenant,
        model: &call.name,
        version: call.version,
        expires_at: milliseconds(call.expiry),
        parts: call.blob.as_deref().map(hex),
    });
    let rows: Vec<CallRow<'_>> = rows.collect();
    let Ok(text) = serde_json::to_string(&rows) else {
        return Ok(vec![SwapAnswer::Lost; calls.len()]);
    };
    let statement = sql!(SWAP, text, milliseconds(generation));
    let found = channel.fetch_all(statement, read_answer).await?;
    let mut answers = vec![SwapAnswer::Lost; calls.len()];
    for row in found {
        let place = usize::try_from(row.number).ok();
        if let Some(answer) = place.and_then(|number| answers.get_mut(number)) {
            *answer = row.answer;
        }
    }
    Ok(answers)
}

fn read_answer(row: &Row<'_>) -> Result<AnswerRow> {
    let version = |version: i64| u64::try_from(version).unwrap_or(0);
    let answer = if !row.get::<bool>("is_current")? {
        SwapAnswer::Refused
    } else if let Some(swapped) = row.get::<Option<i64>>("swapped")? {
        let version = version(swapped);
        SwapAnswer::Swapped { version }
    } else {
        SwapAnswer::Present {
            version: version(row.get::<Option<i64>>("present")?.unwrap_or(0)),
            blob: row.get::<Option<Vec<u8>>>("parts")?.unwrap_or_default(),
        }
    };
    Ok(AnswerRow {
        number: row.get("n")?,
        answer,
    })
}

/// Deletes rows of which nothing is within a window at `now`, in the database that nodes share.
///
/// # Errors
/// The database's.
pub(super) async fn delete_expired(channel: &mut Channel, now: u64) -> Result<()> {
    let expired = sql!(
        "DELETE FROM limit_windows WHERE (project, model) IN ( \
             SELECT project, model FROM limit_windows WHERE expires_at <= $1 \
             ORDER BY project, model LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        milliseconds(now)
    );
    channel.fetch_all(expired, |_| Ok(())).await?;
    Ok(())
}

fn milliseconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
