//! The age of the snapshot, its revision, and waits for a newer one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Error;
use tokio::time::timeout;

use super::Directory;

/// The age from which the snapshot is reported as not fresh.
const MAX_FRESH_AGE: Duration = Duration::from_secs(1);
/// `retry-after` of a request that is refused because the snapshot is too old.
const STALE_RETRY_SECONDS: u64 = 5;
/// The time for which a request waits for the revision that it names, and a write until all nodes have its revision.
const REVISION_TIMEOUT: Duration = Duration::from_secs(1);
/// The most requests that wait for a revision. Further ones do not wait.
pub(super) const MAX_REVISION_WAITS: usize = 1_024;

impl Directory {
    /// True if the last attempt to load changes succeeded, within the last second.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.has_loaded() && self.age() < MAX_FRESH_AGE
    }

    /// True if the last attempt to load changes succeeded.
    pub(super) fn has_loaded(&self) -> bool {
        self.has_loaded.load(Ordering::Relaxed)
    }

    /// Returns the age of the snapshot: the time since it was last known to match the database.
    #[must_use]
    pub fn age(&self) -> Duration {
        let verified_at = Duration::from_millis(self.verified_at.load(Ordering::Relaxed));
        self.clock.elapsed().saturating_sub(verified_at)
    }

    /// Returns true if the snapshot is not too old to be trusted.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.max_age.is_none_or(|max_age| self.age() <= max_age)
    }

    /// Refuses requests while the snapshot is too old: a key may have been revoked since.
    ///
    /// # Errors
    /// 503 with `retry-after`.
    pub fn check_age(&self) -> Result<(), Error> {
        if self.is_current() {
            return Ok(());
        }
        Err(Error::overloaded(
            "The database with the API keys has been out of reach for too long to know which of them are still good. Try again \
             in a few seconds.",
            STALE_RETRY_SECONDS,
        ))
    }

    pub(super) fn set_verified(&self) {
        let now = self.clock.milliseconds();
        self.verified_at.store(now, Ordering::Relaxed);
    }

    /// Sets the revision of the snapshot; called once everything is in the snapshot.
    pub(super) fn set_revision(&self, revision: i64) {
        self.revision.send_if_modified(|current| {
            let is_new = *current != revision;
            *current = revision;
            is_new
        });
        self.session.set_revision(revision);
    }

    /// Returns the revision of the snapshot, which grows with each administrative commit of any node.
    #[must_use]
    pub fn revision(&self) -> i64 {
        *self.revision.borrow()
    }

    /// Waits until the snapshot has a revision, for at most a second. Returns false if it does not have it then.
    pub async fn wait_for_revision(&self, revision: i64) -> bool {
        if self.revision() >= revision {
            return true;
        }
        let Ok(_permit) = self.revision_waits.try_acquire() else {
            return false;
        };
        let mut current = self.revision.subscribe();
        let newer = current.wait_for(|current| *current >= revision);
        matches!(timeout(REVISION_TIMEOUT, newer).await, Ok(Ok(_)))
    }

    /// Waits until this process's commits are in the snapshot, and in those of all nodes if the directory is to settle
    /// everywhere. Gives up after some seconds.
    pub async fn settle(&self) {
        self.store.revision().wait_applied().await;
        if !self.settles_everywhere {
            return;
        }
        let revision = self.revision();
        let seen = self
            .session
            .wait_seen_by_all(&self.polled, revision, REVISION_TIMEOUT);
        if !seen.await {
            tracing::warn!(revision, "change answered before all nodes had it");
        }
    }
}
