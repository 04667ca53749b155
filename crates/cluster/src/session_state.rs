//! The state of a session: pure, with this machine's clock as an argument.

use crate::clock_reading::{ClockReading, TimeBounds};

/// The time for which a session is prolonged, in microseconds.
pub(crate) const SESSION_TIMEOUT: i64 = 8_000_000;
/// The margin by which a session ends earlier on the node than in the database, since clocks run at slightly different
/// speeds, in microseconds.
const MAX_CLOCK_DRIFT: i64 = 4_000;
/// The least step of the database's clock that begins a generation, in microseconds.
pub(crate) const MIN_CLOCK_STEP: i64 = 250_000;

/// A span in which no commit is lost and the clock is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The number, which only grows.
    pub number: i64,
    /// True once every session has acknowledged the generation, or is over for long enough.
    pub is_open: bool,
    /// The sum of all steps of the database's clock until this generation, in milliseconds.
    pub clock_step: i64,
}

impl Generation {
    /// The only generation of a local session.
    pub(crate) const LOCAL: Self = Self {
        number: 1,
        is_open: true,
        clock_step: 0,
    };
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionState {
    pub(crate) epoch: i64,
    /// The end of the session unless it is prolonged, in microseconds since the boot.
    end: i64,
    pub(crate) reading: ClockReading,
    pub(crate) generation: Generation,
}

impl SessionState {
    /// Returns a session that was begun at a reading of the clock.
    pub(crate) fn begun(epoch: i64, reading: ClockReading, generation: Generation) -> Self {
        Self {
            epoch,
            end: end_after(reading.asked),
            reading,
            generation,
        }
    }

    /// Returns the session as it is after a prolongation, whose answer came at `reading.answered`. `None` if the session was
    /// over by then, or the answer is of a database that other nodes have left.
    pub(crate) fn prolonged(self, reading: ClockReading, generation: Generation) -> Option<Self> {
        let is_left = generation.number < self.generation.number;
        if is_left || self.is_over(reading.answered) {
            return None;
        }
        Some(Self {
            epoch: self.epoch,
            end: end_after(reading.asked),
            reading: self.reading.closer(reading),
            generation,
        })
    }

    /// True if the session is over at `at` of this machine's clock.
    pub(crate) fn is_over(&self, at: i64) -> bool {
        at >= self.end
    }

    /// Returns the bounds of the database's clock at `at` of this machine's.
    pub(crate) fn now(&self, at: i64) -> TimeBounds {
        self.reading.bounds(at)
    }
}

/// The end is counted from before the question: the database counts from a later moment.
fn end_after(asked: i64) -> i64 {
    asked + SESSION_TIMEOUT - MAX_CLOCK_DRIFT
}

/// Returns the step of the database's clock since an earlier reading if it is large enough to begin a generation.
pub(crate) fn clock_step(earlier: Option<&ClockReading>, reading: &ClockReading) -> Option<i64> {
    let step = reading.step_since(earlier?);
    (step.abs() > MIN_CLOCK_STEP).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECONDS_PER_SECOND: i64 = 1_000_000;

    fn reading(asked: i64, answered: i64) -> ClockReading {
        ClockReading {
            time: 1_000 * MICROSECONDS_PER_SECOND + i64::midpoint(asked, answered),
            asked,
            answered,
        }
    }

    fn generation(number: i64) -> Generation {
        Generation {
            number,
            ..Generation::LOCAL
        }
    }

    #[test]
    fn a_session_ends_before_the_database_ends_it_however_late_the_answer_came() {
        let begun = reading(0, 3 * MICROSECONDS_PER_SECOND);
        let state = SessionState::begun(7, begun, generation(1));
        assert!(!state.is_over(7 * MICROSECONDS_PER_SECOND));
        // The database has counted from the time that was read, which is after the question.
        assert!(state.is_over(8 * MICROSECONDS_PER_SECOND));
    }

    #[test]
    fn prolongation_moves_the_end_and_keeps_the_epoch() {
        let state = SessionState::begun(7, reading(0, 1_000), generation(1));
        let state = state.prolonged(
            reading(
                5 * MICROSECONDS_PER_SECOND,
                5 * MICROSECONDS_PER_SECOND + 1_000,
            ),
            generation(1),
        );
        let state = state.expect("the session goes on");
        assert_eq!(state.epoch, 7);
        assert!(!state.is_over(12 * MICROSECONDS_PER_SECOND));
        assert!(state.is_over(13 * MICROSECONDS_PER_SECOND));
    }

    #[test]
    fn a_session_that_was_over_when_the_answer_came_is_not_prolonged() {
        let state = SessionState::begun(7, reading(0, 1_000), generation(1));
        let late = reading(7 * MICROSECONDS_PER_SECOND, 9 * MICROSECONDS_PER_SECOND);
        assert_eq!(state.prolonged(late, generation(1)), None);
    }

    #[test]
    fn the_answer_of_a_database_that_was_left_prolongs_nothing() {
        let state = SessionState::begun(7, reading(0, 1_000), generation(3));
        let asked = reading(MICROSECONDS_PER_SECOND, MICROSECONDS_PER_SECOND + 1_000);
        assert_eq!(state.prolonged(asked, generation(2)), None);
        assert!(state.prolonged(asked, generation(4)).is_some());
    }

    #[test]
    fn only_a_large_step_of_the_clock_begins_a_generation() {
        let before = reading(0, 1_000);
        for (step, is_large) in [
            (0, false),
            (200_000, false),
            (-200_000, false),
            (300_000, true),
        ] {
            let mut after = reading(MICROSECONDS_PER_SECOND, MICROSECONDS_PER_SECOND + 1_000);
            after.time += step;
            assert_eq!(
                clock_step(Some(&before), &after).is_some(),
                is_large,
                "{step}"
            );
        }
        assert_eq!(clock_step(None, &before), None);
    }
}
