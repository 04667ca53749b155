//! Outages of the database, and their log lines, whose number is bounded in time and not by the number of requests.

use std::array;
use std::error::Error as _;
use std::sync::LazyLock;

use base::LogSampler;
use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

use crate::Error;

/// A state of the database in which valid operations fail: all of them, or those that write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The database, or the write lock, is in use for longer than a caller waits.
    Busy,
    /// The database accepts no further connection.
    NoConnections,
    /// The database cannot be reached, is shutting down or is starting.
    Unreachable,
    /// The database did not answer in time.
    Timeout,
    /// The disk of the database is full.
    DiskFull,
    /// The disk of the database fails.
    DiskFailure,
    /// The database is read-only.
    ReadOnly,
}

impl Outage {
    const VARIANT_COUNT: usize = 7;

    /// Returns a description for log lines and readiness reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "the database is busy",
            Self::NoConnections => "the database takes no more connections",
            Self::Unreachable => "the database cannot be reached",
            Self::Timeout => "the database does not answer in time",
            Self::DiskFull => "the disk of the database is full",
            Self::DiskFailure => "the disk of the database fails",
            Self::ReadOnly => "the database is read-only",
        }
    }

    fn of_sqlite(error: &rusqlite::Error) -> Option<Self> {
        match error.sqlite_error_code()? {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed => Some(Self::Busy),
            ErrorCode::DiskFull => Some(Self::DiskFull),
            ErrorCode::ReadOnly => Some(Self::ReadOnly),
            ErrorCode::CannotOpen => Some(Self::Unreachable),
            ErrorCode::SystemIoFailure => Some(Self::DiskFailure),
            _ => None,
        }
    }

    fn of_postgres(error: &tokio_postgres::Error) -> Option<Self> {
        let Some(state) = error.code() else {
            let is_gone = error.is_closed()
                || error
                    .source()
                    .is_some_and(|cause| cause.is::<std::io::Error>());
            return is_gone.then_some(Self::Unreachable);
        };
        let code = state.code();
        Some(match code {
            // The next attempt prepares the statement anew.
            "0A000" if is_stale_plan(error) => Self::Busy,
            "53100" => Self::DiskFull,
            "53300" => Self::NoConnections,
            "25006" => Self::ReadOnly,
            "57014" | "25P03" | "25P04" => Self::Timeout,
            "55P03" => Self::Busy,
            "3D000" => Self::Unreachable,
            // Classes: connection exception, invalid authorization, operator intervention; transaction rollback,
            // insufficient resources; system error.
            _ => match code.get(..2)? {
                "08" | "28" | "57" => Self::Unreachable,
                "40" | "53" => Self::Busy,
                "58" => Self::DiskFailure,
                _ => return None,
            },
        })
    }
}

/// True if the statement was prepared before the types of its result changed. The error is recognized by the function in
/// the server's code that raised it, since the message is in the server's language.
pub(crate) fn is_stale_plan(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::FEATURE_NOT_SUPPORTED
            && error.routine() == Some("RevalidateCachedQuery")
    })
}

impl Error {
    /// Returns the outage that caused this error; `None` if the statement or the data is at fault.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        match self {
            Self::Busy => Some(Outage::Busy),
            Self::Timeout => Some(Outage::Timeout),
            Self::Pool(_) => Some(Outage::Unreachable),
            Self::NoConnections(_) => Some(Outage::NoConnections),
            Self::Sqlite(error) => Outage::of_sqlite(error),
            Self::Postgres(error) => Outage::of_postgres(error),
            _ => None,
        }
    }
}

/// Logs an outage, unless one of its kind was logged shortly before.
pub(crate) fn log(outage: Outage, error: &Error) {
    static SAMPLERS: LazyLock<[LogSampler; Outage::VARIANT_COUNT]> =
        LazyLock::new(|| array::from_fn(|_| LogSampler::start()));
    if let Some(suppressed) = SAMPLERS[outage as usize].admit() {
        let outage = outage.as_str();
        tracing::error!(outage, %error, suppressed, "database unavailable");
    }
}
