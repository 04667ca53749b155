//! Readings of the database's clock, and the bounds of its time that follow from them. All times are in microseconds.

/// The divisor of a time by which two clocks may differ after it: they run alike within 2 × 10⁻⁴.
const MIN_DRIFT_DIVISOR: i64 = 5_000;

/// Bounds of the time of the clock that all nodes share, in milliseconds since 1970: `lo ≤ now ≤ hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    /// The earliest time that it may be.
    pub lo: u64,
    /// The latest time that it may be.
    pub hi: u64,
}

impl TimeBounds {
    /// Returns the bounds of a time that is known exactly.
    #[must_use]
    pub fn exact(milliseconds: i64) -> Self {
        let now = u64::try_from(milliseconds).unwrap_or(0);
        Self { lo: now, hi: now }
    }
}

/// A reading of the database's clock, with the times of this machine's clock before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// The time that was read.
    pub(crate) time: i64,
    /// The time since the boot when the database was asked.
    pub(crate) asked: i64,
    /// The time since the boot when the database had answered.
    pub(crate) answered: i64,
}

impl ClockReading {
    /// Returns the earliest time of the database's clock at `at` of this machine's.
    fn earliest(&self, at: i64) -> i64 {
        let since = at.saturating_sub(self.answered);
        self.time + since - drift(since)
    }

    /// Returns the latest time of the database's clock at `at` of this machine's.
    fn latest(&self, at: i64) -> i64 {
        let since = at.saturating_sub(self.asked);
        self.time + since + drift(since)
    }

    /// Returns the bounds of the database's clock at `at` of this machine's.
    pub(crate) fn bounds(&self, at: i64) -> TimeBounds {
        let floor = |time: i64| u64::try_from(time.div_euclid(1_000)).unwrap_or(0);
        TimeBounds {
            lo: floor(self.earliest(at)),
            hi: floor(self.latest(at).saturating_add(999)),
        }
    }

    /// Returns the time by which the database's clock was set since an earlier reading, as far as the bounds of that reading
    /// tell; 0 if the readings agree.
    pub(crate) fn step_since(&self, earlier: &Self) -> i64 {
        let (least, most) = (earlier.earliest(self.asked), earlier.latest(self.answered));
        self.time - self.time.clamp(least, most.max(least))
    }

    /// Returns the reading with closer bounds, of this one and a newer one; the newer one if they do not agree.
    pub(crate) fn closer(self, newer: Self) -> Self {
        let at = newer.answered;
        let width = |reading: &Self| reading.latest(at) - reading.earliest(at);
        if newer.step_since(&self) == 0 && width(&self) < width(&newer) {
            self
        } else {
            newer
        }
    }
}

fn drift(since: i64) -> i64 {
    since.saturating_abs() / MIN_DRIFT_DIVISOR + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECONDS_PER_SECOND: i64 = 1_000_000;

    fn reading(time: i64, asked: i64, answered: i64) -> ClockReading {
        ClockReading {
            time,
            asked,
            answered,
        }
    }

    #[test]
    fn bounds_hold_for_any_delay_of_question_and_answer_and_any_drift() {
        // The true time is that of this machine, plus 1,000 s; the database's clock runs fast or slow.
        for drift in [-2, 0, 2] {
            let database = |at: i64| 1_000 * MICROSECONDS_PER_SECOND + at + at * drift / 10_000;
            for (asked, read, answered) in [(0, 0, 0), (0, 0, 900), (0, 900, 900), (7, 300, 900)] {
                let reading = reading(database(read), asked, answered);
                for later in [
                    0,
                    1,
                    500_000,
                    MICROSECONDS_PER_SECOND,
                    8 * MICROSECONDS_PER_SECOND,
                    3_600 * MICROSECONDS_PER_SECOND,
                ] {
                    let at = answered + later;
                    let bounds = reading.bounds(at);
                    let now = u64::try_from(database(at)).expect("positive");
                    assert!(bounds.lo * 1_000 <= now, "{drift} {later} {bounds:?} {now}");
                    assert!(bounds.hi * 1_000 >= now, "{drift} {later} {bounds:?} {now}");
                }
            }
        }
    }

    #[test]
    fn bounds_are_close() {
        let bounds =
            reading(50 * MICROSECONDS_PER_SECOND, 0, 800).bounds(8 * MICROSECONDS_PER_SECOND);
        assert!(bounds.hi - bounds.lo <= 6, "{bounds:?}");
    }

    #[test]
    fn a_clock_that_was_set_is_told_from_a_slow_answer() {
        let first = reading(100 * MICROSECONDS_PER_SECOND, 0, 1_000);
        let slow = reading(
            103 * MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND,
            4 * MICROSECONDS_PER_SECOND,
        );
        assert_eq!(slow.step_since(&first), 0);
        let ahead = reading(
            111 * MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND + 1_000,
        );
        assert!((9_990_000..=10_000_000).contains(&ahead.step_since(&first)));
        let behind = reading(
            91 * MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND + 1_000,
        );
        assert!((-10_001_000..=-9_990_000).contains(&behind.step_since(&first)));
    }

    #[test]
    fn the_closer_reading_is_kept_until_the_clock_is_set() {
        let close = reading(100 * MICROSECONDS_PER_SECOND, 0, 100);
        let wide = reading(
            101 * MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND - 400_000,
            MICROSECONDS_PER_SECOND + 400_000,
        );
        assert_eq!(close.closer(wide), close);
        assert_eq!(wide.closer(close), close);
        let set = reading(
            500 * MICROSECONDS_PER_SECOND,
            MICROSECONDS_PER_SECOND - 400_000,
            MICROSECONDS_PER_SECOND + 400_000,
        );
        assert_eq!(close.closer(set), set);
    }
}
