//! Pool of the connections that read one SQLite file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::command;
use crate::{Error, Result};

/// A fixed number of connections, of which each is lent to one [`Reader`] at a time.
pub(super) struct ReaderPool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl ReaderPool {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections.len())),
            idle: Mutex::new(connections),
        }
    }

    /// Acquires a connection in autocommit mode: each query sees everything committed before it.
    pub(super) async fn acquire(self: &Arc<Self>, timeout: Duration) -> Result<Reader> {
        let permits = || Arc::clone(&self.permits);
        let permit = match permits().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(timeout, permits().acquire_owned())
                .await
                .map_err(|_| Error::Busy)?
                .map_err(|_| Error::Busy)?,
        };
        let connection = self.lock().pop().ok_or(Error::Busy)?;
        Ok(Reader {
            connection: Some(connection),
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    /// Acquires a connection inside a read transaction: all queries see the state at the first of them.
    pub(super) async fn snapshot(self: &Arc<Self>, timeout: Duration) -> Result<Reader> {
        let reader = self.acquire(timeout).await?;
        reader.pin_snapshot()?;
        Ok(reader)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan; drop ends its transaction and returns it to the pool.
pub(crate) struct Reader {
    connection: Option<Connection>,
    pool: Arc<ReaderPool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or(Error::Busy)
    }

    /// Begins a read transaction, unless there is one: further queries see the state at the next of them.
    pub(crate) fn pin_snapshot(&self) -> Result<()> {
        let connection = self.connection()?;
        if connection.is_autocommit() {
            command(connection, "BEGIN")?;
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !connection.is_autocommit()
            && let Err(error) = command(&connection, "COMMIT")
        {
            tracing::error!(%error, "failed to end read transaction");
        }
        self.pool.lock().push(connection);
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use crate::sqlite::{Reader, Sqlite, Synchronous, Writer, execute, for_each_row};
    use crate::timeouts::Timeouts;
    use crate::{Row, sql};

    /// A file with a table, in a folder that is removed with the value.
    struct TestFile {
        file: Sqlite,
        folder: TempDir,
    }

    impl TestFile {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let file = open(&folder);
            let writer = file.begin(Timeouts::JOB).await.expect("the write lock");
            execute(writer.connection(), &sql!("CREATE TABLE t (n BIGINT)")).expect("a table");
            writer.commit(|| ()).await.expect("a commit");
            Self { file, folder }
        }

        async fn count(&self) -> i64 {
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
        let writer = file.begin(Timeouts::JOB).await.expect("the write lock");
        insert(&writer, text);
        writer.commit(|| ()).await.expect("a commit");
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
        let count = sql!("SELECT COUNT(*) AS n FROM t");
        for_each_row(reader.connection().expect("open"), &count, keep).expect("a row");
        found
    }

    #[tokio::test]
    async fn reader_sees_each_commit_of_this_process_and_of_others() {
        let test = TestFile::new().await;
        let other_process = open(&test.folder);
        let reader = test.file.read(Timeouts::JOB).await.expect("a reader");
        assert_eq!(count(&reader), 0);
        add(&test.file, "a").await;
        assert_eq!(count(&reader), 1);
        add(&other_process, "b").await;
        assert_eq!(count(&reader), 2);
        assert_eq!(test.count().await, 2);
    }

    #[tokio::test]
    async fn snapshot_does_not_change_and_ends_with_its_reader() {
        let test = TestFile::new().await;
        let other_process = open(&test.folder);
        add(&other_process, "a").await;
        let snapshot = test.file.snapshot(Timeouts::JOB).await.expect("a reader");
        assert_eq!(count(&snapshot), 1);
        add(&other_process, "b").await;
        add(&test.file, "c").await;
        assert_eq!(count(&snapshot), 1);
        drop(snapshot);
        assert_eq!(test.count().await, 3);
    }

    #[tokio::test]
    async fn log_starts_over_beneath_constant_reads() {
        let test = TestFile::new().await;
        let text = "x".repeat(100_000);
        for _ in 0..200 {
            test.count().await;
            let writer = test
                .file
                .begin(Timeouts::JOB)
                .await
                .expect("the write lock");
            insert(&writer, &text);
            test.count().await;
            writer.commit(|| ()).await.expect("a commit");
        }
        let (written, log) = (200 * 100_000, test.log_bytes());
        assert!(log < written / 2, "{log} bytes of log");
    }
}
