//! Responses of upstreams, their deadlines, and the record of how they end.

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use http::Response;

use crate::affinity::InFlightGuard;
use crate::body::ResponseBody;
use crate::circuit_breaker::FailureKind;
use crate::upstream::Upstream;
use crate::upstreams::Target;

/// Response of an upstream, whose body is still to come.
pub struct UpstreamResponse {
    /// Head and body.
    pub response: Response<ResponseBody>,
    /// Upstream that answered, and its name for the model.
    pub target: Target,
    /// Start of the request, failed attempts included.
    pub(crate) started: Stopwatch,
    /// True if the circuit breaker knows already how this response ends, as far as it concerns the upstream.
    pub(crate) is_judged: bool,
}

/// Timeouts of a response, and the circuit breaker that hears of its end.
pub struct ResponseDeadline {
    upstream: Arc<Upstream>,
    started: Stopwatch,
    /// True if the end of the response is to be recorded.
    is_recorded: bool,
    /// Count of a response over WebSocket among those of the upstream; other responses are counted by their bodies.
    _in_flight: Option<InFlightGuard>,
}

/// End of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseEnd {
    /// The response is complete.
    Complete,
    /// The upstream broke the response off.
    Broken,
    /// A timeout passed before the response was complete.
    TimedOut,
    /// The response was abandoned for reasons that do not concern the upstream.
    Abandoned,
}

impl UpstreamResponse {
    /// Returns the deadline of the body.
    #[must_use]
    pub fn deadline(&self) -> ResponseDeadline {
        ResponseDeadline {
            upstream: Arc::clone(&self.target.upstream),
            started: self.started,
            is_recorded: !self.is_judged && !self.response.status().is_server_error(),
            _in_flight: None,
        }
    }
}

impl ResponseDeadline {
    /// Returns the deadline of a response that this upstream is asked for now.
    pub(crate) fn begin(upstream: &Arc<Upstream>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            started: Stopwatch::start(),
            is_recorded: true,
            _in_flight: Some(upstream.in_flight.enter()),
        }
    }

    /// Returns the maximum time to the next bytes: the idle timeout, or less if the timeout of the whole passes before.
    #[must_use]
    pub fn left(&self) -> Duration {
        let left = self.upstream.timeout.saturating_sub(self.elapsed());
        left.min(self.upstream.idle_timeout)
    }

    /// Returns the time since the timeout of the whole response; `None` before it.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        self.elapsed().checked_sub(self.upstream.timeout)
    }

    /// Excludes the end of the response from the upstream's record, such as when the upstream had to wait for the client.
    pub fn ignore_end(&mut self) {
        self.is_recorded = false;
    }

    /// Records that the response has failed. `reason` is logged.
    pub fn record_failure(&self, reason: &str) {
        if self.is_recorded {
            self.upstream.record_failure(FailureKind::Response, reason);
        }
    }

    /// Records the end of the response.
    pub fn record_end(&self, end: ResponseEnd) {
        match end {
            ResponseEnd::Complete if self.is_recorded => self.upstream.breaker.record_success(),
            ResponseEnd::Broken => self.record_failure("response broke off"),
            ResponseEnd::TimedOut => self.record_failure("response not complete in time"),
            ResponseEnd::Complete | ResponseEnd::Abandoned => {}
        }
    }

    // In whole milliseconds, so that no timer fires just before the time that it was set for.
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.started.milliseconds())
    }
}
