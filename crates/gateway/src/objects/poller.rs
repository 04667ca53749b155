//! Polling: objects whose usage no client asks about are fetched in the background. The time of the next poll is in the
//! database, so a restart loses nothing, and nodes that share a database share the work.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tasks::Task;
use tokio::time::{Instant, timeout_at};

use super::Objects;
use super::reconcile::retry_seconds;
use super::repository::UpstreamObject;
use crate::object_kind::ObjectKind;

/// The interval between two rounds. In between, responses are polled when they are due, and other objects if the reconciler asks.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// The number of objects that are taken from the database at a time.
const PAGE_LIMIT: i64 = 64;
/// The number of expired objects that are removed in one transaction.
const MAX_EXPIRED_REMOVALS: i64 = 1_000;
/// The maximum number of objects that are polled at the same time.
const MAX_CONCURRENT_POLLS: usize = 8;
/// The shortest pause before responses that are due are polled.
const MIN_POLL_PAUSE: Duration = Duration::from_millis(200);
/// The delay after objects could not be polled or rescheduled, since they are due at once.
const FAILURE_DELAY: Duration = Duration::from_secs(5);

/// The background task that polls objects.
pub(crate) struct PollerTask(pub(crate) Arc<Objects>);

impl Task for PollerTask {
    /// Polls forever.
    async fn run(&mut self) {
        loop {
            let end = Instant::now() + POLL_INTERVAL;
            self.0.poll_due().await;
            let mut pause = MIN_POLL_PAUSE;
            while Instant::now() < end {
                // The next poll is the same whether a response is due by now or an object has become due.
                let next = self.0.until_next_response().await;
                let next = next.map(|delay| Instant::now() + delay.max(pause));
                let wake = self.0.state.due.notified();
                let _ = timeout_at(next.map_or(end, |next| next.min(end)), wake).await;
                pause = match self.0.poll_all_due().await {
                    true => MIN_POLL_PAUSE,
                    false => FAILURE_DELAY,
                };
            }
        }
    }
}

impl Objects {
    /// Removes expired objects, polls all objects that are due now, then releases the expired reservations.
    pub(crate) async fn poll_due(&self) {
        self.remove_expired().await;
        if self.poll_all_due().await {
            // All due objects have bound their reservations, so what is still pending belongs to no object.
            self.reservations.release_expired().await;
        }
    }

    /// Returns the time until the next response is due; `None` if there is none, or if that cannot be told.
    async fn until_next_response(&self) -> Option<Duration> {
        let due = match self.repository.next_due(ObjectKind::Response).await {
            Ok(due) => due?,
            Err(error) => {
                tracing::warn!(%error, "failed to load time of next poll");
                return None;
            }
        };
        let milliseconds = due.0.saturating_mul(1_000) - self.clock.now_milliseconds();
        Some(Duration::from_millis(
            u64::try_from(milliseconds).unwrap_or(0),
        ))
    }

    /// Polls all objects that are due now. False if some could not be polled or rescheduled.
    async fn poll_all_due(&self) -> bool {
        let now = self.clock.now();
        loop {
            let due = match self.repository.due(now, PAGE_LIMIT).await {
                Ok(due) if due.is_empty() => return true,
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "failed to load due objects");
                    return false;
                }
            };
            let polls = stream::iter(due).map(|object| async move { self.poll(&object).await });
            let polls = polls.buffer_unordered(MAX_CONCURRENT_POLLS);
            if !polls
                .all(|is_rescheduled| async move { is_rescheduled })
                .await
            {
                return false;
            }
        }
    }

    /// Removes the records of objects that their upstreams have deleted by now.
    async fn remove_expired(&self) {
        loop {
            match self.repository.remove_expired(MAX_EXPIRED_REMOVALS).await {
                Ok(removed) if removed < MAX_EXPIRED_REMOVALS.unsigned_abs() => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to remove expired objects; will retry");
                    return;
                }
            }
        }
    }

    /// Polls an object, unless another node does. Returns false if the object could not be rescheduled, so that it would be
    /// due again at once.
    async fn poll(&self, object: &UpstreamObject) -> bool {
        match self.repository.claim(object).await {
            Ok(true) => {}
            Ok(false) => return true,
            Err(error) => {
                tracing::warn!(id = object.id, %error, "failed to claim due object");
                return false;
            }
        }
        let Err(error) = self.poll_claimed(object).await else {
            return true;
        };
        let (id, noun) = (&object.id, object.kind.noun());
        tracing::warn!(id, %error, "failed to poll {noun}; will retry");
        let later = match object.kind {
            ObjectKind::Response => self.next_response_poll(object),
            kind => self.clock.now().plus(retry_seconds(kind)),
        };
        self.repository.set_due(object, Some(later)).await.is_ok()
    }
}
