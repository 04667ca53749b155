//! SQLite: one writer, several readers, write-ahead log.
//!
//! Queries run on the task that awaits them: a point query takes a few microseconds, less than handing it to another
//! thread and back. Queries that take longer go through [`super::Read::fetch_all_blocking`], commits and waits for locks
//! through [`writer`].

mod connection;
mod files;
mod reader_pool;
mod url;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OpenFlags};
use tokio::sync::Mutex;

use files::OpenFiles;
pub(crate) use reader_pool::Reader;
use reader_pool::ReaderPool;
pub(crate) use url::{DatabaseFiles, Synchronous};
pub(crate) use writer::Writer;

use crate::cooperative;
use crate::timeouts::Timeouts;
use crate::value::{ColumnIndexes, DriverRow};
use crate::{Error, Result, Row, Statement, Value};

/// The time that opening a file, and a reader, wait for a lock that another process holds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of connections that read one file.
const READER_COUNT: usize = 8;

/// The connections to one file.
pub(crate) struct Sqlite {
    writer: Arc<Mutex<Connection>>,
    readers: Arc<ReaderPool>,
    files: OpenFiles,
}

impl Sqlite {
    /// Opens the file, creating it if it does not exist, and removes the access rights of other users.
    pub(crate) fn open(path: &Path, synchronous: Synchronous) -> Result<Self> {
        files::make_private(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let writer = connection::open(path, flags, synchronous)?;
        // The writer retries by itself, since SQLite would sleep on the async worker.
        writer.busy_timeout(Duration::ZERO)?;
        let readers: Result<Vec<_>> = (0..READER_COUNT)
            .map(|_| connection::open_reader(path, synchronous))
            .collect();
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            readers: Arc::new(ReaderPool::new(readers?)),
            files: OpenFiles::of(path),
        })
    }

    /// Returns the file that was deleted or replaced since it was opened, if one was.
    pub(crate) fn lost_file(&self) -> Option<&Path> {
        self.files.lost()
    }

    /// Acquires a reader whose queries each see everything committed before them.
    pub(crate) async fn read(&self, timeouts: Timeouts) -> Result<Reader> {
        self.readers.acquire(timeouts.acquire).await
    }

    /// Acquires a reader whose queries all see the same state.
    pub(crate) async fn snapshot(&self, timeouts: Timeouts) -> Result<Reader> {
        self.readers.snapshot(timeouts.acquire).await
    }

    /// Begins a write transaction.
    pub(crate) async fn begin(&self, timeouts: Timeouts) -> Result<Writer> {
        Writer::begin(Arc::clone(&self.writer), timeouts.acquire).await
    }
}

/// Runs `work` on a thread for blocking calls. A panic of it continues in the caller.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down.
            Err(_) => Err(Error::Busy),
        },
    }
}

/// Prepares a statement and binds its values by their numbers. SQLite treats `$2` as a name, numbered by its first
/// occurrence and found by a search through all names before it, which takes longer than inserting the rows of a long
/// `INSERT`; `?2` is the number 2.
fn prepare<'connection>(
    connection: &'connection Connection,
    statement: &Statement,
) -> Result<CachedStatement<'connection>> {
    let text = statement.text.replace('$', "?");
    let mut prepared = connection.prepare_cached(&text)?;
    let count = prepared.parameter_count();
    let values = statement.values.get(..count);
    let values = values.ok_or_else(|| Error::Parameter(statement.text.to_string()))?;
    for (index, value) in values.iter().enumerate() {
        prepared.raw_bind_parameter(index + 1, value.storable()?)?;
    }
    Ok(prepared)
}

/// Runs a statement that returns no rows; returns the number of rows that it changed.
pub(crate) fn execute(connection: &Connection, statement: &Statement) -> Result<u64> {
    let mut prepared = prepare(connection, statement)?;
    let changed = prepared.raw_execute()?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Runs a statement and calls `step` with each row of its result.
pub(crate) fn for_each_row(
    connection: &Connection,
    statement: &Statement,
    mut step: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut prepared = prepare(connection, statement)?;
    let mut rows = prepared.raw_query();
    let indexes = ColumnIndexes::default();
    while let Some(row) = rows.next()? {
        step(&indexes.row(DriverRow::Sqlite(row)))?;
    }
    Ok(())
}

/// Inserts rows one by one, some of which may exist; returns for each of them whether it was inserted.
pub(crate) fn insert_each(
    connection: &Connection,
    head: &Statement,
    rows: &[Vec<Value>],
    tail: &Statement,
) -> Result<Vec<bool>> {
    let text = head.text_of_rows(1, rows.first().map_or(0, Vec::len), tail);
    let mut prepared = connection.prepare_cached(&text.replace('$', "?"))?;
    let mut is_new = Vec::with_capacity(rows.len());
    for row in cooperative::yield_every(rows) {
        for (index, value) in row.iter().enumerate() {
            prepared.raw_bind_parameter(index + 1, value.storable()?)?;
        }
        is_new.push(prepared.raw_execute()? == 1);
    }
    Ok(is_new)
}

#[cfg(test)]
mod tests {
    use super::connection::in_memory;
    use super::*;
    use crate::sql;

    #[test]
    fn values_are_bound_by_their_numbers() {
        let connection = in_memory(Synchronous::Normal);
        let read = |statement: Statement| {
            let mut found = Vec::new();
            let keep = |row: &Row<'_>| {
                found.push(row.get::<String>("text")?);
                Ok(())
            };
            for_each_row(&connection, &statement, keep).expect("rows");
            found
        };
        let text = "SELECT $2 || $1 || $2 AS text";
        assert_eq!(read(sql!(text, "a", "b", "unused")), ["bab"]);
        let missing = for_each_row(&connection, &sql!(text, "a"), |_| Ok(()));
        assert!(matches!(missing, Err(Error::Parameter(_))));
    }
}
