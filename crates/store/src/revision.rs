//! Counter of this process's administrative commits, by which the holder of a snapshot of the data knows when to reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// The longest time that a commit waits for the follower, so that a stuck follower does not stop writes.
const APPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// A count of commits, and of those that the follower has applied.
#[derive(Clone)]
pub struct Revision(Arc<Counters>);

struct Counters {
    committed: watch::Sender<u64>,
    applied: watch::Sender<u64>,
    has_follower: AtomicBool,
}

impl Default for Revision {
    fn default() -> Self {
        Self(Arc::new(Counters {
            committed: watch::Sender::new(0),
            applied: watch::Sender::new(0),
            has_follower: AtomicBool::new(false),
        }))
    }
}

impl Revision {
    /// Counts a commit.
    pub(crate) fn advance(&self) {
        self.0.committed.send_modify(|count| *count += 1);
    }

    /// Returns a follower of the commits from now on. A process has one follower: its directory.
    #[must_use]
    pub fn follow(&self) -> Follower {
        self.0.has_follower.store(true, Ordering::SeqCst);
        Follower {
            commits: self.0.committed.subscribe(),
            counters: Arc::clone(&self.0),
        }
    }

    /// Subscribes to the commits of this process.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.0.committed.subscribe()
    }

    /// Waits until the follower has applied every commit made so far, for at most two seconds; returns at once if there
    /// is no follower.
    pub async fn wait_applied(&self) {
        if !self.0.has_follower.load(Ordering::SeqCst) {
            return;
        }
        let target = *self.0.committed.borrow();
        let mut applied = self.0.applied.subscribe();
        if tokio::time::timeout(APPLY_TIMEOUT, applied.wait_for(|count| *count >= target))
            .await
            .is_err()
        {
            tracing::warn!("directory snapshot did not catch up within {APPLY_TIMEOUT:?}");
        }
    }
}

/// The receiver of commits, which reports those that it has applied.
pub struct Follower {
    commits: watch::Receiver<u64>,
    counters: Arc<Counters>,
}

impl Follower {
    /// Waits for a commit that is not included in the last result of [`Follower::seen`].
    pub async fn changed(&mut self) {
        if self.commits.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns the number of commits made so far; to be called *before* the data is read.
    pub fn seen(&mut self) -> u64 {
        *self.commits.borrow_and_update()
    }

    /// Reports that the data as of `count` commits, or newer, is in use.
    pub fn applied(&self, count: u64) {
        self.counters.applied.send_if_modified(|applied| {
            let is_newer = count > *applied;
            *applied = count.max(*applied);
            is_newer
        });
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.counters.has_follower.store(false, Ordering::SeqCst);
        self.applied(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commit_waits_until_its_follower_has_applied_it() {
        let revision = Revision::default();
        revision.wait_applied().await;
        let mut follower = revision.follow();
        revision.advance();
        let waiting = tokio::spawn({
            let revision = revision.clone();
            async move { revision.wait_applied().await }
        });
        follower.changed().await;
        let seen = follower.seen();
        assert!(!waiting.is_finished());
        follower.applied(seen);
        waiting.await.expect("the commit is applied");
    }
}
