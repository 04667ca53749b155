//! The words and headers in which an answer tells how far rate limits are used.

use std::fmt::{self, Display, Write};

use access::{LimitField, Project};
use base::Error;
use base::ids::Id;
use base::time::{SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use slices::{Denial, Exceeded, LimitUsage, Status};

const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The number of bytes that the values of all headers usually fit in.
const HEADERS_CAPACITY: usize = 128;
/// The most characters of a model's name in a message.
const MAX_NAME_LEN: usize = 80;
/// The seconds after which a project with too many models may try again.
const TOO_MANY_MODELS_DELAY: u64 = 60;

/// A refusal of a request by a rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RateLimitRefusal(pub(super) Denial);

impl RateLimitRefusal {
    /// Returns the answer: 429, or 503 if the project uses more models than can be counted, or the store of shared limits
    /// cannot be reached.
    pub(crate) fn error(&self, project: &Project) -> Error {
        if matches!(self.0, Denial::Unavailable | Denial::Waiting(_)) {
            return Error::limits_unavailable();
        }
        let Denial::Exceeded { name, exceeded } = &self.0 else {
            let message = format!(
                "Project {} uses more models at once than are counted here. Try again later.",
                project.id.as_str()
            );
            return Error::overloaded(message, TOO_MANY_MODELS_DELAY);
        };
        let field = LimitField::ALL[exceeded.quantity];
        let model: String = name.chars().take(MAX_NAME_LEN).collect();
        let limit = format!(
            "{model} in project {} on {}: Limit {}, Used {}, Requested {}.",
            project.id.as_str(),
            display_name(field),
            exceeded.limit,
            exceeded.used,
            exceeded.requested
        );
        let message = match exceeded.retry_after {
            Some(wait) => {
                let wait = Milliseconds(wait);
                format!("Rate limit reached for {limit} Please try again in {wait}.")
            }
            None => format!("Request too large for {limit} {}", remedy(field, exceeded)),
        };
        let seconds = exceeded.retry_after.map(|wait| wait.div_ceil(1000));
        Error::rate_limited(error_type(field), message, seconds)
    }
}

/// Returns the hosted service's name of a limit.
fn display_name(field: LimitField) -> &'static str {
    match field {
        LimitField::RequestsPerMinute => "requests per min (RPM)",
        LimitField::TokensPerMinute => "tokens per min (TPM)",
        LimitField::ImagesPerMinute => "images per min (IPM)",
        LimitField::AudioMegabytesPerMinute => "audio megabytes per min",
        LimitField::RequestsPerDay => "requests per day (RPD)",
        LimitField::BatchInputTokensPerDay => "batch input tokens per day",
    }
}

/// Returns the `type` of the error of a limit.
fn error_type(field: LimitField) -> &'static str {
    match field {
        LimitField::TokensPerMinute | LimitField::BatchInputTokensPerDay => "tokens",
        _ => "requests",
    }
}

/// Returns the advice for a request that waiting does not help.
fn remedy(field: LimitField, exceeded: &Exceeded) -> &'static str {
    match field {
        _ if exceeded.limit == 0 => "Nothing passes while the limit is 0.",
        LimitField::TokensPerMinute => {
            "Waiting does not help: shorten the input, or ask for less output."
        }
        _ => "Waiting does not help: ask for less at once.",
    }
}

/// The time after which a refused request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// After this number of milliseconds.
    After(u64),
    /// Never: the request would be refused again.
    Never,
}

/// The tightest limits of requests and of tokens, as an answer's headers report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateLimitStatus {
    status: Status,
    retry: Option<Retry>,
}

impl RateLimitStatus {
    pub(super) fn new(status: Status, refusal: Option<&RateLimitRefusal>) -> Self {
        let retry = match refusal.map(|refusal| &refusal.0) {
            None | Some(Denial::TooManyNames | Denial::Waiting(_) | Denial::Unavailable) => None,
            Some(Denial::Exceeded { exceeded, .. }) => {
                Some(exceeded.retry_after.map_or(Retry::Never, Retry::After))
            }
        };
        Self { status, retry }
    }

    /// Writes the status into the headers of an answer.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        let requests = [LIMIT_REQUESTS, REMAINING_REQUESTS, RESET_REQUESTS];
        let tokens = [LIMIT_TOKENS, REMAINING_TOKENS, RESET_TOKENS];
        // All values share one allocation.
        let mut text = BytesMut::with_capacity(HEADERS_CAPACITY);
        let mut insert = |name: HeaderName, value: &dyn Display| {
            if write!(text, "{value}").is_ok()
                && let Ok(value) = HeaderValue::from_maybe_shared(text.split().freeze())
            {
                headers.insert(name, value);
            }
        };
        let usages: [(_, Option<LimitUsage>); 2] = [
            (requests, self.status.requests),
            (tokens, self.status.tokens),
        ];
        for (names, usage) in usages {
            let Some(usage) = usage else { continue };
            let [limit, remaining, reset] = names;
            insert(limit, &usage.limit);
            insert(remaining, &usage.remaining);
            insert(reset, &Milliseconds(usage.reset));
        }
        match self.retry {
            None => {}
            Some(Retry::After(wait)) => insert(RETRY_AFTER_MS, &wait),
            Some(Retry::Never) => insert(SHOULD_RETRY, &false),
        }
    }
}

/// A duration in milliseconds, shown as the hosted service writes durations: `20ms`, `1.5s`, `6m0s`, `23h59m30s`.
#[derive(Clone, Copy)]
struct Milliseconds(u64);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0 / 1000, self.0 % 1000);
        if seconds == 0 && rest > 0 {
            return write!(f, "{rest}ms");
        }
        let (hour, minute) = (
            SECONDS_PER_HOUR.unsigned_abs(),
            SECONDS_PER_MINUTE.unsigned_abs(),
        );
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
    fn durations_are_written_as_the_hosted_service_writes_them() {
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
            assert_eq!(Milliseconds(milliseconds).to_string(), text);
        }
    }

    #[test]
    fn headers_report_what_is_limited_and_nothing_else() {
        let mut headers = HeaderMap::new();
        let requests = LimitUsage {
            limit: 3,
            remaining: 2,
            reset: 60_500,
        };
        let status = RateLimitStatus {
            status: Status {
                requests: Some(requests),
                tokens: None,
            },
            retry: Some(Retry::After(20)),
        };
        status.write_headers(&mut headers);
        let expected = [
            (LIMIT_REQUESTS, "3"),
            (REMAINING_REQUESTS, "2"),
            (RESET_REQUESTS, "1m0.5s"),
            (RETRY_AFTER_MS, "20"),
        ];
        assert_eq!(headers.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(headers[name], value);
        }
    }

    #[test]
    fn request_that_can_never_fit_is_told_not_to_retry() {
        let denial = |retry_after| Denial::Exceeded {
            name: "m".into(),
            exceeded: Exceeded {
                quantity: LimitField::TokensPerMinute as usize,
                limit: 5,
                used: 5,
                requested: 7,
                retry_after,
            },
        };
        let retry = |denial| {
            let refusal = RateLimitRefusal(denial);
            RateLimitStatus::new(Status::default(), Some(&refusal)).retry
        };
        assert_eq!(retry(denial(None)), Some(Retry::Never));
        assert_eq!(retry(denial(Some(7))), Some(Retry::After(7)));
        assert_eq!(retry(Denial::TooManyNames), None);
    }
}
