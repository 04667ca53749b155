//! Checks of the picture against the database that requests with an unknown key ask for: the key may have been made by
//! another node a moment ago. One check answers all who wait for it, so guesses cost the database nothing of their own.

use std::time::Duration;

use store::{Error, Result};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// The shortest time between the beginnings of two checks.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// The time after which whoever waits for a check is told that the database does not answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// The most requests that wait for a check.
const MAX_WAITING: usize = 1_024;

/// Requests for a check, counted, and the count up to which they are answered.
pub(super) struct Checks {
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    room: Semaphore,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            asked: watch::Sender::new(0),
            answered: watch::Sender::new(0),
            room: Semaphore::new(MAX_WAITING),
        }
    }
}

impl Checks {
    /// Waits until a check has ended that began after this was called.
    ///
    /// # Errors
    /// Too many wait, or the database does not answer.
    pub(super) async fn wait(&self) -> Result<()> {
        let _room = self.room.try_acquire().map_err(|_| Error::Busy)?;
        let mut answered = self.answered.subscribe();
        let mut mine = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            mine = *asked;
        });
        match timeout(CHECK_TIMEOUT, answered.wait_for(|count| *count >= mine)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Timeout),
        }
    }

    /// The side of whoever makes the checks.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            count: self.asked.subscribe(),
            begun: 0,
            next: Instant::now(),
        }
    }

    /// Tells those who asked up to this count that the check has ended.
    pub(super) fn answer(&self, count: u64) {
        self.answered.send_replace(count);
    }
}

/// The checks that requests have asked for.
pub(super) struct Asked {
    count: watch::Receiver<u64>,
    /// The count that the last check has begun with.
    begun: u64,
    /// The earliest beginning of the next check.
    next: Instant,
}

impl Asked {
    /// Resolves when somebody has asked since the last check began, and the next one may begin.
    pub(super) async fn next(&mut self) {
        let begun = self.begun;
        if self.count.wait_for(|count| *count > begun).await.is_err() {
            std::future::pending::<()>().await;
        }
        sleep_until(self.next).await;
    }

    /// Begins a check; returns the count of those that it answers.
    pub(super) fn begin(&mut self) -> u64 {
        self.next = Instant::now() + MIN_CHECK_INTERVAL;
        self.begun = *self.count.borrow_and_update();
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn b6_however_many_ask_checks_are_few_and_each_begins_after_who_asked() {
        let checks = Arc::new(Checks::default());
        let started = Instant::now();
        let mut asked = checks.asked();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let checks = Arc::clone(&checks);
                tokio::spawn(async move {
                    for _ in 0..10 {
                        checks.wait().await.expect("an answer");
                    }
                })
            })
            .collect();
        let mut made = 0;
        while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
            // The last clients ask for nothing any more.
            if timeout(MIN_CHECK_INTERVAL * 2, asked.next()).await.is_ok() {
                let begun = asked.begin();
                made += 1;
                checks.answer(begun);
            }
        }
        let most = started.elapsed().as_millis() / MIN_CHECK_INTERVAL.as_millis() + 1;
        assert!(made >= 10, "each client has asked ten times: {made}");
        assert!(made <= most, "{made} in {most} intervals");
    }

    #[tokio::test]
    async fn b6_whoever_asks_during_a_check_waits_for_the_next_one() {
        let checks = Arc::new(Checks::default());
        let mut asked = checks.asked();
        let ask = || {
            let checks = Arc::clone(&checks);
            tokio::spawn(async move { checks.wait().await })
        };
        let early = ask();
        asked.next().await;
        let begun = asked.begin();
        let late = ask();
        asked.next().await;
        checks.answer(begun);
        early.await.expect("no panic").expect("answered");
        assert!(!late.is_finished());
        checks.answer(asked.begin());
        late.await.expect("no panic").expect("answered");
    }

    #[tokio::test]
    async fn b6_no_more_wait_than_there_is_room_for() {
        let checks = Checks::default();
        let _taken = checks.room.try_acquire_many(1_024).expect("all of it");
        let refused = checks.wait().await.expect_err("too many");
        assert!(matches!(refused, Error::Busy));
    }
}
