//! Whether requests are sent to an upstream: one that fails is skipped for a pause, and for a longer one each time
//! that it fails again after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::time::Stopwatch;
use tokio::sync::Notify;

/// How many failures in a row an upstream is allowed that can be reached.
const TOLERATED: u32 = 5;
/// The first pause, in milliseconds.
const FIRST_PAUSE: u64 = 1_000;

/// How an upstream failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No connection was made: nobody is there.
    Unreachable,
    /// It broke off, was silent for too long, or said that it cannot.
    Failed,
}

/// The health of one upstream.
pub(super) struct Health {
    watch: Stopwatch,
    /// Whether it is skipped; the same as in the state, to be read without its lock.
    is_down: AtomicBool,
    /// Whether nothing is held against it; the same as in the state.
    is_spotless: AtomicBool,
    state: Mutex<State>,
    went_down: Notify,
}

/// What is held against an upstream. Times are milliseconds.
struct State {
    longest_pause: u64,
    /// Failures in a row.
    failures: u32,
    /// Pauses since it last gave a whole answer.
    pauses: u32,
    /// The end of the pause, while it is skipped.
    until: Option<u64>,
    /// Whether something is on its way that will tell if it is back.
    is_tried: bool,
}

impl Health {
    pub(super) fn new(longest_pause: Duration) -> Self {
        Self {
            watch: Stopwatch::start(),
            is_down: AtomicBool::new(false),
            is_spotless: AtomicBool::new(true),
            state: Mutex::new(State::new(longest_pause)),
            went_down: Notify::new(),
        }
    }

    /// Whether it is skipped.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// Takes note of a failure; whether it is skipped because of it, and was not before.
    pub(super) fn failed(&self, trouble: Trouble) -> bool {
        let is_news = self.change(|state, now| state.failed(trouble, now));
        if is_news {
            self.went_down.notify_one();
        }
        is_news
    }

    /// Takes note of a sign of life; whether it was skipped and is not any more.
    pub(super) fn answered(&self) -> bool {
        self.is_down() && self.change(|state, _| state.answered())
    }

    /// Takes note of a whole answer.
    pub(super) fn succeeded(&self) {
        if !self.is_spotless.load(Ordering::Relaxed) {
            self.change(|state, _| state.succeeded());
        }
    }

    /// Whether its pause is over. Asking takes the trial: nobody else gets it for another pause.
    pub(super) fn begin_trial(&self) -> bool {
        self.is_down() && self.change(State::begin_trial)
    }

    /// How much of its pause is left, if it is skipped.
    pub(super) fn pause_left(&self) -> Option<Duration> {
        let until = self.state().until?;
        let left = until.saturating_sub(self.watch.milliseconds());
        Some(Duration::from_millis(left))
    }

