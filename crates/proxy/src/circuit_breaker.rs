//! Circuit breaking: an upstream that fails gets no requests for a backoff, which doubles with each failed probe.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Maximum failures in a row of an upstream that can be connected to; the last one opens its circuit.
const MAX_CONSECUTIVE_FAILURES: u32 = 5;
/// Backoff after the circuit opened for the first time.
const MIN_BACKOFF: Duration = Duration::from_secs(1);

/// Kind of a failure of an upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection could be made. Opens the circuit at once.
    Connect,
    /// The connection broke, a timeout passed, or the response was an error of the server. Opens the circuit after
    /// [`MAX_CONSECUTIVE_FAILURES`].
    Response,
}

/// Circuit breaker of one upstream.
///
/// Closed, it lets every request pass. Failures open it for a backoff. After the backoff one probe, a health check or a
/// request, makes it half-open: the probe's success closes it, its failure opens it again for twice as long. A closed
/// circuit is on probation until a whole response came: one more failure opens it again.
pub(crate) struct CircuitBreaker {
    /// Copy of [`State::is_open`] that is read without the lock.
    is_open: AtomicBool,
    /// Copy of [`State::is_pristine`] that is read without the lock.
    is_pristine: AtomicBool,
    state: Mutex<State>,
    opened: Notify,
}

/// State of a circuit breaker.
struct State {
    circuit: Circuit,
    max_backoff: Duration,
    consecutive_failures: u32,
    /// Number of times that the circuit opened since the last whole response; the exponent of the backoff.
    openings: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed,
    /// No request passes before `until`; then one probe may be claimed.
    Open {
        until: Instant,
    },
    /// A probe was claimed. Another one may be claimed from `until` on, in case that the probe's outcome is lost.
    HalfOpen {
        until: Instant,
    },
}

impl CircuitBreaker {
    pub(crate) fn new(max_backoff: Duration) -> Self {
        Self {
            is_open: AtomicBool::new(false),
            is_pristine: AtomicBool::new(true),
            state: Mutex::new(State::new(max_backoff)),
            opened: Notify::new(),
        }
    }

    /// True if the circuit is open or half-open: requests prefer other upstreams.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Records a failure. True if the failure opened a closed circuit.
    pub(crate) fn record_failure(&self, kind: FailureKind) -> bool {
        let has_opened = self.update(|state| state.record_failure(kind));
        if has_opened {
            self.opened.notify_one();
        }
        has_opened
    }

    /// Records the head of a response. True if it closed the circuit.
    pub(crate) fn record_response(&self) -> bool {
        self.is_open() && self.update(State::record_response)
    }

    /// Records a whole response.
    pub(crate) fn record_success(&self) {
        if !self.is_pristine.load(Ordering::Relaxed) {
            self.update(State::record_success);
        }
    }

    /// Claims the probe of an open circuit whose backoff has passed. True for one caller; for the others false until the
    /// probe has failed and the next backoff has passed.
    pub(crate) fn try_half_open(&self) -> bool {
        self.is_open() && self.update(State::try_half_open)
    }

