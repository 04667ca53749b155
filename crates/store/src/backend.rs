//! The only module that matches on the kind of database.

mod connection;
mod transaction;

use std::path::Path;
use std::sync::Arc;

pub use connection::{Connection, Read};
pub use transaction::Transaction;

use crate::postgres::Postgres;
use crate::sqlite::{Files, Sqlite};
use crate::{Error, Result};
use connection::Link;

/// One database: administration or usage.
#[derive(Clone)]
pub struct Database(Kind);

#[derive(Clone)]
enum Kind {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// Opens what `url` names: the administrative and the usage database.
pub(crate) async fn open(url: &str) -> Result<(Database, Database)> {
    if url.starts_with("sqlite://") {
        let files = Files::parse(url)?;
        let open = |path: &Path| -> Result<Database> {
            let file = Sqlite::open(path, files.synchronous)?;
            Ok(Database(Kind::Sqlite(Arc::new(file))))
        };
        return Ok((open(&files.administration)?, open(&files.usage)?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let database = Database(Kind::Postgres(Arc::new(Postgres::open(url)?)));
        database.read().await?;
        return Ok((database.clone(), database));
    }
    Err(Error::Url(
        "must begin with sqlite:// or postgres://".to_owned(),
    ))
}

impl Database {
    /// A connection that can only read.
    ///
    /// # Errors
    /// The database cannot be reached, or none of its connections came free in time.
    pub async fn read(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.0 {
            Kind::Sqlite(file) => Link::Reader(file.read().await?),
            Kind::Postgres(pool) => Link::Client(pool.connection().await?),
        })))
    }

    /// A connection for a few short queries, which on SQLite see the same and find the data as it was looked at before,
    /// unless this process has committed since. What other processes commit is seen after [`Database::look_anew`].
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn look(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.0 {
            Kind::Sqlite(file) => Link::Reader(file.look().await?),
            Kind::Postgres(pool) => Link::Client(pool.connection().await?),
        })))
    }

    /// Whoever looks from now on sees what other processes have committed.
    pub fn look_anew(&self) {
        if let Kind::Sqlite(file) = &self.0 {
            file.look_anew();
        }
    }

    /// A connection that can only read, and sees nothing of what is committed from its first query on.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn snapshot(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.0 {
            Kind::Sqlite(file) => Link::Reader(file.snapshot().await?),
            Kind::Postgres(pool) => Link::Session(pool.snapshot().await?),
        })))
    }

    /// A transaction: on SQLite the writer's turn (`BEGIN IMMEDIATE`), so that it never fails half-way for another's
    /// sake.
    ///
    /// # Errors
    /// The database cannot be reached, or no turn came in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let link = match &self.0 {
            Kind::Sqlite(file) => Link::Writer(file.begin().await?),
            Kind::Postgres(pool) => Link::Session(pool.begin().await?),
        };
        Ok(Transaction::new(Connection(link)))
    }

    /// The same database for a thread that has a runtime of its own: on PostgreSQL through connections of its own,
    /// which live and end with that runtime.
    ///
    /// # Errors
    /// The connections' pool cannot be made.
    pub fn apart(self) -> Result<Self> {
        Ok(Self(match self.0 {
            Kind::Sqlite(file) => Kind::Sqlite(file),
            Kind::Postgres(pool) => Kind::Postgres(Arc::new(pool.apart()?)),
        }))
    }

    /// Whether only this machine's processes write to it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.0, Kind::Sqlite(_))
    }

    /// Which database this is, for people and for migrations.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Sqlite(_) => "sqlite",
            Kind::Postgres(_) => "postgres",
        }
    }
}
