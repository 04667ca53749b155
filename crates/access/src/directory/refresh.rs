//! Refreshes of the snapshot on behalf of requests with an unknown key, which another node may have created a moment ago.
//! A refresh serves all requests that wait for it, so guessing keys does not load the database.

use std::time::Duration;

use store::{Error, Result};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// The shortest time between the beginnings of two refreshes.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(20);
/// The time after which a request that waits for a refresh fails.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);
/// The most requests that wait for a refresh.
const MAX_WAITING: usize = 1_024;

/// Requests for a refresh: how many there were, and how many of them are served.
pub(super) struct RefreshQueue {
    requested: watch::Sender<u64>,
    served: watch::Sender<u64>,
    permits: Semaphore,
}

impl Default for RefreshQueue {
    fn default() -> Self {
        Self {
            requested: watch::Sender::new(0),
            served: watch::Sender::new(0),
            permits: Semaphore::new(MAX_WAITING),
        }
    }
}

impl RefreshQueue {
    /// Waits for the end of a refresh that begins after this call.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many requests wait; [`Error::Timeout`] if the database does not answer.
    pub(super) async fn wait(&self) -> Result<()> {
        let _permit = self.permits.try_acquire().map_err(|_| Error::Busy)?;
        let mut served = self.served.subscribe();
        let mut number = 0;
        self.requested.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        match timeout(REFRESH_TIMEOUT, served.wait_for(|count| *count >= number)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Timeout),
        }
    }

    /// Returns the receiving half, for the task that refreshes the snapshot.
    pub(super) fn requests(&self) -> RefreshRequests {
        RefreshRequests {
            requested: self.requested.subscribe(),
            begun: 0,
            not_before: Instant::now(),
        }
    }

    /// Wakes the first `count` requests: their refresh has ended.
    pub(super) fn complete(&self, count: u64) {
        self.served.send_replace(count);
    }
}

/// The receiving half of a [`RefreshQueue`].
pub(super) struct RefreshRequests {
    requested: watch::Receiver<u64>,
    /// The number of requests when the last refresh began.
    begun: u64,
    /// The earliest beginning of the next refresh.
    not_before: Instant,
}

impl RefreshRequests {
    /// Waits for a request since the last refresh began, and for the earliest beginning of the next refresh.
    pub(super) async fn next(&mut self) {
        let begun = self.begun;
        if self
            .requested
            .wait_for(|count| *count > begun)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
        sleep_until(self.not_before).await;
    }

    /// Begins a refresh. Returns the number of requests that it serves, for [`RefreshQueue::complete`].
    pub(super) fn begin(&mut self) -> u64 {
        self.not_before = Instant::now() + MIN_REFRESH_INTERVAL;
        self.begun = *self.requested.borrow_and_update();
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn many_requests_share_few_refreshes_that_begin_after_them() {
        let queue = Arc::new(RefreshQueue::default());
        let started = Instant::now();
        let mut requests = queue.requests();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    for _ in 0..10 {
                        queue.wait().await.expect("an answer");
                    }
                })
            })
            .collect();
        let mut refreshes = 0;
        while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
            // The last clients send no further requests.
            if timeout(MIN_REFRESH_INTERVAL * 2, requests.next())
                .await
                .is_ok()
            {
                let begun = requests.begin();
                refreshes += 1;
                queue.complete(begun);
            }
        }
        let max = started.elapsed().as_millis() / MIN_REFRESH_INTERVAL.as_millis() + 1;
        assert!(
            refreshes >= 10,
            "each client has waited ten times: {refreshes}"
        );
        assert!(refreshes <= max, "{refreshes} in {max} intervals");
    }

    #[tokio::test]
    async fn a_request_during_a_refresh_waits_for_the_next_one() {
        let queue = Arc::new(RefreshQueue::default());
        let mut requests = queue.requests();
        let ask = || {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.wait().await })
        };
        let early = ask();
        requests.next().await;
        let begun = requests.begin();
        let late = ask();
        requests.next().await;
        queue.complete(begun);
        early.await.expect("no panic").expect("answered");
        assert!(!late.is_finished());
        queue.complete(requests.begin());
        late.await.expect("no panic").expect("answered");
    }

    #[tokio::test]
    async fn requests_beyond_the_limit_are_refused() {
        let queue = RefreshQueue::default();
        let _taken = queue.permits.try_acquire_many(1_024).expect("all of it");
        let refused = queue.wait().await.expect_err("too many");
        assert!(matches!(refused, Error::Busy));
    }
}
