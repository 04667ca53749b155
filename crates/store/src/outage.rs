//! The ways in which a database is away, and the log lines that say so: one for each in a while, not one for each request.

use std::error::Error as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::time::Stopwatch;
use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

use crate::Error;

/// The time between two log lines about the same kind of outage.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A reason for which a database serves nobody, or nobody who writes, until it changes: nothing is wrong with what it
/// was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Others keep it busy for longer than a caller waits.
    Busy,
    /// No further connection is taken.
    NoConnections,
    /// The database cannot be reached, or is going down or coming up.
    Unreachable,
    /// The database does not answer in time.
    Timeout,
    /// The disk of the database is full.
    DiskFull,
    /// The disk of the database fails.
    DiskFailure,
    /// The database can be read only.
    ReadOnly,
}

impl Outage {
    const COUNT: usize = 7;

    /// The outage in words.
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
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Self::Busy),
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
            // The statement is prepared anew the next time.
            "0A000" if is_stale_plan(error) => Self::Busy,
            "53100" => Self::DiskFull,
            "53300" => Self::NoConnections,
            "25006" => Self::ReadOnly,
            "57014" => Self::Timeout,
            "55P03" | "40001" | "40P01" => Self::Busy,
            "58030" => Self::DiskFailure,
            "3D000" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => Self::Unreachable,
            // Classes: connection exception, invalid authorization, insufficient resources.
            _ => match code.get(..2)? {
                "08" | "28" => Self::Unreachable,
                "53" => Self::Busy,
                _ => return None,
            },
        })
    }
}

/// True if a statement was prepared before somebody changed the types of what it gives. The message is in the server's
/// language, so the place in the server's code has to tell.
pub(crate) fn is_stale_plan(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::FEATURE_NOT_SUPPORTED
            && error.routine() == Some("RevalidateCachedQuery")
    })
}

impl Error {
    /// The outage that this error is due to; `None` if it says something of the statement or of the data.
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

/// Logs an outage, unless one of its kind was logged a moment ago.
pub(crate) fn log(outage: Outage, error: &Error) {
    static STARTED: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
    static THROTTLES: [Throttle; Outage::COUNT] = [const { Throttle::new() }; Outage::COUNT];
    let throttle = &THROTTLES[outage as usize];
    if let Some(suppressed) = throttle.admit(STARTED.elapsed()) {
        let outage = outage.as_str();
        tracing::error!(outage, %error, suppressed, "database unavailable");
    }
}

/// Lets one line through in each [`LOG_INTERVAL`], and counts the others.
struct Throttle {
    /// The time of the next line, in milliseconds.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl Throttle {
    const fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// The number of lines suppressed before this one; `None` if this one is, too.
    fn admit(&self, now: Duration) -> Option<u64> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, interval) = (milliseconds(now), milliseconds(LOG_INTERVAL));
        let next = |next: u64| (next <= now).then(|| now + interval);
        let relaxed = Ordering::Relaxed;
        if self.next.fetch_update(relaxed, relaxed, next).is_err() {
            self.suppressed.fetch_add(1, relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s25_an_outage_is_logged_once_in_a_while() {
        let throttle = Throttle::new();
        let admitted: Vec<_> = (0..25)
            .map(|second| throttle.admit(Duration::from_secs(second)))
            .collect();
        for (second, admitted) in admitted.iter().enumerate() {
            let expected = match second {
                0 => Some(0),
                10 | 20 => Some(9),
                _ => None,
            };
            assert_eq!(*admitted, expected, "{second}");
        }
    }
}