    /// Returns the time until a probe may be claimed; `None` if the circuit is closed.
    pub(crate) fn backoff_left(&self) -> Option<Duration> {
        let until = self.state().circuit.until()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Waits until the circuit opens. Returns at once if it opened since the last call.
    pub(crate) async fn opened(&self) {
        self.opened.notified().await;
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let outcome = change(&mut state);
        self.is_open.store(state.is_open(), Ordering::Relaxed);
        self.is_pristine
            .store(state.is_pristine(), Ordering::Relaxed);
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    /// Returns the time from which on a probe may be claimed; `None` if the circuit is closed.
    fn until(self) -> Option<Instant> {
        match self {
            Self::Closed => None,
            Self::Open { until } | Self::HalfOpen { until } => Some(until),
        }
    }
}

impl State {
    fn new(max_backoff: Duration) -> Self {
        Self {
            circuit: Circuit::Closed,
            max_backoff,
            consecutive_failures: 0,
            openings: 0,
        }
    }

    fn record_failure(&mut self, kind: FailureKind) -> bool {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let opens = match (self.circuit, kind) {
            (Circuit::Closed, FailureKind::Connect) => true,
            (Circuit::Closed, FailureKind::Response) => {
                self.consecutive_failures >= MAX_CONSECUTIVE_FAILURES
            }
            // Requests that were sent before the circuit opened say nothing new.
            (Circuit::Open { .. }, _) => false,
            (Circuit::HalfOpen { .. }, _) => true,
        };
        let was_closed = self.circuit == Circuit::Closed;
        if opens {
            let until = Instant::now() + self.backoff();
            self.circuit = Circuit::Open { until };
            self.openings = self.openings.saturating_add(1);
        }
        opens && was_closed
    }

    fn record_response(&mut self) -> bool {
        let was_open = self.is_open();
        if was_open {
            self.circuit = Circuit::Closed;
            // On probation: the next failure opens the circuit, unless a whole response comes first.
            self.consecutive_failures = MAX_CONSECUTIVE_FAILURES - 1;
        }
        was_open
    }

    fn record_success(&mut self) {
        // A response that began before the circuit opened says nothing of the upstream's health now.
        if !self.is_open() {
            (self.consecutive_failures, self.openings) = (0, 0);
        }
    }

    fn try_half_open(&mut self) -> bool {
        let now = Instant::now();
        if self.circuit.until().is_none_or(|until| until > now) {
            return false;
        }
        let until = now + self.backoff();
        self.circuit = Circuit::HalfOpen { until };
        true
    }

    /// Returns the next backoff: twice the one before, up to the maximum.
    fn backoff(&self) -> Duration {
        let doubled = MIN_BACKOFF * (1 << self.openings.min(31));
        doubled.min(self.max_backoff)
    }

    fn is_open(&self) -> bool {
        self.circuit != Circuit::Closed
    }

    /// True if a whole response would change nothing.
    fn is_pristine(&self) -> bool {
        self.consecutive_failures == 0 && self.openings == 0 && !self.is_open()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    const MAX_BACKOFF: Duration = Duration::from_secs(10);

    fn state() -> State {
        State::new(MAX_BACKOFF)
    }

    #[test]
    fn circuit_opens_at_once_without_a_connection_and_after_some_failed_responses() {
        let mut unreachable = state();
        assert!(unreachable.record_failure(FailureKind::Connect));
        assert!(!unreachable.record_failure(FailureKind::Connect));
        let mut failing = state();
        let opened: Vec<bool> = (0..6)
            .map(|_| failing.record_failure(FailureKind::Response))
            .collect();
        assert_eq!(opened, [false, false, false, false, true, false]);
        let mut mixed = state();
        for number in 0..100 {
            assert!(!mixed.record_failure(FailureKind::Response));
            if number % 4 == 3 {
                mixed.record_success();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_with_each_failed_probe_up_to_its_maximum_and_one_caller_claims_the_probe()
     {
        let mut state = state();
        state.record_failure(FailureKind::Connect);
        for seconds in [1, 2, 4, 8, 10, 10] {
            let moment = Duration::from_millis(1);
            advance(Duration::from_secs(seconds) - moment).await;
            assert!(!state.try_half_open(), "after {seconds} s");
            advance(moment).await;
            assert!(state.try_half_open(), "after {seconds} s");
            assert!(!state.try_half_open());
            assert!(!state.record_failure(FailureKind::Connect));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn closed_circuit_is_on_probation_until_a_whole_response_came() {
        let mut state = state();
        state.record_failure(FailureKind::Connect);
        advance(MIN_BACKOFF).await;
        assert!(state.try_half_open());
        assert!(state.record_response());
        assert!(!state.record_response());
        assert!(state.record_failure(FailureKind::Response));
        let until = Instant::now() + MIN_BACKOFF * 2;
        let longer = Circuit::Open { until };
        assert_eq!(state.circuit, longer, "the backoff has doubled");
        assert!(state.record_response());
        state.record_success();
        assert!(state.is_pristine());
        assert!(!state.record_failure(FailureKind::Response));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_from_before_the_circuit_opened_neither_close_it_nor_prolong_the_backoff() {
        let mut state = state();
        let until = Instant::now() + MIN_BACKOFF;
        state.record_failure(FailureKind::Connect);
        advance(MIN_BACKOFF - Duration::from_millis(100)).await;
        state.record_success();
        state.record_failure(FailureKind::Response);
        assert_eq!(state.circuit, Circuit::Open { until });
    }

    proptest! {
        #[test]
        fn every_backoff_is_bounded_and_then_one_probe_can_be_claimed(
            events in prop::collection::vec((0..5_u8, 0..5_000_u64), 1..200),
        ) {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
            runtime.block_on(every_backoff_is_bounded(events))?;
        }
    }

    /// Plays events, each after so many milliseconds.
    async fn every_backoff_is_bounded(events: Vec<(u8, u64)>) -> Result<(), TestCaseError> {
        let mut state = state();
        for (event, passed) in events {
            advance(Duration::from_millis(passed)).await;
            match event {
                0 => drop(state.record_failure(FailureKind::Connect)),
                1 => drop(state.record_failure(FailureKind::Response)),
                2 => drop(state.record_response()),
                3 => state.record_success(),
                _ => drop(state.try_half_open()),
            }
            let Some(until) = state.circuit.until() else {
                continue;
            };
            prop_assert!(until <= Instant::now() + MAX_BACKOFF);
            prop_assert!(!state.is_pristine());
        }
        if let Some(until) = state.circuit.until() {
            advance(until.saturating_duration_since(Instant::now())).await;
            prop_assert!(state.try_half_open());
            prop_assert!(!state.try_half_open());
        }
        Ok(())
    }
}
