//! Time: the one place that reads the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, as every timestamp on the wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(transparent, inline)]
pub struct UnixTime(pub i64);

/// Seconds in a minute, an hour and a day, for bucket arithmetic.
pub const MINUTE: i64 = 60;
/// Seconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Seconds in a day; UTC days have no leap seconds on the wire.
pub const DAY: i64 = 24 * HOUR;

impl UnixTime {
    /// The start of the span of `width` seconds, counted from 1970 in UTC, that this moment lies in.
    #[must_use]
    pub fn floor(self, width: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(width)))
    }

    /// The date that it lies in, in UTC, as eight digits: `20260302`; that of 1970 where a year has more than four.
    #[must_use]
    pub fn date_digits(self) -> String {
        let moment = Timestamp::from_second(self.0).unwrap_or_default();
        moment.strftime("%Y%m%d").to_string()
    }

    /// This moment `seconds` later; stops at the ends of the range.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// Reads the time: the system's, or one that a test sets.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fake(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn fake(start: UnixTime) -> Self {
        Self(Source::Fake(Arc::new(AtomicI64::new(
            start.0.saturating_mul(1000),
        ))))
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        UnixTime(self.now_milliseconds().div_euclid(1000))
    }

    /// Milliseconds since 1970.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn now_milliseconds(&self) -> i64 {
        match &self.0 {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
                }),
            Source::Fake(milliseconds) => milliseconds.load(Ordering::SeqCst),
        }
    }

    /// Moves a fake clock `seconds` ahead; the system's clock cannot be moved and ignores it.
    pub fn advance(&self, seconds: i64) {
        if let Source::Fake(milliseconds) = &self.0 {
            milliseconds.fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
        }
    }
}

/// Measures how long something takes; unlike [`Clock`] it never runs backwards.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_in_the_span_that_starts_at_its_floor() {
        assert_eq!(
            UnixTime(1_730_419_200 + 86_399).floor(DAY),
            UnixTime(1_730_419_200)
        );
        assert_eq!(UnixTime(-1).floor(MINUTE), UnixTime(-60));
    }

    #[test]
    fn a_moment_has_a_date() {
        for (seconds, date) in [
            (0, "19700101"),
            (951_782_400, "20000229"),
            (1_772_409_599, "20260301"),
            (1_772_409_600, "20260302"),
            (-1, "19691231"),
            (i64::MAX, "19700101"),
            (253_402_207_200, "99991230"),
        ] {
            assert_eq!(UnixTime(seconds).date_digits(), date);
        }
    }

    #[test]
    fn a_fake_clock_moves_only_when_told() {
        let clock = Clock::fake(UnixTime(100));
        clock.advance(5);
        assert_eq!(clock.now(), UnixTime(105));
    }
}
