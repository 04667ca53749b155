//! Retries of a request, with exponential backoff.

use std::time::Duration;

use base::Entropy;
use http::{HeaderMap, StatusCode};

/// The largest number of retries of one request.
const MAX_RETRIES: u32 = 2;
/// The delay before the first retry; each further delay is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// The longest delay that a server may ask for; a longer one is ignored.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The retries of one request.
#[derive(Default)]
pub struct Retries(u32);

impl Retries {
    /// Returns the number of retries so far.
    pub fn count(&self) -> u32 {
        self.0
    }

    /// Returns the delay before the request is sent again, after this response; `None` if the response is final.
    pub fn after(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let is_temporary = matches!(status.as_u16(), 408 | 409 | 429 | 500..);
        let should_retry = match header("x-should-retry") {
            Some("true") => true,
            Some("false") => false,
            _ => is_temporary,
        };
        if !should_retry || status.is_success() {
            return None;
        }
        let milliseconds = header("retry-after-ms").and_then(|text| text.parse().ok());
        let seconds = header("retry-after").and_then(|text| text.parse().ok());
        let asked = milliseconds
            .map(Duration::from_millis)
            .or(seconds.map(Duration::from_secs));
        self.next(asked.filter(|wait| *wait <= MAX_DELAY))
    }

    fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.0 == MAX_RETRIES {
            return None;
        }
        let delay = FIRST_DELAY * 2u32.pow(self.0);
        self.0 += 1;
        Some(asked.unwrap_or_else(|| delay - jitter(delay / 4)))
    }
}

/// Returns a random part of `max`: clients that were refused together must not come back together.
fn jitter(max: Duration) -> Duration {
    let [random] = Entropy::operating_system().bytes();
    max * u32::from(random) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                name.parse().expect("a name"),
                value.parse().expect("a value"),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn temporary_failure_is_retried_twice_with_growing_delay() {
        let mut retries = Retries::default();
        let none = HeaderMap::new();
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let waits = [
            retries.after(unavailable, &none),
            retries.after(unavailable, &none),
        ];
        let [Some(first), Some(second)] = waits else {
            panic!("{waits:?}")
        };
        assert!(
            (FIRST_DELAY * 3 / 4..=FIRST_DELAY).contains(&first),
            "{first:?}"
        );
        assert!(
            (FIRST_DELAY * 3 / 2..=FIRST_DELAY * 2).contains(&second),
            "{second:?}"
        );
        assert_eq!(retries.after(unavailable, &none), None);
        assert_eq!(retries.count(), 2);
    }

    #[test]
    fn final_response_is_not_retried() {
        for status in [200, 400, 401, 403, 404] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                Retries::default().after(status, &HeaderMap::new()),
                None,
                "{status}"
            );
        }
        let told = headers(&[("x-should-retry", "false")]);
        assert_eq!(
            Retries::default().after(StatusCode::TOO_MANY_REQUESTS, &told),
            None
        );
    }

    #[test]
    fn delay_that_server_asks_for_is_used() {
        let after =
            |pairs| Retries::default().after(StatusCode::TOO_MANY_REQUESTS, &headers(pairs));
        assert_eq!(after(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(
            after(&[("retry-after", "3"), ("retry-after-ms", "20")]),
            Some(Duration::from_millis(20))
        );
        assert!(after(&[("retry-after", "3600")]).is_some_and(|wait| wait <= FIRST_DELAY));
    }
}
