//! The outcomes of a step of the writer.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use base::Error;
use futures_util::FutureExt;

/// Runs a step of the writer and returns its output; `None` if it panicked. Its arguments are still there then.
pub(super) fn caught<'a, T>(
    step: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Option<T>> + Send + 'a>> {
    Box::pin(async move {
        let outcome = AssertUnwindSafe(step).catch_unwind().await;
        if outcome.is_err() {
            tracing::error!("ledger writer panicked; the step is retried");
        }
        outcome.ok()
    })
}

/// The reason for which events were not written.
pub(super) enum NotWritten {
    /// The key exceeded its allowance.
    OverAllowance(Error),
    /// The database refuses the events, and will again.
    Refused(store::Error),
    /// The write panicked.
    Panicked,
    /// The database failed until the stop timeout.
    Stopped(store::Error),
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverAllowance(refusal) => f.write_str(&refusal.message),
            Self::Refused(error) | Self::Stopped(error) => error.fmt(f),
            Self::Panicked => f.write_str("the ledger writer panicked"),
        }
    }
}

impl From<NotWritten> for Error {
    fn from(reason: NotWritten) -> Self {
        match reason {
            NotWritten::OverAllowance(refusal) => refusal,
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
