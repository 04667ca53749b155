//! The ways in which a step of the writer ends.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use base::Error;
use futures_util::FutureExt;

/// The output of a step of the writer; `None` if it panicked. What it was given is still there then.
pub(super) fn caught<'a, T>(
    step: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>> {
    Box::pin(async move {
        let outcome = AssertUnwindSafe(step).catch_unwind().await;
        if outcome.is_err() {
            tracing::error!(
                "ledger writer panicked: what it was doing is done in another way, or again"
            );
        }
        outcome.ok()
    })
}

/// The reason that events were not written.
pub(super) enum NotWritten {
    /// Their key may not report so much.
    Bounded(Error),
    /// The database will refuse them again.
    Refused(store::Error),
    /// Writing them panicked.
    Panicked,
    /// The database failed until the writer had to stop.
    Stopped(store::Error),
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounded(refusal) => f.write_str(&refusal.message),
            Self::Refused(error) | Self::Stopped(error) => error.fmt(f),
            Self::Panicked => f.write_str("the ledger's writer panicked"),
        }
    }
}

impl From<NotWritten> for Error {
    fn from(reason: NotWritten) -> Self {
        match reason {
            NotWritten::Bounded(refusal) => refusal,
            NotWritten::Refused(store::Error::Dropped) => Self::refused(
                "usage_day_dropped",
                "The ledger of a day of these events was dropped, so nobody can tell whether they were counted.",
            ),
            NotWritten::Refused(_) | NotWritten::Panicked => {
                tracing::error!(%reason, "reported usage refused by the database");
                Self::internal()
            }
            NotWritten::Stopped(_) => {
                Self::overloaded("The server stops. Send the usage again.", 1)
            }
        }
    }
}
