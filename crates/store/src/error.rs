//! Errors of database operations, and the HTTP errors that they become.

use base::Error as HttpError;
use tokio_postgres::error::SqlState;

use crate::outage::{self, Outage};

/// The `retry-after` of a request that failed because the database is busy.
const BUSY_RETRY_SECONDS: u64 = 1;
/// The `retry-after` of a request that failed because of any other outage.
const OUTAGE_RETRY_SECONDS: u64 = 5;

/// The result of a database operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason that a query, a connection or a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database URL is invalid.
    #[error("the database URL {0}")]
    Url(String),
    /// A row with the same unique value exists.
    #[error("a row with this {0} exists")]
    Duplicate(String),
    /// No connection, or no write lock, became free in time.
    #[error("the database is busy")]
    Busy,
    /// The database did not answer in time.
    #[error("the database does not answer")]
    Timeout,
    /// A column is missing or has another type than was requested.
    #[error("column {0}: {1}")]
    Column(String, String),
    /// A statement has a parameter that is not a number or has no value.
    #[error("a parameter without a value in: {0}")]
    Parameter(String),
    /// A text has a NUL character. PostgreSQL cannot store one, so neither database does.
    #[error("a text has a NUL character, which no row can have")]
    Nul,
    /// A row that must exist does not.
    #[error("a query gave no row where one must exist")]
    NoRow,
    /// The partition of a day was dropped, and is not created again.
    #[error("the rows of this day are not kept any more")]
    Dropped,
    /// A migration failed, or is unknown to this version.
    #[error("migration {0}: {1}")]
    Migration(String, String),
    /// An error of SQLite.
    #[error("SQLite: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// An error of PostgreSQL.
    #[error("PostgreSQL: {}", describe(.0))]
    Postgres(#[source] tokio_postgres::Error),
    /// The files or settings of TLS are invalid.
    #[error("TLS to PostgreSQL: {0}")]
    Tls(String),
    /// The configured number of connections is more than PostgreSQL accepts.
    #[error(
        "database_connections is {wanted}, but PostgreSQL takes only {most} of this user (its max_connections, without those that \
         are reserved, or the limit of the user or the database): lower database_connections, or raise that"
    )]
    TooManyConnections {
        /// The configured number of connections.
        wanted: i64,
        /// The number of connections that the server accepts.
        most: i64,
    },
    /// PostgreSQL accepts no further connection now.
    #[error(
        "PostgreSQL takes no more connections ({0}): raise its max_connections, or lower database_connections of the nodes"
    )]
    NoConnections(String),
    /// PostgreSQL could not be reached.
    #[error("PostgreSQL: {0}")]
    Pool(String),
}

impl Error {
    /// True if every retry fails in the same way, since a value does not fit or a row conflicts.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
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

    /// True if a table that the statement names does not exist.
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
            // Without an answer of the server, the connection was not established.
            deadpool_postgres::PoolError::Backend(error) if error.as_db_error().is_none() => {
                Self::Pool(describe(&error))
            }
            deadpool_postgres::PoolError::Backend(error)
                if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) =>
            {
                Self::NoConnections(describe(&error))
            }
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Pool(other.to_string()),
        }
    }
}

/// Converts a database error into an HTTP error; no other code does. An outage becomes 503 with `retry-after`, and is
/// logged at intervals; a NUL character in the request becomes 400; every other error is a fault of this program and
/// becomes 500.
impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Nul) {
            return Self::refused(
                "invalid_value",
                "A text in the request has a NUL character (U+0000), which nothing here can have.",
            );
        }
        let Some(outage) = error.outage() else {
            tracing::error!(%error, "query failed");
            return Self::internal();
        };
        outage::log(outage, &error);
        if outage == Outage::Busy {
            let message = "The database is busy. Try again in a second.";
            return Self::overloaded(message, BUSY_RETRY_SECONDS);
        }
        let message = "The database is not available. Try again in a few seconds.";
        Self::overloaded(message, OUTAGE_RETRY_SECONDS)
    }
}

/// Returns the server's message and code, or the driver's message with its causes. The driver's `Display` alone is
/// "db error" or "error connecting to server".
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: std::ffi::c_int) -> Error {
        let failure = rusqlite::ffi::Error::new(code);
        rusqlite::Error::SqliteFailure(failure, None).into()
    }

    #[test]
    fn outage_becomes_503_with_retry_after() {
        use rusqlite::ffi::{
            SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR, SQLITE_LOCKED,
            SQLITE_PROTOCOL, SQLITE_READONLY,
        };
        let outages = [
            (Error::Busy, "1"),
            (Error::Timeout, "5"),
            (Error::Pool("connection refused".to_owned()), "5"),
            (Error::NoConnections("53300".to_owned()), "5"),
            (sqlite(SQLITE_BUSY), "1"),
            (sqlite(SQLITE_LOCKED), "1"),
            (sqlite(SQLITE_PROTOCOL), "1"),
            (sqlite(SQLITE_FULL), "5"),
            (sqlite(SQLITE_IOERR), "5"),
            (sqlite(SQLITE_READONLY), "5"),
            (sqlite(SQLITE_CANTOPEN), "5"),
        ];
        for (error, retry_after) in outages {
            let name = error.to_string();
            let response = HttpError::from(error).response::<Vec<u8>>();
            assert_eq!(response.status(), 503, "{name}");
            assert_eq!(response.headers()["retry-after"], retry_after, "{name}");
        }
    }

    #[test]
    fn fault_becomes_500() {
        let faults = [
            Error::NoRow,
            Error::Column("a".to_owned(), "does not exist".to_owned()),
            sqlite(rusqlite::ffi::SQLITE_ERROR),
            sqlite(rusqlite::ffi::SQLITE_CORRUPT),
        ];
        for error in faults {
            let name = error.to_string();
            assert_eq!(HttpError::from(error).status.as_u16(), 500, "{name}");
        }
    }
}
