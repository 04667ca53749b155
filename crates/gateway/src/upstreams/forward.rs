//! Forwarding: a request goes from one upstream to the next until one answers it.

use std::sync::Arc;
use std::time::Duration;

use base::Error;
use base::time::Stopwatch;
use bytes::Bytes;
use http::{Response, StatusCode};
use usage::Outcome;

use super::health::Trouble;
use super::line::AnswerBody;
use super::upstream::{Ask, Outgoing, Upstream};
use super::{Route, Upstreams};

/// The beginning of an upstream's answer.
pub(crate) struct Answer {
    pub(crate) response: Response<AnswerBody>,
    pub(crate) route: Route,
    since: Stopwatch,
}

/// Why there is no answer.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) outcome: Outcome,
    /// Whether a model server may have got the request.
    pub(crate) was_sent: bool,
}

/// How long the rest of an answer is waited for, and whose health it tells of.
pub(crate) struct Patience {
    upstream: Arc<Upstream>,
    since: Stopwatch,
    /// Whether the end of the answer tells anything: an answer that says the upstream cannot does not.
    is_telling: bool,
}

/// How it went with one upstream.
enum Ending {
    /// This is the answer, or this is why there is none.
    Final(Result<Answer, Failure>),
    /// This is it only if no other upstream has a better one.
    Else(Result<Answer, Failure>),
}

impl Upstreams {
    /// Sends a request to the upstreams of `plan`, each at most once, until one answers; `body` makes its body.
    pub(crate) async fn send(
        &self,
        plan: Vec<Route>,
        outgoing: Outgoing,
        body: impl Fn(&Route) -> Bytes,
    ) -> Result<Answer, Failure> {
        let since = Stopwatch::start();
        let mut last = Err(unreachable(&plan));
        for route in plan {
            let ask = route.upstream.ask(&outgoing, body(&route));
            let ask = ask.ok_or_else(|| Failure {
                error: Error::refused("invalid_url", "The query of the URL is not valid."),
                outcome: Outcome::UpstreamFailed,
                was_sent: false,
            })?;
            match attempt(route, &ask, since).await {
                None => {}
                Some(Ending::Final(result)) => return result,
                Some(Ending::Else(Err(_))) if last.is_ok() => {}
                Some(Ending::Else(result)) => last = result,
            }
        }
        last
    }
}

impl Answer {
    /// How long its rest is waited for.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            upstream: Arc::clone(&self.route.upstream),
            since: self.since,
            is_telling: !self.response.status().is_server_error(),
        }
    }
}

impl Patience {
    /// How long to wait for the next piece.
    pub(crate) fn left(&self) -> Duration {
        let passed = Duration::from_millis(self.since.milliseconds());
        let left = self.upstream.timeout.saturating_sub(passed);
        left.min(self.upstream.idle_timeout)
    }

    /// Returns the time for which the whole answer has been overdue; `None` while it is not.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        let passed = Duration::from_millis(self.since.milliseconds());
        passed.checked_sub(self.upstream.timeout)
    }

    /// Lets the end of the answer tell nothing of its upstream.
    pub(crate) fn absolve(&mut self) {
        self.is_telling = false;
    }

    /// Takes note that the answer has failed, for this reason.
    pub(crate) fn fail(&self, reason: &str) {
        if self.is_telling {
            self.upstream.failed(Trouble::Failed, reason);
        }
    }

    /// Takes note of how the answer ended.
    pub(crate) fn end(&self, outcome: Outcome) {
        match outcome {
            _ if !self.is_telling => {}
            Outcome::Succeeded => self.upstream.health.succeeded(),
            Outcome::UpstreamFailed => {
                self.fail("it broke off in the middle of its answer");
            }
            Outcome::TimedOut => {
                self.fail("it did not finish its answer in time");
            }
            Outcome::ClientGone | Outcome::Reported | Outcome::Repriced | Outcome::Corrected => {}
        }
    }
}

/// Sends a request to one upstream. `None`: it was not reached. One that fell silent may be working on the request:
/// no other one is asked to do the same.
async fn attempt(route: Route, ask: &Ask<'_>, since: Stopwatch) -> Option<Ending> {
    let upstream = &route.upstream;
    let passed = Duration::from_millis(since.milliseconds());
    let left = upstream.timeout.saturating_sub(passed);
    if left.is_zero() {
        return Some(Ending::Final(Err(late())));
    }
    match tokio::time::timeout(left, upstream.send(ask)).await {
        Ok(Ok(response)) => Some(judge(Answer {
            response,
            route,
            since,
        })),
        Ok(Err(error)) => {
            upstream.failed_to_send(&error);
            if error.is_exhausted() {
                // Another upstream could not be connected to either.
                return Some(Ending::Final(Err(exhausted())));
            }
            let broke_off = "The model server broke off before it answered.";
            (!error.is_unreachable()).then(|| Ending::Else(Err(failed(broke_off))))
        }
        Err(_) => {
            upstream.failed(Trouble::Failed, "it did not answer in time");
            Some(Ending::Final(Err(late())))
        }
    }
}

/// Whether an answer is one for the client. One that says our own key is wrong is not the client's business.
fn judge(answer: Answer) -> Ending {
    let (status, upstream) = (answer.response.status(), &answer.route.upstream);
    if status.is_server_error() {
        upstream.failed(Trouble::Failed, status.as_str());
    } else {
        upstream.answered();
    }
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let name = upstream.name.as_str();
            tracing::error!(upstream = name, %status, "does not accept the gateway's key");
            let message = "The model server did not accept the gateway. Tell its operator.";
            Ending::Else(Err(failed(message)))
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Ending::Else(Ok(answer)),
        _ => Ending::Final(Ok(answer)),
    }
}

/// What it means that none of `plan` could be reached: news, or that none is back yet.
fn unreachable(plan: &[Route]) -> Failure {
    let pauses = plan.iter().map(|route| {
        let health = &route.upstream.health;
        health.is_down().then(|| health.pause_left()).flatten()
    });
    let pauses: Option<Vec<Duration>> = pauses.collect();
    let Some(soonest) = pauses.and_then(|pauses| pauses.into_iter().min()) else {
        return Failure {
            was_sent: false,
            ..failed("The model server cannot be reached.")
        };
    };
    let seconds = soonest.as_millis().div_ceil(1_000);
    Failure {
        error: Error::upstream_unavailable(
            "No model server of this model can be reached at the moment.",
            u64::try_from(seconds).unwrap_or(u64::MAX),
        ),
        outcome: Outcome::UpstreamFailed,
        was_sent: false,
    }
}

/// No connection could be made for want of something of our own.
fn exhausted() -> Failure {
    let message = "This server has no connection left for the request. Try again in a second.";
    Failure {
        error: Error::overloaded(message, 1),
        outcome: Outcome::UpstreamFailed,
        was_sent: false,
    }
}

fn failed(message: &'static str) -> Failure {
    Failure {
        error: Error::upstream(message),
        outcome: Outcome::UpstreamFailed,
        was_sent: true,
    }
}

fn late() -> Failure {
    Failure {
        error: Error::upstream_timeout("The model server did not answer in time."),
        outcome: Outcome::TimedOut,
        was_sent: true,
    }
}
