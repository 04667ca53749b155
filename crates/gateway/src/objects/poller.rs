//! Polling: objects whose usage no client asks about are fetched in the background. The time of the next poll is in the
//! database, so a restart loses nothing, and nodes that share a database share the work.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tasks::Task;

use super::Objects;
use super::reconcile::retry_seconds;
use super::repository::UpstreamObject;

/// The interval between two rounds, unless the reconciler asks for one earlier.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// The number of objects that are taken from the database at a time.
const PAGE_LIMIT: i64 = 64;
/// The number of expired objects that are removed in one transaction.
const MAX_EXPIRED_REMOVALS: i64 = 1_000;
/// The maximum number of objects that are polled at the same time.
const MAX_CONCURRENT_POLLS: usize = 4;

/// The background task that polls objects.
pub(crate) struct PollerTask(pub(crate) Arc<Objects>);

impl Task for PollerTask {
    /// Polls forever.
    async fn run(&mut self) {
        loop {
            self.0.poll_due().await;
            // The next round is the same whether the interval has passed or an object became due.
            let wake = self.0.state.due.notified();
            let _ = tokio::time::timeout(POLL_INTERVAL, wake).await;
        }
    }
}

impl Objects {
    /// Removes expired objects, polls all objects that are due now, then releases the expired reservations.
    pub(crate) async fn poll_due(&self) {
        self.remove_expired().await;
        let now = self.clock.now();
        loop {
            let due = match self.repository.due(now, PAGE_LIMIT).await {
                Ok(due) if due.is_empty() => break,
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "failed to load due objects");
                    return;
                }
            };
            let polls = stream::iter(due).map(|object| async move { self.poll(&object).await });
            let polls = polls.buffer_unordered(MAX_CONCURRENT_POLLS);
            if !polls
                .all(|is_rescheduled| async move { is_rescheduled })
                .await
            {
                return;
            }
        }
        // All due objects have bound their reservations, so what is still pending belongs to no object.
        self.reservations.release_expired().await;
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
        let later = self.clock.now().plus(retry_seconds(object.kind));
        self.repository.set_due(object, Some(later)).await.is_ok()
    }
}
