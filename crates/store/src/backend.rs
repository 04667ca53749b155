//! The only module that matches on the kind of database.

mod connection;
mod transaction;

use std::path::Path;
use std::sync::Arc;

pub use connection::{Connection, Read};
pub use transaction::Transaction;

use crate::postgres::Postgres;
use crate::sqlite::{Files, Sqlite};
use crate::timeouts::Timeouts;
use crate::{Error, Result};
use connection::Link;

/// One database: administration or usage.
#[derive(Clone)]
pub struct Database {
    kind: Kind,
    timeouts: Timeouts,
}

#[derive(Clone)]
enum Kind {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// Opens what `url` names: the administrative and the usage database.
pub(crate) async fn open(url: &str, connections: usize) -> Result<(Database, Database)> {
    if url.starts_with("sqlite://") {
        let files = Files::parse(url)?;
        let open = |path: &Path| -> Result<Database> {
            let file = Sqlite::open(path, files.synchronous)?;
            Ok(Database::new(Kind::Sqlite(Arc::new(file))))
        };
        return Ok((open(&files.administration)?, open(&files.usage)?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let database = Database::new(Kind::Postgres(Arc::new(Postgres::open(url, connections)?)));
        database.read().await?;
        return Ok((database.clone(), database));
    }
    Err(Error::Url(
        "must begin with sqlite:// or postgres://".to_owned(),
    ))
}

/// The administrative and the usage database for a thread that has a runtime of its own. On PostgreSQL, where they are one,
/// they share its connections.
pub(crate) fn apart(administration: Database, usage: Database) -> Result<(Database, Database)> {
    let shared = match (&administration.kind, &usage.kind) {
        (Kind::Postgres(one), Kind::Postgres(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    let administration = administration.apart()?;
    let usage = if shared {
        let kind = administration.kind.clone();
        Database { kind, ..usage }
    } else {
        usage.apart()?
    };
    Ok((administration, usage))
}

impl Database {
    fn new(kind: Kind) -> Self {
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

    /// Returns the same database for reports that somebody waits for: a connection comes within 5 seconds, and on
    /// PostgreSQL a statement takes no longer than a minute.
    #[must_use]
    pub fn for_reports(&self) -> Self {
        self.with_timeouts(Timeouts::REPORT)
    }

    /// Returns the same database for work beside requests; see [`Store::for_background`](crate::Store::for_background).
    #[must_use]
    pub fn for_background(&self) -> Self {
        self.with_timeouts(Timeouts::BACKGROUND)
    }

    /// Refuses a number of connections that PostgreSQL does not take, and warns where those of others leave less.
    ///
    /// # Errors
    /// [`TooManyConnections`](Error::TooManyConnections), or the database cannot be asked.
    pub async fn check_connections(&self) -> Result<()> {
        match &self.kind {
            Kind::Sqlite(_) => Ok(()),
            Kind::Postgres(pool) => pool.check_connections(self.read().await?).await,
        }
    }

    /// A connection that reads. One whose first statement may take long is asked for an answer before.
    async fn reading(&self, pool: &Postgres) -> Result<Link> {
        let mut client = pool.connection(self.timeouts).await?;
        let acquire = self.timeouts.acquire;
        if self.timeouts.statement.is_none_or(|limit| limit > acquire) {
            client.batch("").await?;
        }
        Ok(Link::Client(client))
    }

    /// A connection that can only read.
    ///
    /// # Errors
    /// The database cannot be reached, or none of its connections came free in time.
    pub async fn read(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.kind {
            Kind::Sqlite(file) => Link::Reader(file.read(self.timeouts).await?),
            Kind::Postgres(pool) => self.reading(pool).await?,
        })))
    }

    /// A connection for a few short queries, which on SQLite see the same and find the data as it was looked at before,
    /// unless this process has committed since. What other processes commit is seen after [`Database::look_anew`].
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn look(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.kind {
            Kind::Sqlite(file) => Link::Reader(file.look(self.timeouts).await?),
            Kind::Postgres(pool) => self.reading(pool).await?,
        })))
    }

    /// Whoever looks from now on sees what other processes have committed.
    pub fn look_anew(&self) {
        if let Kind::Sqlite(file) = &self.kind {
            file.look_anew();
        }
    }

    /// A connection that can only read, and sees nothing of what is committed from its first query on.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn snapshot(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.kind {
            Kind::Sqlite(file) => Link::Reader(file.snapshot(self.timeouts).await?),
            Kind::Postgres(pool) => Link::Session(pool.snapshot(self.timeouts).await?),
        })))
    }

    /// A transaction: on SQLite the writer's turn (`BEGIN IMMEDIATE`), so that it never fails half-way for another's
    /// sake.
    ///
    /// # Errors
    /// The database cannot be reached, or no turn came in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let link = match &self.kind {
            Kind::Sqlite(file) => Link::Writer(file.begin(self.timeouts).await?),
            Kind::Postgres(pool) => Link::Session(pool.begin(self.timeouts).await?),
        };
        Ok(Transaction::new(Connection(link)))
    }

    /// The same database for a thread that has a runtime of its own: on PostgreSQL through connections of its own,
    /// which live and end with that runtime.
    ///
    /// # Errors
    /// The connections' pool cannot be made.
    pub fn apart(self) -> Result<Self> {
        let kind = match self.kind {
            Kind::Sqlite(file) => Kind::Sqlite(file),
            Kind::Postgres(pool) => Kind::Postgres(Arc::new(pool.apart()?)),
        };
        Ok(Self { kind, ..self })
    }

    /// The file of a SQLite database that was deleted or replaced since it was opened, if one was: what is written to it
    /// goes nowhere.
    #[must_use]
    pub fn lost_file(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Sqlite(file) => file.lost_file(),
            Kind::Postgres(_) => None,
        }
    }

    /// Whether only this machine's processes write to it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Sqlite(_))
    }

    /// Which database this is, for people and for migrations.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.kind {
            Kind::Sqlite(_) => "sqlite",
            Kind::Postgres(_) => "postgres",
        }
    }
}
