//! SQLite: one writer, several readers, write-ahead log.
//!
//! Queries run where they are awaited: a point query takes a few microseconds, less than handing it to another
//! thread and back. What can take long goes through [`super::Connection::fetch_all_aside`].

mod connection;
mod files;
mod readers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{CachedStatement, OpenFlags};
use tokio::sync::{Mutex, OwnedMutexGuard};

use connection::Connection;
use files::OpenFiles;
pub(crate) use readers::Reader;
use readers::{Readers, Turn};

use base::time::Stopwatch;

use crate::courtesy::courteous;
use crate::timeouts::Timeouts;
use crate::value::{Driver, Layout};
use crate::{Error, Result, Row, Statement, Tables, Value};

/// The time that another process may keep a lock of the file, where no caller says how long it waits.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: usize = 8;

/// The connections to one file.
pub(crate) struct Sqlite {
    writer: Arc<Mutex<Connection>>,
    readers: Arc<Readers>,
    files: OpenFiles,
}

impl Sqlite {
    /// Opens the file, and creates it if it is not there. Others than its owner lose their rights at it.
    pub(crate) fn open(path: &Path, synchronous: Synchronous) -> Result<Self> {
        files::make_private(path);
        let catalog = Arc::default();
        let open = |flags| Connection::open(path, flags, synchronous, &catalog);
        let writer = open(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let readers: Result<Vec<_>> = (0..READERS)
            .map(|_| {
                let reader = open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                reader.only_reads()?;
                Ok(reader)
            })
            .collect();
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            readers: Arc::new(Readers::new(readers?)),
            files: OpenFiles::of(path),
        })
    }

    /// The file that was deleted or replaced since it was opened, if one was.
    pub(crate) fn lost_file(&self) -> Option<&Path> {
        self.files.lost()
    }

    /// A reader that sees each commit.
    pub(crate) async fn read(&self, timeouts: Timeouts) -> Result<Reader> {
        self.readers.read(timeouts.acquire).await
    }

    /// A reader to which nothing changes.
    pub(crate) async fn snapshot(&self, timeouts: Timeouts) -> Result<Reader> {
        self.readers.snapshot(timeouts.acquire).await
    }

    /// A reader to which nothing changes, and that may know what was committed by the last commit of this process.
    pub(crate) async fn look(&self, timeouts: Timeouts) -> Result<Reader> {
        self.readers.look(timeouts.acquire).await
    }

    /// Whoever looks from now on sees what other processes have committed.
    pub(crate) fn look_anew(&self) {
        self.readers.look_anew();
    }

    /// The writer's turn. Another process may hold the file's lock for what is left of the caller's time.
    pub(crate) async fn begin(&self, timeouts: Timeouts) -> Result<Writer> {
        let watch = Stopwatch::start();
        let turn = Arc::clone(&self.writer).lock_owned();
        let turn = tokio::time::timeout(timeouts.acquire, turn).await;
        let connection = turn.map_err(|_| Error::Busy)?;
        connection.wait_for_lock(timeouts.acquire.saturating_sub(watch.elapsed()))?;
        let turn = self.readers.make_way();
        connection.command("BEGIN IMMEDIATE")?;
        connection.forget_uses();
        Ok(Writer {
            _turn: turn,
            connection,
            open: true,
        })
    }
}

/// When a commit waits for the disk, by SQLite's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// Not at each commit: what is committed survives the end of the process at any moment, but not that of the machine.
    #[default]
    Normal,
    /// At each commit.
    Full,
}

impl Synchronous {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

/// What a `sqlite://` URL names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// The file itself.
    pub(crate) administration: PathBuf,
    /// The usage data, beside it: `orgplane-usage.db`.
    pub(crate) usage: PathBuf,
    /// From the query: `?synchronous=normal` or `full`.
    pub(crate) synchronous: Synchronous,
}

impl Files {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let text = url.strip_prefix("sqlite://").unwrap_or_default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let synchronous = match query {
            "" | "synchronous=normal" => Synchronous::Normal,
            "synchronous=full" => Synchronous::Full,
            _ => {
                return Err(Error::Url(format!(
                    "{url:?} has a parameter that is not known; write ?synchronous=full, or =normal, or none"
                )));
            }
        };
        let file = Path::new(path);
        let Some(stem) = file.file_stem().filter(|_| !path.contains('\0')) else {
            return Err(Error::Url(format!(
                "{url:?} names no file; write sqlite://orgplane.db or sqlite:///var/lib/x.db"
            )));
        };
        let mut name = stem.to_owned();
        name.push("-usage");
        if let Some(extension) = file.extension() {
            name.push(".");
            name.push(extension);
        }
        Ok(Self {
            administration: file.to_owned(),
            usage: file.with_file_name(name),
            synchronous,
        })
    }
}

/// The writer's turn, inside a transaction; rolled back when dropped before its commit.
pub(crate) struct Writer {
    /// Ends before the next writer's can begin.
    _turn: Turn,
    connection: OwnedMutexGuard<Connection>,
    open: bool,
}

