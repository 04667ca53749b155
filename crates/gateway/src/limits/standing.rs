//! How far a project's limits are used up, as answers tell.

use std::fmt::{self, Display, Write};

use base::time::{HOUR, MINUTE};
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};

const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// How far one limit is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) limit: i64,
    pub(super) remaining: i64,
    /// How long until nothing of it is used, in milliseconds.
    pub(super) reset: u64,
}

/// When a refused request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// After so many milliseconds.
    After(u64),
    /// Never: it would be refused again.
    Never,
}

/// How far the limits of requests and of tokens are used up: of each the one that has the least left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(super) requests: Option<State>,
    pub(super) tokens: Option<State>,
    pub(super) retry: Option<Retry>,
}

impl State {
    /// The one of two limits that has less left.
    pub(super) fn tighter(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) if other.remaining < one.remaining => Some(other),
            (one, other) => one.or(other),
        }
    }
}

impl Standing {
    /// Says so in the headers of an answer.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let requests = [LIMIT_REQUESTS, REMAINING_REQUESTS, RESET_REQUESTS];
        let tokens = [LIMIT_TOKENS, REMAINING_TOKENS, RESET_TOKENS];
        // One allocation for all of them.
        let mut text = BytesMut::with_capacity(SHORT);
        let mut tell = |name: HeaderName, what: &dyn Display| {
            if write!(text, "{what}").is_ok()
                && let Ok(value) = HeaderValue::from_maybe_shared(text.split().freeze())
            {
                headers.insert(name, value);
            }
        };
        for (names, state) in [(requests, self.requests), (tokens, self.tokens)] {
            let Some(state) = state else { continue };
            let [limit, remaining, reset] = names;
            tell(limit, &state.limit);
            tell(remaining, &state.remaining);
            tell(reset, &Period(state.reset));
        }
        match self.retry {
            None => {}
            Some(Retry::After(wait)) => tell(RETRY_AFTER_MS, &wait),
            Some(Retry::Never) => tell(SHOULD_RETRY, &false),
        }
    }
}

/// What all that is told of limits has room in, as a rule, in bytes.
const SHORT: usize = 128;

/// A time in milliseconds, shown as the hosted service writes it: `20ms`, `1.5s`, `6m0s`, `23h59m30s`.
#[derive(Clone, Copy)]
pub(super) struct Period(pub(super) u64);

impl Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0 / 1000, self.0 % 1000);
        if seconds == 0 && rest > 0 {
            return write!(f, "{rest}ms");
        }
        let (hour, minute) = (HOUR.unsigned_abs(), MINUTE.unsigned_abs());
        match (seconds / hour, seconds % hour / minute) {
            (0, 0) => {}
            (0, minutes) => write!(f, "{minutes}m")?,
            (hours, minutes) => write!(f, "{hours}h{minutes}m")?,
        }
        write!(f, "{}", seconds % minute)?;
        match rest {
            0 => {}
            _ if rest % 100 == 0 => write!(f, ".{}", rest / 100)?,
            _ if rest % 10 == 0 => write!(f, ".{:02}", rest / 10)?,
            _ => write!(f, ".{rest:03}")?,
        }
        f.write_str("s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_hosted_service_writes_them() {
        for (milliseconds, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (1_050, "1.05s"),
            (59_001, "59.001s"),
            (360_000, "6m0s"),
            (86_399_900, "23h59m59.9s"),
        ] {
            assert_eq!(Period(milliseconds).to_string(), text);
        }
    }

    #[test]
    fn a_header_says_what_is_limited_and_nothing_else() {
        let mut headers = HeaderMap::new();
        let state = State {
            limit: 3,
            remaining: 2,
            reset: 60_500,
        };
        let standing = Standing {
            requests: Some(state),
            tokens: None,
            retry: Some(Retry::After(20)),
        };
        standing.tell(&mut headers);
        let told = [
            (LIMIT_REQUESTS, "3"),
            (REMAINING_REQUESTS, "2"),
            (RESET_REQUESTS, "1m0.5s"),
            (RETRY_AFTER_MS, "20"),
        ];
        assert_eq!(headers.len(), told.len());
        for (name, value) in told {
            assert_eq!(headers[name], value);
        }
    }
}
