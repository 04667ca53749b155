//! What can go wrong between the program and its database.

use base::Error as Refusal;
use tokio_postgres::error::SqlState;

use crate::outage::{self, Outage};

/// The `retry-after` of a request that a database was away for.
const UNAVAILABLE_RETRY_SECONDS: u64 = 5;

/// Why a query, a connection or a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database's address makes no sense.
    #[error("the database URL {0}")]
    Url(String),
    /// A row with the same unique value exists.
    #[error("a row with this {0} exists")]
    Duplicate(String),
    /// No connection or no writer's turn came free in time.
    #[error("the database is busy")]
    Busy,
    /// The database did not answer in time.
    #[error("the database does not answer")]
    Timeout,
    /// A column was missing or had another type than was asked for.
    #[error("column {0}: {1}")]
    Column(String, String),
    /// A statement has a parameter that is no number, or has no value.
    #[error("a parameter without a value in: {0}")]
    Parameter(String),
    /// A value has a character that PostgreSQL cannot keep, so neither database does, and no row has it.
    #[error("a text has a NUL character, which no row can have")]
    Nul,
    /// A row that must exist does not.
    #[error("a query gave no row where one must exist")]
    NoRow,
    /// The table of a day was dropped, and is not made again.
    #[error("the rows of this day are not kept any more")]
    Dropped,
    /// The tables are not the ones that this program knows.
    #[error("migration {0}: {1}")]
    Migration(String, String),
    /// SQLite said so.
    #[error("SQLite: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// PostgreSQL said so.
    #[error("PostgreSQL: {}", crate::postgres::describe(.0))]
    Postgres(#[source] tokio_postgres::Error),
    /// The files or the settings of TLS are of no use.
    #[error("TLS to PostgreSQL: {0}")]
    Tls(String),
    /// This process is to keep more connections than PostgreSQL takes.
    #[error(
        "database_connections is {wanted}, but PostgreSQL takes only {most} of this user (its max_connections, without those that \
         are reserved, or the limit of the user or the database): lower database_connections, or raise that"
    )]
    TooManyConnections {
        /// The connections that this process may keep.
        wanted: i64,
        /// The connections that the server takes.
        most: i64,
    },
    /// PostgreSQL takes no further connection now.
    #[error(
        "PostgreSQL takes no more connections ({0}): raise its max_connections, or lower database_connections of the nodes"
    )]
    NoConnections(String),
    /// PostgreSQL could not be reached.
    #[error("PostgreSQL: {0}")]
    Pool(String),
}

impl Error {
    /// Whether the database will say the same whenever it is asked again: a value does not fit, or a row must not be.
    /// Otherwise it failed, and may not the next time.
    #[must_use]
    pub fn is_final(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
        match self {
            Self::Duplicate(_)
            | Self::Dropped
            | Self::Nul
            | Self::Column(..)
            | Self::Parameter(_) => true,
            Self::Sqlite(error) => error
                .sqlite_error_code()
                .is_some_and(|code| matches!(code, ConstraintViolation | TooBig | TypeMismatch)),
            // Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded.
            Self::Postgres(error) => error.code().is_some_and(|state| {
                ["22", "23", "54"]
                    .iter()
                    .any(|class| state.code().starts_with(class))
            }),
            _ => false,
        }
    }

    /// Whether a table that a statement names is not there.
    #[must_use]
    pub fn is_missing_table(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.to_string().starts_with("no such table"),
            Self::Postgres(error) => error.code() == Some(&SqlState::UNDEFINED_TABLE),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
        match &error {
            rusqlite::Error::SqliteFailure(failure, message)
                if [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY]
                    .contains(&failure.extended_code) =>
            {
                Self::Duplicate(message.clone().unwrap_or_default())
            }
            rusqlite::Error::SqliteFailure(failure, _)
                if matches!(failure.code, DatabaseBusy | DatabaseLocked) =>
            {
                Self::Busy
            }
            _ => Self::Sqlite(error),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) if *db.code() == SqlState::UNIQUE_VIOLATION => {
                Self::Duplicate(db.constraint().unwrap_or_default().to_owned())
            }
            _ => Self::Postgres(error),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Timeout(_) => Self::Busy,
            // Whatever went wrong with a connection that is not there yet, the server was not reached.
            deadpool_postgres::PoolError::Backend(error) if error.as_db_error().is_none() => {
                Self::Pool(crate::postgres::describe(&error))
            }
            deadpool_postgres::PoolError::Backend(error)
                if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) =>
            {
                Self::NoConnections(crate::postgres::describe(&error))
            }
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Pool(other.to_string()),
        }
    }
}

/// The only conversion of a failing database into an answer. A database that is away is 503, and logged once in a while; a
/// text that no row can have came from the caller; everything else is a fault of ours.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Nul) {
            return Self::refused(
                "invalid_value",
                "A text in the request has a NUL character (U+0000), which nothing here can have.",
            );
        }
        let Some(outage) = error.outage() else {
            tracing::error!(%error, "a query failed");
            return Self::internal();
        };
        outage::log(outage, &error);
        if outage == Outage::Busy {
            return Self::overloaded("The database is busy. Try again in a second.", 1);
        }
        let message = "The database is not available. Try again in a few seconds.";
        Self::overloaded(message, UNAVAILABLE_RETRY_SECONDS)
    }
}
