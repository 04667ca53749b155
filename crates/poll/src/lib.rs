//! Waiting in tests: polling with a deadline, driving the clock, and delays of a scenario.
//!
//! Every wait of a test for something that happens elsewhere, in another process or task, is a poll of this crate, so that
//! each has a deadline and a description of what did not happen. Intervals and timeouts of code in the process of the test
//! do not elapse: [`advance`] moves the clock past them. A [`ScenarioDelay`] is no wait of a test, but part of what a load
//! generator, a fault injector or a server of the test does.

use std::time::{Duration, Instant};

/// Deadline of a poll, long enough for a slow machine under load.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// Pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls until `condition` is true.
///
/// # Panics
/// The condition is still false after [`DEFAULT_TIMEOUT`]; the message has `what`.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    value(what, async || condition().await.then_some(())).await;
}

/// Polls until `find` returns a value.
///
/// # Panics
/// There is no value after [`DEFAULT_TIMEOUT`]; the message has `what`.
pub async fn value<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let started = now();
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(
            started.elapsed() < DEFAULT_TIMEOUT,
            "waited {DEFAULT_TIMEOUT:?} in vain: {what}"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Polls until `condition` is true, on a thread that may block.
///
/// # Panics
/// The condition is still false after [`DEFAULT_TIMEOUT`]; the message has `what`.
#[track_caller]
pub fn until_blocking(what: &str, mut condition: impl FnMut() -> bool) {
    value_blocking(what, || condition().then_some(()));
}

/// Polls until `find` returns a value, on a thread that may block.
///
/// # Panics
/// There is no value after [`DEFAULT_TIMEOUT`]; the message has `what`.
#[track_caller]
pub fn value_blocking<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    let found = try_value_blocking(DEFAULT_TIMEOUT, find);
    found.unwrap_or_else(|| panic!("waited {DEFAULT_TIMEOUT:?} in vain: {what}"))
}

/// Polls like [`value_blocking`]; `None` if there is no value after `timeout`.
#[track_caller]
pub fn try_value_blocking<T>(timeout: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let started = now();
    loop {
        if let Some(found) = find() {
            return Some(found);
        }
        if started.elapsed() >= timeout {
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Advances the monotonic clock of the runtime, and lets it run on. Timers that are due by then fire all at once; the tasks
/// that wait for them run once the caller waits for something.
///
/// # Panics
/// The runtime has several threads, or its clock is paused.
pub async fn advance(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

/// A delay that is part of the input of a scenario: the pacing of a load generator, the time for which a fault lasts or until
/// it strikes, the slowness of a server of the test. Never a wait for an effect: that is what the polls are for.
///
/// `cargo xtask tidy` lists the modules that may use this type.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioDelay(pub Duration);

impl ScenarioDelay {
    /// Waits until the delay has elapsed.
    pub async fn elapse(self) {
        tokio::time::sleep(self.0).await;
    }

    /// Waits like [`Self::elapse`], on a thread that may block.
    pub fn elapse_blocking(self) {
        std::thread::sleep(self.0);
    }
}

/// Returns the time that passes outside: a test that drives the clock does not move the deadline of a poll.
#[expect(
    clippy::disallowed_methods,
    reason = "a poll waits for other processes and threads, whose time no test drives"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn poll_returns_the_first_value() {
        let mut calls = 0;
        let found = value("the third call", async || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(found.await, 3);
        until_blocking("true", || true);
    }

    #[tokio::test]
    async fn advance_makes_timers_due_and_lets_the_clock_run_on() {
        let hour = Duration::from_secs(3_600);
        let timer = tokio::spawn(tokio::time::timeout(hour, std::future::pending::<()>()));
        // The timer starts when its task runs.
        tokio::task::yield_now().await;
        let (began, began_here) = (now(), tokio::time::Instant::now());
        advance(hour).await;
        let timer = timer.await.expect("no panic");
        timer.expect_err("the hour has passed");
        assert!(began.elapsed() < hour && began_here.elapsed() >= hour);
        ScenarioDelay(Duration::from_millis(1)).elapse().await;
    }

    #[test]
    fn poll_ends_at_its_deadline() {
        let (mut calls, timeout) = (0, POLL_INTERVAL * 2);
        let found: Option<()> = try_value_blocking(timeout, || {
            calls += 1;
            None
        });
        assert_eq!(found, None);
        assert!((2..=3).contains(&calls), "{calls}");
    }
}
