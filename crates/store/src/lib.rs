//! The only crate that knows there are two databases.
//!
//! One SQL text serves SQLite and PostgreSQL: `$n` parameters, `BIGINT`, `TEXT`, `BOOLEAN` and `BYTEA` columns,
//! `ON CONFLICT` and `RETURNING`. What must differ is in migrations, as a pair of files.

mod backend;
mod courtesy;
mod error;
mod migrate;
mod outage;
mod page;
mod partition;
mod postgres;
mod revision;
mod secret_check;
mod sqlite;
mod statement;
mod tables;
#[cfg(feature = "testing")]
pub mod testing;
mod timeouts;
mod value;

pub use backend::{Connection, Database, Read, Transaction};
pub use courtesy::{courteous, late_after, step_aside};
pub use error::Error;
pub use outage::Outage;
pub use page::{Key, Order, Page, PageRequest, unknown_cursor};
pub use partition::{Partitioned, USAGE_EVENTS};
pub use revision::{Follower, Revision};
pub use statement::Statement;
pub use tables::Tables;
pub use value::{Column, Row, Value};

use timeouts::Timeouts;

/// The connections that a process keeps to PostgreSQL at the most where nothing else is configured: two for the ledger's
/// writer, two for the writer of bodies, and the others for requests.
pub const DEFAULT_CONNECTIONS: usize = 12;
/// The fewest connections to PostgreSQL that a process can do with.
pub const MIN_CONNECTIONS: usize = 6;

/// The result of a query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who logs the values of statements below the level `info`, by the targets of the log.
pub const TALKATIVE: [&str; 2] = ["tokio_postgres", "tokio_postgres::query"];

/// Everything that lasts: the administrative data and, so that neither waits for the other's writer, the usage data.
/// On SQLite these are two files; on PostgreSQL one database.
#[derive(Clone)]
pub struct Store {
    administration: Database,
    usage: Database,
    revision: Revision,
}

impl Store {
    /// Opens the database at `url` (`sqlite://FILE`, `sqlite://FILE?synchronous=full` or `postgres://…`) and brings its
    /// tables up to date.
    ///
    /// # Errors
    /// The URL is not one of the two kinds, or the database cannot be reached, created or migrated.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, DEFAULT_CONNECTIONS).await
    }

    /// Opens the database as [`Store::open`] does, and keeps at most so many connections to PostgreSQL, those of
    /// [`Store::apart`] included. SQLite has no use for the number.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub async fn open_with(url: &str, connections: usize) -> Result<Self> {
        let (administration, usage) = backend::open(url, connections).await?;
        migrate::run(&administration, &usage).await?;
        Ok(Self {
            administration,
            usage,
            revision: Revision::default(),
        })
    }

    /// The same data for a thread that has a runtime of its own; see [`Database::apart`].
    ///
    /// # Errors
    /// The connections' pool cannot be made.
    pub fn apart(&self) -> Result<Self> {
        let (administration, usage) =
            backend::apart(self.administration.clone(), self.usage.clone())?;
        Ok(Self {
            administration,
            usage,
            revision: self.revision.clone(),
        })
    }

    /// Returns the same data for requests that somebody waits for: whatever is asked is answered or refused within about 5
    /// seconds. Without this, a connection is waited for twice as long, and a statement on PostgreSQL for ever.
    #[must_use]
    pub fn for_requests(&self) -> Self {
        Self {
            administration: self.administration.with_timeouts(Timeouts::REQUEST),
            usage: self.usage.with_timeouts(Timeouts::REQUEST),
            revision: self.revision.clone(),
        }
    }

    /// Returns the same data for looks that are repeated several times a second: each is answered, or refused, within about
    /// 2 seconds.
    #[must_use]
    pub fn for_polls(&self) -> Self {
        Self {
            administration: self.administration.with_timeouts(Timeouts::POLL),
            usage: self.usage.with_timeouts(Timeouts::POLL),
            revision: self.revision.clone(),
        }
    }

    /// Returns the same data for work beside requests that is tried again when it fails: on PostgreSQL a statement takes no
    /// longer than half a minute, so that a connection that hangs is given up.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self {
            administration: self.administration.with_timeouts(Timeouts::BACKGROUND),
            usage: self.usage.with_timeouts(Timeouts::BACKGROUND),
            revision: self.revision.clone(),
        }
    }

    /// A connection that can only read the administrative data.
    ///
    /// # Errors
    /// The database cannot be reached, or none of its connections came free in time.
    pub async fn read(&self) -> Result<Read> {
        self.administration.read().await
    }

    /// A connection for a few short queries on the administrative data; see [`Database::look`].
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn look(&self) -> Result<Read> {
        self.administration.look().await
    }

    /// Whoever looks from now on sees what other processes have committed.
    pub fn look_anew(&self) {
        self.administration.look_anew();
    }

    /// A transaction on the administrative data. Its commit moves the revision.
    ///
    /// # Errors
    /// The database cannot be reached, or no writer's turn came in time.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(self
            .administration
            .begin()
            .await?
            .announcing(self.revision.clone(), Revision::committed))
    }

    /// A transaction on the administrative data whose commit does not move the revision: for what no picture of the
    /// data shows, such as when a key was last used.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn begin_quietly(&self) -> Result<Transaction> {
        let transaction = self.administration.begin().await?;
        Ok(transaction.announcing(self.revision.clone(), Revision::committed_quietly))
    }

    /// What moves with every commit to the administrative data: while it stays, so does every row. `None` on
    /// PostgreSQL, where other nodes commit too.
    #[must_use]
    pub fn state(&self) -> Option<u64> {
        self.administration
            .is_local()
            .then(|| self.revision.state())
    }

    /// Whether none of `tables` was written to since the moment at which [`Store::state`] was `state`.
    #[must_use]
    pub fn is_unchanged(&self, tables: Tables, state: u64) -> bool {
        self.revision.is_unchanged(tables, state)
    }

    /// The administrative data.
    #[must_use]
    pub fn administration(&self) -> &Database {
        &self.administration
    }

    /// The usage data: ledger, rollups, spend.
    #[must_use]
    pub fn usage(&self) -> &Database {
        &self.usage
    }

    /// What moves with every administrative commit.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Which database this is, for people: `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.administration.kind()
    }
}
