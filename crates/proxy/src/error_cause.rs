//! Verdict on an error that an upstream reports: in the status of a response, or in an error object inside its body.

use http::StatusCode;

/// Error types and codes that blame the request, by their beginning.
const REQUEST_PREFIXES: [&str; 4] = ["invalid", "content_", "context_length", "unsupported"];
/// Error types and codes that blame the request, by a part of their name.
const REQUEST_PARTS: [&str; 4] = [
    "invalid_request",
    "bad_request",
    "badrequest",
    "content_policy",
];
/// Error types and codes that report a rate limit, by a part of their name.
const RATE_LIMIT_PARTS: [&str; 4] = ["rate_limit", "ratelimit", "too_many_requests", "quota"];
/// Error types and codes that reject the gateway's API key, by a part of their name.
const CREDENTIAL_PARTS: [&str; 2] = ["api_key", "auth"];

/// Cause of an error that an upstream reports. Greater causes are more specific: where several members of an error object
/// name a cause, the greatest one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCause {
    /// The request: every upstream would reject it, so none else is tried.
    Request,
    /// The load on the upstream's account: another upstream is tried, but the circuit breaker counts no failure.
    RateLimit,
    /// The upstream itself, or the gateway's access to it: another upstream is tried, and the circuit breaker counts a
    /// failure.
    Upstream,
}

impl ErrorCause {
    /// Returns the cause that an HTTP status names; `None` if the status is no error.
    #[must_use]
    pub fn of_status(status: u16) -> Option<Self> {
        match status {
            // Clients have no keys of upstreams, so these reject the gateway's.
            401 | 403 | 407 => Some(Self::Upstream),
            429 => Some(Self::RateLimit),
            400..500 => Some(Self::Request),
            500..600 => Some(Self::Upstream),
            _ => None,
        }
    }

    /// Returns the cause that the `type`, `code` or `status` of an error object names: a status as a number, or a word such
    /// as `invalid_request_error`. `None` if it names none; an error object that names no cause blames the upstream.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        if let Ok(status) = code.parse() {
            return Self::of_status(status);
        }
        let code = code.to_ascii_lowercase();
        let has_part = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
        if has_part(&CREDENTIAL_PARTS) {
            Some(Self::Upstream)
        } else if has_part(&RATE_LIMIT_PARTS) {
            Some(Self::RateLimit)
        } else if has_part(&REQUEST_PARTS)
            || REQUEST_PREFIXES
                .iter()
                .any(|prefix| code.starts_with(prefix))
        {
            Some(Self::Request)
        } else {
            None
        }
    }
}

/// True for a status with which another upstream is tried: the upstream, or a proxy in front of it, is overloaded or away,
/// whatever the request. Some are nonstandard but common: 509 (bandwidth exceeded), 529 (overloaded), 520 to 527, 530, 598
/// and 599 (a proxy reaches no server). 500 is none of these: the request may have caused it.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502..=504 | 509 | 520..=527 | 529 | 530 | 598 | 599)
}

#[cfg(test)]
mod tests {
    use super::ErrorCause::{RateLimit, Request, Upstream};
    use super::*;

    #[test]
    fn code_of_an_error_has_the_cause_of_the_status_with_its_number() {
        for (code, cause) in [
            ("200", None),
            ("400", Some(Request)),
            ("401", Some(Upstream)),
            ("403", Some(Upstream)),
            ("404", Some(Request)),
            ("407", Some(Upstream)),
            ("408", Some(Request)),
            ("422", Some(Request)),
            ("429", Some(RateLimit)),
            ("500", Some(Upstream)),
            ("529", Some(Upstream)),
            ("600", None),
            ("70000", None),
        ] {
            assert_eq!(ErrorCause::of_code(code), cause, "{code}");
        }
    }

    #[test]
    fn names_of_errors_blame_the_request_the_load_or_the_upstream() {
        for (code, cause) in [
            ("invalid_request_error", Some(Request)),
            ("INVALID_ARGUMENT", Some(Request)),
            ("BadRequestError", Some(Request)),
            ("content_filter", Some(Request)),
            ("model_content_policy", Some(Request)),
            ("context_length_exceeded", Some(Request)),
            ("unsupported_parameter", Some(Request)),
            ("rate_limit_exceeded", Some(RateLimit)),
            ("RateLimitError", Some(RateLimit)),
            ("insufficient_quota", Some(RateLimit)),
            ("invalid_api_key", Some(Upstream)),
            ("invalid_authentication", Some(Upstream)),
            ("server_error", None),
            ("overloaded_error", None),
            ("", None),
        ] {
            assert_eq!(ErrorCause::of_code(code), cause, "{code}");
        }
    }

    #[test]
    fn more_specific_causes_outrank_the_blame_of_the_request() {
        assert!(Request < RateLimit && RateLimit < Upstream);
        let codes = ["invalid_request_error", "invalid_api_key"];
        let cause = codes.iter().filter_map(|code| ErrorCause::of_code(code));
        assert_eq!(cause.max(), Some(Upstream));
    }
}
