//! Upstreams that refuse to be asked for the usage of a stream: known by their answer, and believed for a while.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use base::time::Stopwatch;
use http::StatusCode;
use memchr::memmem;

/// The time for which a refusal is believed. After it the upstream is asked once more, for it may know better by then.
const BELIEVED: Duration = Duration::from_secs(3600);
/// The members that the gateway adds to ask for usage; a refusal names one of them.
const NAMES: [&[u8]; 2] = [b"stream_options", b"include_usage"];

/// The last refusal of an upstream to be asked for usage, if there was one since the start.
#[derive(Default)]
pub(super) struct UsageRefusal(Mutex<Option<Stopwatch>>);

impl UsageRefusal {
    /// True if the upstream is known to refuse.
    pub(super) fn is_recent(&self) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < BELIEVED)
    }

    /// Takes note of a refusal; true if the upstream was not known to refuse.
    pub(super) fn note(&self) -> bool {
        let is_news = !self.is_recent();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stopwatch::start());
        is_news
    }
}

/// True if an answer with this status may refuse what the gateway has added.
pub(super) fn may_refuse(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// True if the text of an error names what the gateway has added.
pub(super) fn names_it(error: &[u8]) -> bool {
    NAMES.iter().any(|name| memmem::find(error, name).is_some())
}
