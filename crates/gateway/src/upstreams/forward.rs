//! Forwarding: a request goes from one upstream to the next until one answers it.

use std::sync::Arc;
use std::time::Duration;

use base::Error;
use base::time::Stopwatch;
use bytes::Bytes;
use http::{Response, StatusCode};
use usage::Outcome;

use super::client::SendError;
use super::credentials::Credential;
use super::health::Trouble;
use super::line::AnswerBody;
use super::upstream::{Ask, Outgoing, Upstream, is_no_answer};
use super::{Route, Upstreams, in_band, usage_refusal};

/// The most of an error that is read before it is passed on, to see if it is about what the gateway has added.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The beginning of an upstream's answer.
pub(crate) struct Answer {
    pub(crate) response: Response<AnswerBody>,
    pub(crate) route: Route,
    since: Stopwatch,
    /// True if it is known to be a failure of its upstream.
    has_failed: bool,
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
    /// Sends a request to the upstreams of `plan`, each at most once, until one answers. `body` makes its body, which asks for
    /// the usage of a stream where it is told to.
    pub(crate) async fn send(
        &self,
        plan: Vec<Route>,
        outgoing: Outgoing,
        body: impl Fn(&Route, bool) -> Bytes,
    ) -> Result<Answer, Failure> {
        let since = Stopwatch::start();
        let mut last = Err(unreachable(&plan));
        let mut left = plan.len();
        for route in plan {
            left -= 1;
            let attempt = Attempt {
                outgoing: &outgoing,
                since,
                is_last: left == 0,
            };
            match attempt.at(route, &body).await? {
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
            is_telling: !self.has_failed && !self.response.status().is_server_error(),
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

/// A request on its way to one upstream after the other.
struct Attempt<'a> {
    outgoing: &'a Outgoing,
    since: Stopwatch,
    /// True if there is no other upstream to ask after this one.
    is_last: bool,
}

impl Attempt<'_> {
    /// Sends the request to one upstream. `None`: it was not reached. One that fell silent may be working on the request: no
    /// other one is asked to do the same.
    async fn at(
        &self,
        route: Route,
        body: &impl Fn(&Route, bool) -> Bytes,
    ) -> Result<Option<Ending>, Failure> {
        let upstream = &route.upstream;
        let passed = Duration::from_millis(self.since.milliseconds());
        let left = upstream.timeout.saturating_sub(passed);
        if left.is_zero() {
            return Ok(Some(Ending::Final(Err(late()))));
        }
        let answered = tokio::time::timeout(left, self.ask(&route, body)).await;
        let answered = match answered {
            Ok(answered) => Ok(answered?),
            Err(late) => Err(late),
        };
        Ok(match answered {
            Ok(Ok((response, key))) => {
                let since = self.since;
                let answer = Answer {
                    response,
                    route,
                    since,
                    has_failed: false,
                };
                if self.is_last || !answer.response.status().is_success() {
                    return Ok(Some(judge(answer, &key, &self.outgoing.path)));
                }
                Some(Box::pin(self.look_into(answer, &key)).await)
            }
            Ok(Err(error)) => {
                upstream.failed_to_send(&error);
                if error.is_exhausted() {
                    // Another upstream could not be connected to either.
                    return Ok(Some(Ending::Final(Err(exhausted()))));
                }
                let broke_off = "The model server broke off before it answered.";
                (!error.is_unreachable()).then(|| Ending::Else(Err(failed(broke_off))))
            }
            Err(_) => {
                upstream.failed(Trouble::Failed, "it did not answer in time");
                Some(Ending::Final(Err(late())))
            }
        })
    }

    /// Judges an answer with a status of success by how it begins, while another upstream could be asked.
    async fn look_into(&self, mut answer: Answer, key: &Credential) -> Ending {
        let left = answer.patience().left();
        let upstream = Arc::clone(&answer.route.upstream);
        match tokio::time::timeout(left, in_band::fault(&mut answer.response)).await {
            Ok(Some(reason)) => {
                upstream.failed(Trouble::Failed, reason);
                answer.has_failed = true;
                Ending::Else(Ok(answer))
            }
            // Whoever reads the rest finds out that it is late, or broken off.
            Ok(None) | Err(_) => judge(answer, key, &self.outgoing.path),
        }
    }

    /// Asks one upstream, and once more with less where it refuses the gateway's part of the request: with another key, if
    /// there is one by now, and without the demand for usage.
    async fn ask(
        &self,
        route: &Route,
        body: &impl Fn(&Route, bool) -> Bytes,
    ) -> Result<Result<(Response<AnswerBody>, Arc<Credential>), SendError>, Failure> {
        let upstream = &route.upstream;
        let asks_for_usage = self.outgoing.can_ask_for_usage && upstream.is_asked_for_usage();
        let ask = self.to(route, body(route, asks_for_usage))?;
        let mut sent = with_good_key(upstream, &ask).await;
        if let Ok((response, _)) = &mut sent
            && asks_for_usage
            && usage_refusal::may_refuse(response.status())
            && usage_refusal::names_it(response.body_mut().read_ahead(MAX_ERROR_BYTES).await)
        {
            // Nothing was done yet, and the client has not asked for what is refused.
            let ask = self.to(route, body(route, false))?;
            // Rare, and large: it has a place of its own, so that every request is smaller by it.
            sent = Box::pin(with_good_key(upstream, &ask)).await;
            let is_good = |it: &(Response<AnswerBody>, _)| it.0.status().is_success();
            if sent.as_ref().is_ok_and(is_good) && upstream.usage_refusal.note() {
                let upstream = upstream.name.as_str();
                tracing::warn!(
                    upstream,
                    "stream_options refused: usage of its streams is estimated; stream_usage = \"never\" says so from the start"
                );
            }
        }
        Ok(sent)
    }

    fn to(&self, route: &Route, body: Bytes) -> Result<Ask<'_>, Failure> {
        let ask = route.upstream.ask(self.outgoing, body);
        ask.ok_or_else(|| Failure {
            error: Error::refused("invalid_url", "The query of the URL is not valid."),
            outcome: Outcome::UpstreamFailed,
            was_sent: false,
        })
    }
}

/// Asks with the key of now; where the upstream does not accept that, once more with another one, if there is one.
async fn with_good_key(
    upstream: &Upstream,
    ask: &Ask<'_>,
) -> Result<(Response<AnswerBody>, Arc<Credential>), SendError> {
    let key = upstream.credentials.current();
    let response = upstream.send(ask, &key).await?;
    if response.status() != StatusCode::UNAUTHORIZED {
        return Ok((response, key));
    }
    match Box::pin(upstream.credentials.after_refusal(&key)).await {
        None => Ok((response, key)),
        Some(key) => Ok((Box::pin(upstream.send(ask, &key)).await?, key)),
    }
}

/// Whether an answer is one for the client. One that says our own key is wrong is not the client's business, nor is one that
/// points elsewhere: whoever followed it would take the request past all checks.
fn judge(answer: Answer, key: &Credential, asked: &str) -> Ending {
    let (status, upstream) = (answer.response.status(), &answer.route.upstream);
    match upstream.trouble(&answer.response, asked) {
        Some(reason) => upstream.failed(Trouble::Failed, &reason),
        None => upstream.answered(),
    }
    if is_no_answer(status) {
        return Ending::Else(Err(failed(if status.is_redirection() {
            "The model server answered with a redirect, which is not followed. Tell its operator."
        } else {
            "The model server gave an answer that is none. Tell its operator."
        })));
    }
    if status.is_success() {
        key.accepted();
    }
    match status {
        StatusCode::FORBIDDEN if key.is_good_otherwise() => Ending::Final(Ok(answer)),
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let name = upstream.name.as_str();
            tracing::error!(upstream = name, %status, "does not accept the gateway's key");
            let message = "The model server did not accept the gateway. Tell its operator.";
            Ending::Else(Err(failed(message)))
        }
        _ if is_overload(status) => Ending::Else(Ok(answer)),
        _ => Ending::Final(Ok(answer)),
    }
}

/// True for answers that say that the upstream, or what is in front of it, cannot now, whatever the request is. Some are no
/// standard's, but usual: 509 (bandwidth), 529 (overload), 520 to 527, 530, 598 and 599 (a proxy reaches no server).
fn is_overload(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502..=504 | 509 | 520..=527 | 529 | 530 | 598 | 599)
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
