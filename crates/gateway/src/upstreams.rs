//! Upstream failures as the gateway reports them: to clients in the shape of OpenAI's errors, and to the ledger as outcomes.

use base::Error;
use http::StatusCode;
use proxy::{ForwardError, ResponseEnd, UpstreamConfig, UpstreamConfigError, Upstreams};
use usage::Outcome;

use crate::dialect::DIALECTS;

/// Failure of a forwarded request: no upstream has answered.
pub(crate) struct ForwardFailure {
    /// Error that the client gets.
    pub(crate) error: Error,
    /// Outcome that the ledger gets.
    pub(crate) outcome: Outcome,
    /// True if an upstream may have received the request.
    pub(crate) was_sent: bool,
}

impl ForwardFailure {
    /// Returns the failure of a request that no upstream has received.
    pub(crate) fn unsent(error: Error, outcome: Outcome) -> Self {
        Self {
            error,
            outcome,
            was_sent: false,
        }
    }
}

/// Prepares the upstreams for the endpoints of the gateway. Makes no connection yet.
///
/// # Errors
/// The configuration is invalid.
pub(crate) fn build(configs: &[UpstreamConfig]) -> Result<Upstreams, UpstreamConfigError> {
    let paths: Vec<&'static str> = DIALECTS.iter().map(|dialect| dialect.path).collect();
    Upstreams::new(configs, &paths)
}

/// Returns the end of a response, for the upstream's record, that has this outcome in the ledger.
pub(crate) fn response_end(outcome: Outcome) -> ResponseEnd {
    match outcome {
        Outcome::Succeeded => ResponseEnd::Complete,
        Outcome::UpstreamFailed => ResponseEnd::Broken,
        Outcome::TimedOut => ResponseEnd::TimedOut,
        Outcome::ClientGone
        | Outcome::NodeLost
        | Outcome::Reported
        | Outcome::Repriced
        | Outcome::Corrected => ResponseEnd::Abandoned,
    }
}

impl From<ForwardError> for ForwardFailure {
    fn from(error: ForwardError) -> Self {
        let outcome = match error {
            ForwardError::TimedOut => Outcome::TimedOut,
            _ => Outcome::UpstreamFailed,
        };
        Self {
            error: answer(error),
            outcome,
            was_sent: error.was_sent(),
        }
    }
}

/// Returns the error that the client gets.
fn answer(error: ForwardError) -> Error {
    match error {
        ForwardError::Unreachable => Error::upstream("The model server cannot be reached."),
        ForwardError::CircuitsOpen { retry_after } => {
            let seconds = retry_after.as_millis().div_ceil(1_000);
            Error::upstream_unavailable(
                "No model server of this model can be reached at the moment.",
                u64::try_from(seconds).unwrap_or(u64::MAX),
            )
        }
        ForwardError::ResourceExhaustion => Error::overloaded(
            "This server has no connection left for the request. Try again in a second.",
            1,
        ),
        ForwardError::InvalidQuery => {
            Error::refused("invalid_url", "The query of the URL is not valid.")
        }
        ForwardError::BrokenOff => {
            Error::upstream("The model server broke off before it answered.")
        }
        ForwardError::Redirect => Error::upstream(
            "The model server answered with a redirect, which is not followed. Tell its operator.",
        ),
        ForwardError::UnexpectedStatus => {
            Error::upstream("The model server gave an answer that is none. Tell its operator.")
        }
        ForwardError::KeyRejected => {
            Error::upstream("The model server did not accept the gateway. Tell its operator.")
        }
        ForwardError::RequestBroken => Error::refused(
            "incomplete_body",
            "The request body broke off before its end.",
        ),
        ForwardError::SocketRefused(status) if is_retryable(status) => Error::overloaded(
            "The model server takes no WebSocket connection at the moment. Try again in a second.",
            1,
        ),
        ForwardError::SocketRefused(_) => Error::upstream(
            "The model server did not take a WebSocket connection. Send POST /v1/responses over HTTP, and tell its operator.",
        ),
        ForwardError::TimedOut => {
            Error::upstream_timeout("The model server did not answer in time.")
        }
    }
}

/// True if a server that responds with this status may respond otherwise in a moment.
fn is_retryable(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}
