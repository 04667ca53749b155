//! The store: both databases and the revision of the administrative data.

use crate::backend::{self, Database, Read, Transaction};
use crate::error::Result;
use crate::migrate;
use crate::pool_size::DEFAULT_CONNECTIONS;
use crate::postgres::Channel;
use crate::revision::Revision;
use crate::timeouts::Timeouts;

/// Log targets of the drivers that print the values of statements at levels below `info`.
pub const VERBOSE_TARGETS: [&str; 2] = ["tokio_postgres", "tokio_postgres::query"];

/// The persistent data: administration and usage. On SQLite these are two files, so that their writers do not wait for
/// each other; on PostgreSQL they are one database.
#[derive(Clone)]
pub struct Store {
    administration: Database,
    usage: Database,
    revision: Revision,
}

impl Store {
    /// Opens the database at `url` (`sqlite://FILE`, `sqlite://FILE?synchronous=full` or `postgres://…`) and runs the
    /// migrations that are missing.
    ///
    /// # Errors
    /// The URL is of neither kind, or the database cannot be reached, created or migrated.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, DEFAULT_CONNECTIONS).await
    }

    /// Opens the database as [`Store::open`] does, with at most `connections` connections to PostgreSQL, those of
    /// [`Store::with_own_pool`] included. SQLite ignores the number.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(url: &str, connections: usize) -> Result<Self> {
        let (administration, usage) = backend::open(url, connections).await?;
        migrate::run(&administration, &usage).await?;
        Ok(Self {
            administration,
            usage,
            revision: Revision::default(),
        })
    }

    /// Returns a handle for a thread with its own runtime; see [`Database::with_own_pool`].
    ///
    /// # Errors
    /// The connection pool cannot be created.
    pub fn with_own_pool(&self) -> Result<Self> {
        let (administration, usage) =
            backend::with_own_pool(self.administration.clone(), self.usage.clone())?;
        Ok(Self {
            administration,
            usage,
            revision: self.revision.clone(),
        })
    }

    /// Returns a handle for requests: each operation succeeds or fails within about 5 seconds. Without this, a connection
    /// is waited for twice as long, and a statement on PostgreSQL without limit.
    #[must_use]
    pub fn for_requests(&self) -> Self {
        self.with_timeouts(Timeouts::REQUEST)
    }

    /// Returns a handle for polls that are repeated several times a second: each operation succeeds or fails within about
    /// 2 seconds.
    #[must_use]
    pub fn for_polls(&self) -> Self {
        self.with_timeouts(Timeouts::POLL)
    }

    /// Returns a handle for background work that is retried on failure: on PostgreSQL a statement is cancelled after half
    /// a minute, so that a hanging connection is given up.
    #[must_use]
    pub fn for_background(&self) -> Self {
        self.with_timeouts(Timeouts::BACKGROUND)
    }

    fn with_timeouts(&self, timeouts: Timeouts) -> Self {
        Self {
            administration: self.administration.with_timeouts(timeouts),
            usage: self.usage.with_timeouts(timeouts),
            revision: self.revision.clone(),
        }
    }

    /// Acquires a read-only connection to the administrative data.
    ///
    /// # Errors
    /// The database cannot be reached, or no connection became free in time.
    pub async fn read(&self) -> Result<Read> {
        self.administration.read().await
    }

    /// Begins a transaction on the administrative data. Its commit advances the revision.
    ///
    /// # Errors
    /// The database cannot be reached, or the write lock did not become free in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let transaction = self.administration.begin().await?;
        Ok(transaction.advancing(self.revision.clone()))
    }

    /// Begins a transaction on the administrative data whose commit does not advance the revision: for data that is in no
    /// snapshot, such as the time at which a key was last used.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn begin_untracked(&self) -> Result<Transaction> {
        self.administration.begin().await
    }

    /// Returns the administrative database.
    #[must_use]
    pub fn administration(&self) -> &Database {
        &self.administration
    }

    /// Returns the usage database: ledger, rollups, spend.
    #[must_use]
    pub fn usage(&self) -> &Database {
        &self.usage
    }

    /// Returns the counter of this process's administrative commits.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Connects to PostgreSQL for the notifications of this process and of others; `None` on SQLite, which no other server
    /// uses.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn channel(&self) -> Result<Option<Channel>> {
        self.administration.channel().await
    }

    /// Returns the name of the database system: `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.administration.kind()
    }

    /// Returns the first migration that has not run, if there is one; for readiness.
    ///
    /// # Errors
    /// A database cannot be read.
    pub async fn missing_migration(&self) -> Result<Option<&'static str>> {
        migrate::missing(&self.administration, &self.usage).await
    }

    /// Checks that each database can be written to, by committing a change without effect.
    ///
    /// # Errors
    /// The database cannot be read or written to.
    pub async fn probe(&self) -> Result<()> {
        for database in [&self.administration, &self.usage] {
            let mut transaction = database.begin().await?;
            if database.is_local() {
                // This number is not used elsewhere. An update of a row to its own value would write nothing.
                transaction.batch("PRAGMA user_version = 1").await?;
                transaction.commit().await?;
                continue;
            }
            transaction.execute(migrate::touch()).await?;
            return transaction.commit().await;
        }
        Ok(())
    }
}
