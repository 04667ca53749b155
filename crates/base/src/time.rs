//! Wall-clock and monotonic time. All other code reads clocks through this module.
//!
//! A test sets both. Wall-clock time is a [`Clock`] that the test hands over: [`Clock::fake`] stands still until
//! [`Clock::advance`] moves it. Monotonic time, which [`Stopwatch`] and all timers read, is tokio's: in a test on a
//! current-thread runtime, `tokio::time::pause` stops it, `tokio::time::advance` moves it and fires the timers that are due,
//! and `tokio::time::resume` lets it run again. While it is paused and every task waits, it jumps to the next timer.
//! Without tokio's feature `test-util`, which only tests enable, the clock is `std::time::Instant` at no further cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Seconds since 1970-01-01T00:00:00Z, the form of all timestamps on the wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(transparent, inline)]
pub struct UnixTime(pub i64);

/// Seconds in a minute.
pub const SECONDS_PER_MINUTE: i64 = 60;
/// Seconds in an hour.
pub const SECONDS_PER_HOUR: i64 = 60 * SECONDS_PER_MINUTE;
/// Seconds in a day. Unix time has no leap seconds.
pub const SECONDS_PER_DAY: i64 = 24 * SECONDS_PER_HOUR;

impl UnixTime {
    /// Rounds down to a multiple of `width` seconds since 1970.
    #[must_use]
    pub fn floor(self, width: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(width)))
    }

    /// Formats the UTC date as eight digits, `20260302`. Years beyond 9999 give `19700101`.
    #[must_use]
    pub fn date_digits(self) -> String {
        let moment = Timestamp::from_second(self.0).unwrap_or_default();
        moment.strftime("%Y%m%d").to_string()
    }

    /// Adds `seconds`. Saturates.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// A wall clock: the system's, or one that a test sets.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    System,
    Fake(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System)
    }

    /// Returns a clock that stands still at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn fake(start: UnixTime) -> Self {
        Self(ClockSource::Fake(Arc::new(AtomicI64::new(
            start.0.saturating_mul(1000),
        ))))
    }

    /// Returns the time in seconds.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        UnixTime(self.now_milliseconds().div_euclid(1000))
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn now_milliseconds(&self) -> i64 {
        match &self.0 {
            ClockSource::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
                }),
            ClockSource::Fake(milliseconds) => milliseconds.load(Ordering::SeqCst),
        }
    }

    /// Advances a fake clock by `seconds`. Has no effect on the system's clock.
    pub fn advance(&self, seconds: i64) {
        if let ClockSource::Fake(milliseconds) = &self.0 {
            milliseconds.fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
        }
    }
}

/// The clock of the time since this machine started, its sleep included. Unlike [`Stopwatch`] it goes on while the machine
/// or the process is suspended. A test sets it ahead.
#[derive(Clone, Debug)]
pub struct BootClock {
    /// The microseconds by which the clock was set ahead; `None` for the system's clock.
    ahead: Option<Arc<AtomicI64>>,
}

impl BootClock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { ahead: None }
    }

    /// Returns a clock that goes as the system's does, and that [`BootClock::advance`] sets ahead.
    #[must_use]
    pub fn adjustable() -> Self {
        Self {
            ahead: Some(Arc::default()),
        }
    }

    /// Returns the microseconds since the start of this machine.
    #[must_use]
    pub fn microseconds(&self) -> i64 {
        let time = rustix::time::clock_gettime(BOOT_CLOCK);
        let ahead = self.ahead.as_ref();
        let ahead = ahead.map_or(0, |ahead| ahead.load(Ordering::SeqCst));
        (time.tv_sec.saturating_mul(1_000_000))
            .saturating_add(time.tv_nsec / 1_000)
            .saturating_add(ahead)
    }

    /// Sets an adjustable clock ahead. Has no effect on the system's clock.
    pub fn advance(&self, time: Duration) {
        if let Some(ahead) = &self.ahead {
            let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
            ahead.fetch_add(time, Ordering::SeqCst);
        }
    }
}

#[cfg(target_os = "linux")]
const BOOT_CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
/// Goes on during sleep on macOS.
#[cfg(not(target_os = "linux"))]
const BOOT_CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// A stopwatch on the monotonic clock, which tests drive.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts a stopwatch.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Returns the time since the start in milliseconds.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_rounds_down_to_a_multiple() {
        assert_eq!(
            UnixTime(1_730_419_200 + 86_399).floor(SECONDS_PER_DAY),
            UnixTime(1_730_419_200)
        );
        assert_eq!(UnixTime(-1).floor(SECONDS_PER_MINUTE), UnixTime(-60));
    }

    #[test]
    fn a_time_has_a_date() {
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
    fn a_fake_clock_moves_only_by_advance() {
        let clock = Clock::fake(UnixTime(100));
        clock.advance(5);
        assert_eq!(clock.now(), UnixTime(105));
    }

    #[test]
    fn a_boot_clock_goes_on_and_can_be_set_ahead() {
        let (clock, ahead) = (BootClock::system(), BootClock::adjustable());
        let first = clock.microseconds();
        assert!(first > 0 && clock.microseconds() >= first);
        clock.advance(Duration::from_hours(1));
        assert!(clock.microseconds() < first + 3_600_000_000);
        ahead.advance(Duration::from_hours(1));
        assert!(ahead.microseconds() >= first + 3_600_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopwatch_follows_the_paused_clock() {
        let stopwatch = Stopwatch::start();
        tokio::time::advance(Duration::from_mins(61)).await;
        assert_eq!(stopwatch.elapsed(), Duration::from_mins(61));
        assert_eq!(stopwatch.milliseconds(), 3_660_000);
    }
}
