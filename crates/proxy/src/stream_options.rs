//! Upstreams that reject `stream_options`, with which the gateway asks for the usage of a stream.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::time::Stopwatch;
use http::StatusCode;
use memchr::memmem;

/// Time for which a rejection is remembered. After it the upstream, which may have been upgraded, is asked again.
const MAX_REJECTION_AGE: Duration = Duration::from_secs(3600);
/// Members that the gateway adds to a request; a rejection names one of them.
const ADDED_MEMBERS: [&[u8]; 2] = [b"stream_options", b"include_usage"];

/// Memory of an upstream's last rejection of `stream_options`.
#[derive(Default)]
pub(crate) struct StreamOptionsRejection(Mutex<Option<Stopwatch>>);

impl StreamOptionsRejection {
    /// True if the upstream has rejected `stream_options` within [`MAX_REJECTION_AGE`].
    pub(crate) fn is_recent(&self) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < MAX_REJECTION_AGE)
    }

    /// Records a rejection. True if none was remembered.
    pub(crate) fn record(&self) -> bool {
        let is_first = !self.is_recent();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stopwatch::start());
        is_first
    }
}

/// True if a response with this status may be a rejection of `stream_options`.
pub(crate) fn may_reject(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// True if the body of an error names a member that the gateway has added.
pub(crate) fn names_added_member(error: &[u8]) -> bool {
    ADDED_MEMBERS
        .iter()
        .any(|name| memmem::find(error, name).is_some())
}
