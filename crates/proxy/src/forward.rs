//! Forwarding with retries and failover: a request is sent to one target after the other until one answers.

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use http::{Response, StatusCode};

use crate::body::ResponseBody;
use crate::circuit_breaker::FailureKind;
use crate::client::SendError;
use crate::credentials::Credential;
use crate::error_cause::{ErrorCause, is_retryable};
use crate::in_band;
use crate::request_body::RequestBody;
use crate::response::UpstreamResponse;
use crate::stream_options;
use crate::upstream::{AttemptRequest, ForwardRequest, Upstream, is_unexpected};
use crate::upstreams::{Target, Upstreams};

/// Maximum length of the part of an error that is searched for a rejection of `stream_options`.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Reason why no upstream answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// No upstream could be connected to.
    #[error("no upstream can be reached")]
    Unreachable,
    /// Every upstream has an open circuit, and none could be connected to.
    #[error("every upstream has an open circuit")]
    CircuitsOpen {
        /// Time until the first circuit may become half-open.
        retry_after: Duration,
    },
    /// This machine is out of file descriptors, ports or memory.
    #[error("out of file descriptors, ports or memory")]
    ResourceExhaustion,
    /// The client's query cannot be part of a URL.
    #[error("invalid query")]
    InvalidQuery,
    /// The upstream broke off before the head of a response.
    #[error("the upstream broke off before it answered")]
    BrokenOff,
    /// The upstream answered with a redirect, which is not followed.
    #[error("the upstream answered with a redirect")]
    Redirect,
    /// The upstream answered with a status that is neither a success nor an error.
    #[error("the upstream answered with an unexpected status")]
    UnexpectedStatus,
    /// The upstream rejected the gateway's API key.
    #[error("the upstream rejected the gateway's API key")]
    KeyRejected,
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// The body of the request, a stream, did not come to its end.
    #[error("the body of the request broke off")]
    RequestBroken,
}

/// Outcome of an attempt at one target.
enum AttemptOutcome {
    /// The result of the request; no other target is tried.
    Final(Result<UpstreamResponse, ForwardError>),
    /// The result of the request if no other target has a better one.
    Fallback(Result<UpstreamResponse, ForwardError>),
    /// No connection was made.
    Unreachable,
}

/// Head of a response, and the key that its request had.
type Answered = (Response<ResponseBody>, Arc<Credential>);

impl ForwardError {
    /// True if an upstream may have received the request.
    #[must_use]
    pub fn was_sent(self) -> bool {
        !matches!(
            self,
            Self::Unreachable
                | Self::CircuitsOpen { .. }
                | Self::ResourceExhaustion
                | Self::InvalidQuery
        )
    }
}

impl Upstreams {
    /// Sends a request to the targets of `plan` in their order, to each at most once, until one answers. Returns the head of
    /// its answer, of which nothing was passed on yet.
    ///
    /// `body` returns the body for a target; a stream goes to one target only. It asks for the usage of a stream if its second argument is true, which it is
    /// only where [`ForwardRequest::can_ask_for_usage`] is.
    ///
    /// Another target is tried if no connection can be made, the upstream breaks off, is overloaded, rejects the gateway's
    /// key, redirects, or reports an in-band error that the request did not cause. No other target is tried after a timeout,
    /// since the upstream may be working on the request.
    ///
    /// # Errors
    /// The last target's, or an earlier one's that says more.
    pub async fn send(
        &self,
        plan: Vec<Target>,
        request: ForwardRequest,
        body: impl Fn(&Target, bool) -> RequestBody,
    ) -> Result<UpstreamResponse, ForwardError> {
        let started = Stopwatch::start();
        let mut fallback = Err(unreachable(&plan));
        let mut left = plan.len();
        for target in plan {
            left -= 1;
            let attempt = Attempt {
                request: &request,
                started,
                is_last: left == 0,
            };
            match attempt.send(target, &body).await? {
                AttemptOutcome::Final(result) => return result,
                AttemptOutcome::Unreachable => {}
                // An answer, even one of an overloaded upstream, says more than an error of the gateway.
                AttemptOutcome::Fallback(Err(_)) if fallback.is_ok() => {}
                AttemptOutcome::Fallback(result) => fallback = result,
            }
        }
        fallback
    }
}

/// Attempt to send a request to one target.
struct Attempt<'a> {
    request: &'a ForwardRequest,
    started: Stopwatch,
    /// True if no target is left to fail over to.
    is_last: bool,
}

