//! The connections that read, ready for use. One that has taken a look keeps its view of the data until somebody
//! writes: the next look finds it there, and need not take SQLite's locks again, which costs as much as to read a row.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use crate::{Error, Result, Tables};

/// The readers of one file.
pub(super) struct Readers {
    idle: Mutex<Idle>,
    permits: Arc<Semaphore>,
}

struct Idle {
    connections: Vec<Connection>,
    /// How many turns of writers have begun, and how many have ended: odd while one lasts.
    moves: u64,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections.len())),
            idle: Mutex::new(Idle {
                connections,
                moves: 0,
            }),
        }
    }

    /// One whose every query sees what is committed then.
    pub(super) async fn read(self: &Arc<Self>, timeout: Duration) -> Result<Reader> {
        let reader = self.take(timeout).await?;
        reader.end_view();
        Ok(reader)
    }

    /// One whose queries all see the same: what is committed by the time of the first of them, or earlier, as long as
    /// nobody of this process has committed since.
    pub(super) async fn look(self: &Arc<Self>, timeout: Duration) -> Result<Reader> {
        let reader = self.take(timeout).await?;
        reader.begin_view()?;
        Ok(reader)
    }

    /// One whose queries all see the same: what is committed by the time of the first of them. Its view is not kept.
    pub(super) async fn snapshot(self: &Arc<Self>, timeout: Duration) -> Result<Reader> {
        let mut reader = self.read(timeout).await?;
        reader.begin_view()?;
        reader.moves = None;
        Ok(reader)
    }

    async fn take(self: &Arc<Self>, timeout: Duration) -> Result<Reader> {
        let permits = || Arc::clone(&self.permits);
        let permit = match permits().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(timeout, permits().acquire_owned())
                .await
                .map_err(|_| Error::Busy)?
                .map_err(|_| Error::Busy)?,
        };
        let mut idle = self.lock();
        let connection = idle.connections.pop().ok_or(Error::Busy)?;
        connection.forget_uses();
        Ok(Reader {
            connection: Some(connection),
            moves: Some(idle.moves),
            readers: Arc::clone(self),
            _permit: permit,
        })
    }

    /// Somebody begins to write. Until the end of that no view is kept: SQLite's log starts over only when nobody
    /// looks at it.
    pub(super) fn make_way(self: &Arc<Self>) -> Turn {
        self.end_views(1);
        Turn(Arc::clone(self))
    }

    /// Whoever looks from now on sees what other processes have committed.
    pub(super) fn look_anew(&self) {
        self.end_views(2);
    }

    fn end_views(&self, moves: u64) {
        let mut idle = self.lock();
        idle.moves += moves;
        idle.connections.iter().for_each(end_view);
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody writes, until it is dropped.
pub(super) struct Turn(Arc<Readers>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().moves += 1;
    }
}

/// A connection that reads; back among the others when dropped.
pub(crate) struct Reader {
    connection: Option<Connection>,
    /// The moves by the time it was taken; none where its view must end with it.
    moves: Option<u64>,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or(Error::Busy)
    }

    /// The tables from which it has read since it was taken.
    pub(crate) fn tables(&self) -> Tables {
        let uses = self.connection.as_ref().map(Connection::uses);
        uses.map_or(Tables::ALL, |uses| uses.read)
    }

    fn begin_view(&self) -> Result<()> {
        let connection = self.connection()?;
        if connection.is_autocommit() {
            connection.command("BEGIN")?;
        }
        Ok(())
    }

    fn end_view(&self) {
        self.connection.iter().for_each(end_view);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self.readers.lock();
            let somebody_writes = idle.moves % 2 == 1;
            if somebody_writes || self.moves != Some(idle.moves) {
                end_view(&connection);
            }
            idle.connections.push(connection);
        }
    }
}

