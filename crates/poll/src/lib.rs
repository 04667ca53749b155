//! Waiting in tests: polling with a deadline, and pacing of load.
//!
//! Every wait of a test for something that happens elsewhere, in another process or task, goes through this crate, so
//! that each has a deadline and a description of what did not happen. Code in the process of the test is driven by the
//! clock instead.

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
    let started = Instant::now();
    loop {
        if let Some(found) = find().await {
            return found;
        }
        check(started.elapsed(), what);
        pause(POLL_INTERVAL).await;
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
pub fn value_blocking<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        check(started.elapsed(), what);
        pause_blocking(POLL_INTERVAL);
    }
}

/// Waits between two actions of a load generator, or as long as a fault or an attack lasts. Never a wait for an effect: that is
/// what the polls are for.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits like [`pause`], on a thread that may block.
pub fn pause_blocking(duration: Duration) {
    std::thread::sleep(duration);
}

#[track_caller]
fn check(waited: Duration, what: &str) {
    assert!(
        waited < DEFAULT_TIMEOUT,
        "waited {waited:?} in vain: {what}"
    );
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

    #[test]
    #[should_panic(expected = "in vain: the moon")]
    fn poll_fails_at_its_deadline_with_its_description() {
        check(DEFAULT_TIMEOUT, "the moon");
    }
}
