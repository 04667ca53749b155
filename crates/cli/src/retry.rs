//! When a request is sent again, and after how long.

use std::time::Duration;

use base::Entropy;
use http::{HeaderMap, StatusCode};

/// How often a request is sent again.
const RETRIES: u32 = 2;
/// The wait before the first retry; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that a server may ask for and get.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The retries of one request.
#[derive(Default)]
pub struct Retries(u32);

impl Retries {
    /// How many there were.
    pub fn count(&self) -> u32 {
        self.0
    }

    /// How long to wait before the request is sent again, after this answer; `None` when it counts.
    pub fn after(&mut self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let is_passing = matches!(status.as_u16(), 408 | 409 | 429 | 500..);
        let is_wanted = match header("x-should-retry") {
            Some("true") => true,
            Some("false") => false,
            _ => is_passing,
        };
        if !is_wanted || status.is_success() {
            return None;
        }
        let milliseconds = header("retry-after-ms").and_then(|text| text.parse().ok());
        let seconds = header("retry-after").and_then(|text| text.parse().ok());
        let asked = milliseconds
            .map(Duration::from_millis)
            .or(seconds.map(Duration::from_secs));
        self.next(asked.filter(|wait| *wait <= LONGEST_WAIT))
    }

    fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.0 == RETRIES {
            return None;
        }
        let wait = FIRST_WAIT * 2u32.pow(self.0);
        self.0 += 1;
        Some(asked.unwrap_or_else(|| wait - jitter(wait / 4)))
    }
}

/// Some part of `most`, so that those who were refused together do not come back together.
fn jitter(most: Duration) -> Duration {
    let [random] = Entropy::operating_system().bytes();
    most * u32::from(random) / 256
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
    fn what_may_pass_is_tried_twice_more_and_later_each_time() {
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
            (FIRST_WAIT * 3 / 4..=FIRST_WAIT).contains(&first),
            "{first:?}"
        );
        assert!(
            (FIRST_WAIT * 3 / 2..=FIRST_WAIT * 2).contains(&second),
            "{second:?}"
        );
        assert_eq!(retries.after(unavailable, &none), None);
        assert_eq!(retries.count(), 2);
    }

    #[test]
    fn what_is_final_is_not_tried_again() {
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
    fn the_server_says_how_long_to_wait() {
        let after =
            |pairs| Retries::default().after(StatusCode::TOO_MANY_REQUESTS, &headers(pairs));
        assert_eq!(after(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(
            after(&[("retry-after", "3"), ("retry-after-ms", "20")]),
            Some(Duration::from_millis(20))
        );
        assert!(after(&[("retry-after", "3600")]).is_some_and(|wait| wait <= FIRST_WAIT));
    }
}