fn end_view(connection: &Connection) {
    if connection.is_autocommit() {
        return;
    }
    if let Err(error) = connection.command("COMMIT") {
        tracing::error!(%error, "a view of the data could not be ended");
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use crate::sqlite::{Reader, Sqlite, Synchronous, Writer, each, execute};
    use crate::timeouts::Timeouts;
    use crate::{Row, sql};

    /// A file with a table, in a folder that is removed with it.
    struct Place {
        file: Sqlite,
        folder: TempDir,
    }

    impl Place {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let file = open(&folder);
            let writer = file.begin(Timeouts::JOB).await.expect("a turn");
            execute(writer.connection(), &sql!("CREATE TABLE t (n BIGINT)")).expect("a table");
            writer.commit().expect("committed");
            Self { file, folder }
        }

        async fn look(&self) -> i64 {
            count(&self.file.look(Timeouts::JOB).await.expect("a reader"))
        }

        async fn read(&self) -> i64 {
            count(&self.file.read(Timeouts::JOB).await.expect("a reader"))
        }

        fn log_bytes(&self) -> u64 {
            let log = self.folder.path().join("a.db-wal");
            std::fs::metadata(log).expect("the log").len()
        }
    }

    fn open(folder: &TempDir) -> Sqlite {
        let path = folder.path().join("a.db");
        Sqlite::open(&path, Synchronous::Normal).expect("a database")
    }

    async fn add(file: &Sqlite, text: &str) {
        let writer = file.begin(Timeouts::JOB).await.expect("a turn");
        insert(&writer, text);
        writer.commit().expect("committed");
    }

    fn insert(writer: &Writer, text: &str) {
        let insert = sql!("INSERT INTO t VALUES ($1)", text);
        execute(writer.connection(), &insert).expect("a row");
    }

    fn count(reader: &Reader) -> i64 {
        let mut found = 0;
        let keep = |row: &Row<'_>| {
            found = row.get("n")?;
            Ok(())
        };
        let ask = sql!("SELECT COUNT(*) AS n FROM t");
        each(reader.connection().expect("open"), &ask, keep).expect("a row");
        found
    }

    #[tokio::test]
    async fn a_view_lasts_until_its_process_commits() {
        let place = Place::new().await;
        let other_process = open(&place.folder);
        assert_eq!(place.look().await, 0);
        add(&other_process, "a").await;
        assert_eq!(place.look().await, 0, "the same view");
        assert_eq!(place.read().await, 1, "a reader that looks at nothing old");
        assert_eq!(place.look().await, 1, "that one ended the view");
        add(&other_process, "b").await;
        add(&place.file, "c").await;
        assert_eq!(place.look().await, 3);
        add(&other_process, "d").await;
        place.file.look_anew();
        assert_eq!(place.look().await, 4);
    }

    #[tokio::test]
    async fn a_reader_in_use_sees_the_same_and_takes_its_view_with_it() {
        let place = Place::new().await;
        let reader = place.file.look(Timeouts::JOB).await.expect("a reader");
        assert_eq!(count(&reader), 0);
        add(&place.file, "a").await;
        assert_eq!(count(&reader), 0);
        assert_eq!(place.look().await, 1, "another one");
        drop(reader);
        assert_eq!(place.look().await, 1, "the one that came back last");
        let writer = place.file.begin(Timeouts::JOB).await.expect("a turn");
        assert_eq!(place.look().await, 1);
        drop(writer);
        assert_eq!(place.look().await, 1);
    }

    #[tokio::test]
    async fn a_snapshot_is_taken_anew_and_ends() {
        let place = Place::new().await;
        let other_process = open(&place.folder);
        assert_eq!(place.look().await, 0);
        add(&other_process, "a").await;
        let snapshot = place.file.snapshot(Timeouts::JOB).await.expect("a reader");
        assert_eq!(count(&snapshot), 1);
        add(&other_process, "b").await;
        assert_eq!(count(&snapshot), 1);
        drop(snapshot);
        assert_eq!(place.look().await, 2);
    }

    #[tokio::test]
    async fn the_log_starts_over_beneath_constant_looks() {
        let place = Place::new().await;
        let text = "x".repeat(100_000);
        for _ in 0..200 {
            place.look().await;
            let writer = place.file.begin(Timeouts::JOB).await.expect("a turn");
            insert(&writer, &text);
            place.look().await;
            writer.commit().expect("committed");
        }
        let (written, log) = (200 * 100_000, place.log_bytes());
        assert!(log < written / 2, "{log} bytes of log");
    }
}