impl Writer {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Commits, and says to which tables it has written. The log may reach the disk here, so a worker of the runtime is
    /// not held up by it.
    pub(crate) fn commit(mut self) -> Result<Tables> {
        aside(|| self.connection.command("COMMIT"))?;
        self.open = false;
        Ok(self.connection.uses().written)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A full disk ends a transaction by itself.
        if self.open
            && !self.connection.is_autocommit()
            && let Err(error) = self.connection.command("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

/// Runs what may wait for the disk without holding up the tasks that share this worker.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Prepares a statement and binds its values by their numbers. To SQLite `$2` is a name, numbered by where it first
/// stands and found by going through all names before it, which takes longer than the rows of an `INSERT` when there
/// are many; `?2` is the number 2.
pub(crate) fn prepare<'connection>(
    connection: &'connection Connection,
    statement: &Statement,
) -> Result<CachedStatement<'connection>> {
    let text = statement.text.replace('$', "?");
    let mut prepared = connection.prepare(&text)?;
    let count = prepared.parameter_count();
    let values = statement.values.get(..count);
    let values = values.ok_or_else(|| Error::Parameter(statement.text.to_string()))?;
    for (index, value) in values.iter().enumerate() {
        prepared.raw_bind_parameter(index + 1, value.storable()?)?;
    }
    Ok(prepared)
}

/// Runs a statement that gives no rows; how many rows it changed.
pub(crate) fn execute(connection: &Connection, statement: &Statement) -> Result<u64> {
    let mut prepared = prepare(connection, statement)?;
    let changed = prepared.raw_execute()?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Runs a statement and shows each of its rows to `step`.
pub(crate) fn each(
    connection: &Connection,
    statement: &Statement,
    mut step: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut prepared = prepare(connection, statement)?;
    let mut rows = prepared.raw_query();
    let layout = Layout::default();
    while let Some(row) = rows.next()? {
        step(&layout.row(Driver::Sqlite(row)))?;
    }
    Ok(())
}

/// Inserts rows one by one, of which some may be there; of each, whether it was not.
pub(crate) fn insert_each(
    connection: &Connection,
    head: &Statement,
    rows: &[Vec<Value>],
    tail: &Statement,
) -> Result<Vec<bool>> {
    let text = head.text_of_rows(1, rows.first().map_or(0, Vec::len), tail);
    let mut prepared = connection.prepare(&text.replace('$', "?"))?;
    let mut new = Vec::with_capacity(rows.len());
    for row in courteous(rows) {
        for (index, value) in row.iter().enumerate() {
            prepared.raw_bind_parameter(index + 1, value.storable()?)?;
        }
        new.push(prepared.raw_execute()? == 1);
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::connection::in_memory;
    use super::*;
    use crate::sql;

    #[test]
    fn the_usage_file_stands_beside_the_other() {
        let files = Files::parse("sqlite:///var/lib/orgplane.db").expect("files");
        assert_eq!(files.administration, Path::new("/var/lib/orgplane.db"));
        assert_eq!(files.usage, Path::new("/var/lib/orgplane-usage.db"));
        assert!(Files::parse("sqlite://").is_err() && Files::parse("sqlite://?").is_err());
    }

    #[test]
    fn a_url_says_when_commits_wait_for_the_disk() {
        let synchronous = |url| Files::parse(url).map(|files| files.synchronous);
        for (url, pragma) in [
            ("sqlite://a.db", 1),
            ("sqlite://a.db?synchronous=normal", 1),
            ("sqlite://a.db?synchronous=full", 2),
        ] {
            let synchronous = synchronous(url).expect(url);
            let connection = in_memory(synchronous, &Arc::default());
            let mut found = 0;
            let keep = |row: &Row<'_>| {
                found = row.get("synchronous")?;
                Ok(())
            };
            each(&connection, &sql!("PRAGMA synchronous"), keep).expect("a row");
            assert_eq!(found, pragma, "{url}");
        }
        for url in ["sqlite://a.db?mode=ro", "sqlite://a.db?synchronous=off"] {
            assert!(synchronous(url).is_err(), "{url}");
        }
    }

    #[test]
    fn values_are_bound_by_their_numbers() {
        let connection = in_memory(Synchronous::Normal, &Arc::default());
        let read = |statement: Statement| {
            let mut found = Vec::new();
            let keep = |row: &Row<'_>| {
                found.push(row.get::<String>("text")?);
                Ok(())
            };
            each(&connection, &statement, keep).expect("rows");
            found
        };
        let text = "SELECT $2 || $1 || $2 AS text";
        assert_eq!(read(sql!(text, "a", "b", "unused")), ["bab"]);
        let missing = each(&connection, &sql!(text, "a"), |_| Ok(()));
        assert!(matches!(missing, Err(Error::Parameter(_))));
    }
}
