//! Write transactions on a SQLite file. None of their steps blocks an async worker: the wait for the file's write lock
//! is a retry with pauses, and a commit, which may wait for the disk, runs on a thread for blocking calls.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::command;
use super::run_blocking;
use crate::{Error, Result};

/// The longest pause between two attempts at the write lock; the first pauses are shorter.
const MAX_LOCK_DELAY: Duration = Duration::from_millis(50);
/// The pause after the first attempt at the write lock.
const MIN_LOCK_DELAY: Duration = Duration::from_millis(1);

/// A write transaction; rolled back when dropped before its commit.
pub(crate) struct Writer {
    connection: OwnedMutexGuard<Connection>,
    is_open: bool,
}

impl Writer {
    /// Begins a transaction that holds the file's write lock: waits for the other writers of this process first, then for
    /// those of other processes.
    ///
    /// # Errors
    /// [`Error::Busy`]: the lock did not become free within `timeout`.
    pub(super) async fn begin(writer: Arc<Mutex<Connection>>, timeout: Duration) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        let connection = timeout_at(deadline, writer.lock_owned()).await;
        let connection = connection.map_err(|_| Error::Busy)?;
        let mut delay = MIN_LOCK_DELAY;
        loop {
            match command(&connection, "BEGIN IMMEDIATE") {
                Err(Error::Busy) if Instant::now() < deadline => sleep(delay).await,
                outcome => {
                    outcome?;
                    return Ok(Self {
                        connection,
                        is_open: true,
                    });
                }
            }
            delay = (delay * 2).min(MAX_LOCK_DELAY);
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Commits, then calls `committed`. Both happen, or neither, also if the future is dropped before its end.
    pub(crate) async fn commit(mut self, committed: impl FnOnce() + Send + 'static) -> Result<()> {
        run_blocking(move || {
            self.end()?;
            committed();
            Ok(())
        })
        .await
    }

    fn end(&mut self) -> Result<()> {
        command(&self.connection, "COMMIT")?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A full disk ends a transaction by itself.
        if self.is_open
            && !self.connection.is_autocommit()
            && let Err(error) = command(&self.connection, "ROLLBACK")
        {
            tracing::error!(%error, "failed to roll back transaction");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};
    use std::thread;
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::task::yield_now;

    use crate::sqlite::{Sqlite, Synchronous, execute};
    use crate::timeouts::Timeouts;
    use crate::{Error, sql};

    /// The time within which the lock is free in every test that expects it.
    const LOCK: Timeouts = Timeouts::JOB;

    fn open(folder: &TempDir) -> Sqlite {
        let path = folder.path().join("a.db");
        Sqlite::open(&path, Synchronous::Normal).expect("a database")
    }

    // `tokio::test` runs all tasks on one thread: a call that blocks it stops every task.
    #[tokio::test]
    async fn begin_waits_for_another_process_without_stopping_other_tasks() {
        let folder = tempfile::tempdir().expect("a folder");
        let (own, other_process) = (open(&folder), open(&folder));
        let held = other_process.begin(LOCK).await.expect("the write lock");
        let waiting = tokio::spawn(async move { own.begin(LOCK).await.map(drop) });
        // The task runs up to its wait, and this one goes on.
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!waiting.is_finished());
        held.commit(|| ()).await.expect("a commit");
        waiting.await.expect("no panic").expect("the write lock");
    }

    #[tokio::test]
    async fn begin_fails_as_busy_after_its_timeout() {
        let folder = tempfile::tempdir().expect("a folder");
        let (own, other_process) = (open(&folder), open(&folder));
        let held = other_process.begin(LOCK).await.expect("the write lock");
        let short = Timeouts {
            acquire: Duration::from_millis(20),
            ..LOCK
        };
        let refused = own.begin(short).await.map(drop);
        assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
        drop(held);
        own.begin(LOCK).await.expect("the write lock");
    }

    #[tokio::test]
    async fn commit_runs_on_another_thread_and_is_not_cancelled_by_drop() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = open(&folder);
        let writer = file.begin(LOCK).await.expect("the write lock");
        execute(writer.connection(), &sql!("CREATE TABLE t (n BIGINT)")).expect("a table");
        let (told, committer) = mpsc::channel();
        {
            let mut commit = pin!(writer.commit(move || {
                told.send(thread::current().id()).expect("a receiver");
            }));
            let _ = commit
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
        let writer = file.begin(LOCK).await.expect("the write lock");
        assert_ne!(
            committer.try_recv().expect("a commit"),
            thread::current().id()
        );
        execute(writer.connection(), &sql!("INSERT INTO t VALUES (1)")).expect("the table");
    }

    #[tokio::test]
    async fn dropped_transaction_leaves_no_trace() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = open(&folder);
        let writer = file.begin(LOCK).await.expect("the write lock");
        execute(writer.connection(), &sql!("CREATE TABLE t (n BIGINT)")).expect("a table");
        drop(writer);
        let writer = file.begin(LOCK).await.expect("the write lock");
        let refused = execute(writer.connection(), &sql!("INSERT INTO t VALUES (1)"));
        assert!(refused.expect_err("no table").is_missing_table());
    }
}