    /// Waits until it is skipped, if it was not when this was last asked.
    pub(super) async fn goes_down(&self) {
        self.went_down.notified().await;
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, u64) -> T) -> T {
        let now = self.watch.milliseconds();
        let mut state = self.state();
        let outcome = change(&mut state, now);
        let (is_down, is_spotless) = (state.until.is_some(), state.is_spotless());
        self.is_down.store(is_down, Ordering::Relaxed);
        self.is_spotless.store(is_spotless, Ordering::Relaxed);
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(longest_pause: Duration) -> Self {
        Self {
            longest_pause: u64::try_from(longest_pause.as_millis()).unwrap_or(u64::MAX),
            failures: 0,
            pauses: 0,
            until: None,
            is_tried: false,
        }
    }

    /// Requests that were under way when it went down tell nothing new: only a trial's failure makes the pause longer.
    fn failed(&mut self, trouble: Trouble, now: u64) -> bool {
        self.failures = self.failures.saturating_add(1);
        let was_down = self.until.is_some();
        let is_due = match (was_down, trouble) {
            (true, _) => self.is_tried,
            (false, Trouble::Unreachable) => true,
            (false, Trouble::Failed) => self.failures >= TOLERATED,
        };
        if is_due {
            self.until = Some(now.saturating_add(self.pause()));
            self.pauses = self.pauses.saturating_add(1);
            self.is_tried = false;
        }
        is_due && !was_down
    }

    /// One more failure ends what begins here; only a whole answer to a client wipes the slate.
    fn answered(&mut self) -> bool {
        let was_down = self.until.take().is_some();
        if was_down {
            self.failures = TOLERATED - 1;
            self.is_tried = false;
        }
        was_down
    }

    /// An answer that began before it went down tells nothing of how it is now.
    fn succeeded(&mut self) {
        if self.until.is_none() {
            (self.failures, self.pauses) = (0, 0);
        }
    }

    fn begin_trial(&mut self, now: u64) -> bool {
        if self.until.is_none_or(|until| until > now) {
            return false;
        }
        self.until = Some(now.saturating_add(self.pause()));
        self.is_tried = true;
        true
    }

    /// The next pause: twice the one before, up to the longest.
    fn pause(&self) -> u64 {
        let doubled = FIRST_PAUSE << self.pauses.min(32);
        doubled.min(self.longest_pause)
    }

    fn is_spotless(&self) -> bool {
        self.failures == 0 && self.pauses == 0 && self.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> State {
        State::new(Duration::from_secs(10))
    }

    #[test]
    fn an_unreachable_upstream_is_skipped_at_once_and_a_failing_one_after_some() {
        let mut unreachable = state();
        assert!(unreachable.failed(Trouble::Unreachable, 0));
        assert!(!unreachable.failed(Trouble::Unreachable, 1));
        let mut failing = state();
        let news: Vec<bool> = (0..6)
            .map(|at| failing.failed(Trouble::Failed, at))
            .collect();
        assert_eq!(news, [false, false, false, false, true, false]);
        let mut mixed = state();
        for at in 0..100 {
            assert!(!mixed.failed(Trouble::Failed, at));
            if at % 4 == 3 {
                mixed.succeeded();
            }
        }
    }

    #[test]
    fn pauses_grow_with_each_trial_up_to_a_bound_and_one_gets_it() {
        let mut state = state();
        state.failed(Trouble::Unreachable, 0);
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..6 {
            let until = state.until.expect("it is skipped");
            pauses.push(until - now);
            assert!(!state.begin_trial(until - 1));
            assert!(state.begin_trial(until));
            assert!(!state.begin_trial(until));
            now = until;
            assert!(!state.failed(Trouble::Unreachable, now));
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }

    #[test]
    fn back_it_is_on_probation_until_it_gives_a_whole_answer() {
        let mut state = state();
        state.failed(Trouble::Unreachable, 0);
        assert!(state.begin_trial(1_000));
        assert!(state.answered());
        assert!(!state.answered());
        assert!(state.failed(Trouble::Failed, 2_000));
        assert_eq!(state.until, Some(4_000), "the pause is longer than before");
        assert!(state.answered());
        state.succeeded();
        assert!(state.is_spotless());
        assert!(!state.failed(Trouble::Failed, 5_000));
    }

    #[test]
    fn a_straggler_does_not_bring_it_back_and_its_failure_does_not_keep_it_away() {
        let mut state = state();
        state.failed(Trouble::Unreachable, 0);
        state.succeeded();
        state.failed(Trouble::Failed, 900);
        assert_eq!(state.until, Some(1_000));
    }

    proptest! {
        #[test]
        fn whatever_happens_a_pause_has_an_end_and_then_one_trial(
            events in prop::collection::vec((0..5_u8, 0..5_000_u64), 1..200),
        ) {
            let mut state = state();
            let mut now = 0;
            for (event, passed) in events {
                now += passed;
                match event {
                    0 => drop(state.failed(Trouble::Unreachable, now)),
                    1 => drop(state.failed(Trouble::Failed, now)),
                    2 => drop(state.answered()),
                    3 => state.succeeded(),
                    _ => drop(state.begin_trial(now)),
                }
                let Some(until) = state.until else { continue };
                prop_assert!(until <= now + 10_000);
                prop_assert!(!state.is_spotless());
            }
            if let Some(until) = state.until {
                prop_assert!(state.begin_trial(until));
                prop_assert!(!state.begin_trial(until));
            }
        }
    }
}