impl Attempt<'_> {
    async fn send(
        &self,
        target: Target,
        body: &impl Fn(&Target, bool) -> RequestBody,
    ) -> Result<AttemptOutcome, ForwardError> {
        let upstream = &target.upstream;
        let elapsed = Duration::from_millis(self.started.milliseconds());
        let left = upstream.timeout.saturating_sub(elapsed);
        if left.is_zero() {
            return Ok(AttemptOutcome::Final(Err(ForwardError::TimedOut)));
        }
        let sent = tokio::time::timeout(left, self.send_adapted(&target, body)).await;
        let Ok(sent) = sent else {
            // A body that is still being streamed may be what the upstream has waited for.
            if !body(&target, false).is_unsent() {
                upstream.record_failure(FailureKind::Response, "no response in time");
            }
            return Ok(AttemptOutcome::Final(Err(ForwardError::TimedOut)));
        };
        match sent? {
            Ok((response, key)) => {
                let response = UpstreamResponse {
                    response,
                    target,
                    started: self.started,
                    is_judged: false,
                };
                if self.is_last || !response.response.status().is_success() {
                    return Ok(self.judge(response, &key));
                }
                Ok(Box::pin(self.judge_beginning(response, &key)).await)
            }
            Err(error) if error.is_request_broken() => {
                Ok(AttemptOutcome::Final(Err(ForwardError::RequestBroken)))
            }
            Err(error) => {
                upstream.record_send_error(&error);
                Ok(if error.is_resource_exhaustion() {
                    // No connection to another upstream could be made either.
                    AttemptOutcome::Final(Err(ForwardError::ResourceExhaustion))
                } else if error.is_connect() {
                    AttemptOutcome::Unreachable
                } else {
                    AttemptOutcome::Fallback(Err(ForwardError::BrokenOff))
                })
            }
        }
    }

    /// Sends the request, and once more without `stream_options` if the upstream rejects those.
    async fn send_adapted(
        &self,
        target: &Target,
        body: &impl Fn(&Target, bool) -> RequestBody,
    ) -> Result<Result<Answered, SendError>, ForwardError> {
        let upstream = &target.upstream;
        let asks_for_usage = self.request.can_ask_for_usage && upstream.asks_for_stream_usage();
        let request = self.attempt_request(target, body(target, asks_for_usage))?;
        let mut sent = send_with_valid_key(upstream, &request).await;
        if let Ok((response, _)) = &mut sent
            && asks_for_usage
            && stream_options::may_reject(response.status())
            && stream_options::names_added_member(response.body_mut().peek(MAX_ERROR_BYTES).await)
        {
            // Safe to repeat: the upstream has done nothing yet. The client has not asked for what is rejected.
            let request = self.attempt_request(target, body(target, false))?;
            // Boxed because it is large and rare: every other request is smaller by it.
            sent = Box::pin(send_with_valid_key(upstream, &request)).await;
            let is_success = |(response, _): &Answered| response.status().is_success();
            if sent.as_ref().is_ok_and(is_success) && upstream.stream_options_rejection.record() {
                tracing::warn!(
                    upstream = upstream.name,
                    "upstream rejected stream_options; usage of streams is estimated; \
                     stream_usage = \"never\" avoids the rejected attempt"
                );
            }
        }
        Ok(sent)
    }

    fn attempt_request(
        &self,
        target: &Target,
        body: RequestBody,
    ) -> Result<AttemptRequest<'_>, ForwardError> {
        let request = target.upstream.attempt_request(self.request, body);
        request.ok_or(ForwardError::InvalidQuery)
    }

    /// Judges a response with a status of success by the beginning of its body, while there is a target to fail over to.
    async fn judge_beginning(
        &self,
        mut response: UpstreamResponse,
        key: &Credential,
    ) -> AttemptOutcome {
        let left = response.deadline().left();
        let upstream = Arc::clone(&response.target.upstream);
        let error = tokio::time::timeout(left, in_band::detect(&mut response.response)).await;
        // A timeout here is not handled: whoever reads the body comes upon it.
        let error = error.ok().flatten();
        match error.map(|error| (error.cause, error.reason)) {
            Some((ErrorCause::Upstream, reason)) => {
                upstream.record_failure(FailureKind::Response, reason);
            }
            Some((ErrorCause::RateLimit, _)) => upstream.record_alive(),
            Some((ErrorCause::Request, _)) | None => return self.judge(response, key),
        }
        response.is_judged = true;
        AttemptOutcome::Fallback(Ok(response))
    }

    /// Judges a response by its status, and records it. A rejected key is not the client's business. A redirect is not passed
    /// on: whoever followed it would take the request past all checks.
    fn judge(&self, response: UpstreamResponse, key: &Credential) -> AttemptOutcome {
        let (status, upstream) = (response.response.status(), &response.target.upstream);
        upstream.record_response(&response.response, &self.request.path);
        if is_unexpected(status) {
            return AttemptOutcome::Fallback(Err(match status.is_redirection() {
                true => ForwardError::Redirect,
                false => ForwardError::UnexpectedStatus,
            }));
        }
        if status.is_success() {
            key.record_accepted();
        }
        match status {
            StatusCode::FORBIDDEN if key.record_forbidden() => AttemptOutcome::Final(Ok(response)),
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let upstream = upstream.name.as_str();
                tracing::error!(upstream, %status, "upstream rejected the gateway's API key");
                AttemptOutcome::Fallback(Err(ForwardError::KeyRejected))
            }
            _ if is_retryable(status) => AttemptOutcome::Fallback(Ok(response)),
            _ => AttemptOutcome::Final(Ok(response)),
        }
    }
}

/// Sends a request with the current key, and once more with another key if the upstream rejects it and there is another.
async fn send_with_valid_key(
    upstream: &Upstream,
    request: &AttemptRequest<'_>,
) -> Result<Answered, SendError> {
    let key = upstream.credentials.current();
    let response = upstream.send(request, &key).await?;
    if response.status() != StatusCode::UNAUTHORIZED {
        return Ok((response, key));
    }
    match Box::pin(upstream.credentials.replace_rejected(&key)).await {
        None => Ok((response, key)),
        // The next request has the new key.
        Some(_) if request.is_streamed() => Ok((response, key)),
        Some(key) => Ok((Box::pin(upstream.send(request, &key)).await?, key)),
    }
}

/// Returns the error for a plan of which no upstream can be connected to.
fn unreachable(plan: &[Target]) -> ForwardError {
    let backoffs = plan.iter().map(|target| {
        let breaker = &target.upstream.breaker;
        breaker.is_open().then(|| breaker.backoff_left()).flatten()
    });
    let backoffs: Option<Vec<Duration>> = backoffs.collect();
    let soonest = backoffs.and_then(|backoffs| backoffs.into_iter().min());
    soonest.map_or(ForwardError::Unreachable, |retry_after| {
        ForwardError::CircuitsOpen { retry_after }
    })
}
