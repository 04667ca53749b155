//! Dispatch over the kinds of database. No other module matches on the kind.

mod connection;
mod transaction;

use std::path::Path;
use std::sync::Arc;

pub use connection::{Connection, Read};
pub use transaction::Transaction;

use crate::postgres::{Channel, Postgres};
use crate::sqlite::{DatabaseFiles, Sqlite};
use crate::timeouts::Timeouts;
use crate::{Error, Result};
use connection::DriverConnection;

/// A database, administration or usage, with the timeouts of its caller.
#[derive(Clone)]
pub struct Database {
    kind: DatabaseKind,
    timeouts: Timeouts,
}

#[derive(Clone)]
enum DatabaseKind {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// Opens the administrative and the usage database at `url`.
pub(crate) async fn open(url: &str, connections: usize) -> Result<(Database, Database)> {
    if url.starts_with("sqlite://") {
        let files = DatabaseFiles::parse(url)?;
        let open = |path: &Path| -> Result<Database> {
            let file = Sqlite::open(path, files.synchronous)?;
            Ok(Database::new(DatabaseKind::Sqlite(Arc::new(file))))
        };
        return Ok((open(&files.administration)?, open(&files.usage)?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let pool = Arc::new(Postgres::open(url, connections)?);
        let database = Database::new(DatabaseKind::Postgres(pool));
        database.read().await?;
        return Ok((database.clone(), database));
    }
    Err(Error::Url(
        "must begin with sqlite:// or postgres://".to_owned(),
    ))
}

/// Returns both databases for a thread with its own runtime. On PostgreSQL, where they are one database, they share the
/// thread's connections.
pub(crate) fn with_own_pool(
    administration: Database,
    usage: Database,
) -> Result<(Database, Database)> {
    let is_shared = match (&administration.kind, &usage.kind) {
        (DatabaseKind::Postgres(one), DatabaseKind::Postgres(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    let administration = administration.with_own_pool()?;
    let usage = if is_shared {
        let kind = administration.kind.clone();
        Database { kind, ..usage }
    } else {
        usage.with_own_pool()?
    };
    Ok((administration, usage))
}

impl Database {
    fn new(kind: DatabaseKind) -> Self {
        Self {
            kind,
            timeouts: Timeouts::JOB,
        }
    }

    pub(crate) fn with_timeouts(&self, timeouts: Timeouts) -> Self {
        Self {
            kind: self.kind.clone(),
            timeouts,
        }
    }

    /// Returns a handle for reports: a connection comes within 5 seconds, and on PostgreSQL a statement takes at most a
    /// minute.
    #[must_use]
    pub fn for_reports(&self) -> Self {
        self.with_timeouts(Timeouts::REPORT)
    }

    /// Returns a handle for background work; see [`Store::for_background`](crate::Store::for_background).
    #[must_use]
    pub fn for_background(&self) -> Self {
        self.with_timeouts(Timeouts::BACKGROUND)
    }

    /// Checks that PostgreSQL accepts the configured number of connections, and logs a warning if the connections of other
    /// clients leave fewer.
    ///
    /// # Errors
    /// [`TooManyConnections`](Error::TooManyConnections), or the database cannot be read.
    pub async fn check_connections(&self) -> Result<()> {
        match &self.kind {
            DatabaseKind::Sqlite(_) => Ok(()),
            DatabaseKind::Postgres(pool) => pool.check_connections(self.read().await?).await,
        }
    }

    /// Connects a channel; `None` on SQLite, whose file only one server uses.
    pub(crate) async fn channel(&self) -> Result<Option<Channel>> {
        match &self.kind {
            DatabaseKind::Sqlite(_) => Ok(None),
            DatabaseKind::Postgres(pool) => pool.channel().await.map(Some),
        }
    }

    /// Takes a connection from the pool. If the caller's first statement may take longer than a connection may be waited
    /// for, an empty statement is sent first, so that a dead connection is noticed in time.
    async fn reading(&self, pool: &Postgres) -> Result<DriverConnection> {
        let mut client = pool.connection(self.timeouts).await?;
        let acquire = self.timeouts.acquire;
        if self.timeouts.statement.is_none_or(|limit| limit > acquire) {
            client.batch("").await?;
        }
        Ok(DriverConnection::Client(client))
    }

    /// Acquires a read-only connection, whose queries each see everything committed before them.
    ///
    /// # Errors
    /// The database cannot be reached, or no connection became free in time.
    pub async fn read(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.kind {
            DatabaseKind::Sqlite(file) => DriverConnection::Reader(file.read(self.timeouts).await?),
            DatabaseKind::Postgres(pool) => self.reading(pool).await?,
        })))
    }

    /// Acquires a read-only connection whose queries all see the state at the first of them.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn snapshot(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.kind {
            DatabaseKind::Sqlite(file) => {
                DriverConnection::Reader(file.snapshot(self.timeouts).await?)
            }
            DatabaseKind::Postgres(pool) => {
                DriverConnection::Session(pool.snapshot(self.timeouts).await?)
            }
        })))
    }

    /// Begins a transaction. On SQLite it holds the file's write lock from the start (`BEGIN IMMEDIATE`), so that no later
    /// statement fails because of another writer.
    ///
    /// # Errors
    /// The database cannot be reached, or the write lock did not become free in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let connection = match &self.kind {
            DatabaseKind::Sqlite(file) => {
                DriverConnection::Writer(file.begin(self.timeouts).await?)
            }
            DatabaseKind::Postgres(pool) => {
                DriverConnection::Session(pool.begin(self.timeouts).await?)
            }
        };
        Ok(Transaction::new(Connection(connection)))
    }

    /// Returns a handle for a thread with its own runtime: on PostgreSQL it has its own connections, which live and end
    /// with that runtime.
    ///
    /// # Errors
    /// The connection pool cannot be created.
    pub fn with_own_pool(self) -> Result<Self> {
        let kind = match self.kind {
            DatabaseKind::Sqlite(file) => DatabaseKind::Sqlite(file),
            DatabaseKind::Postgres(pool) => DatabaseKind::Postgres(Arc::new(pool.with_own_pool()?)),
        };
        Ok(Self { kind, ..self })
    }

    /// Returns the file of a SQLite database that was deleted or replaced since it was opened, if one was: everything
    /// written to it is lost.
    #[must_use]
    pub fn lost_file(&self) -> Option<&Path> {
        match &self.kind {
            DatabaseKind::Sqlite(file) => file.lost_file(),
            DatabaseKind::Postgres(_) => None,
        }
    }

    /// True if only processes of this machine write to the database.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.kind, DatabaseKind::Sqlite(_))
    }

    /// Returns the name of the database system: `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.kind {
            DatabaseKind::Sqlite(_) => "sqlite",
            DatabaseKind::Postgres(_) => "postgres",
        }
    }
}
