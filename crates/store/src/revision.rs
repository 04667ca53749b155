//! What moves with every administrative commit, so that whoever keeps a picture of the data knows when it is old.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::Tables;
use crate::tables::KINDS;

/// How long a commit waits for its follower; longer only when the follower is stuck, which must not stop writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts this process's commits, and how many of them its follower has taken in.
#[derive(Clone)]
pub struct Revision(Arc<Shared>);

struct Shared {
    /// Moves with every commit, those that nobody follows included.
    state: AtomicU64,
    /// Of each table, the state that its last change has made.
    changes: [AtomicU64; KINDS],
    /// Held while these move, so that each commit has a state of its own.
    moving: Mutex<()>,
    committed: watch::Sender<u64>,
    applied: watch::Sender<u64>,
    followed: AtomicBool,
}

impl Default for Revision {
    fn default() -> Self {
        let (committed, applied) = (watch::Sender::new(0), watch::Sender::new(0));
        Self(Arc::new(Shared {
            state: AtomicU64::new(0),
            changes: std::array::from_fn(|_| AtomicU64::new(0)),
            moving: Mutex::default(),
            committed,
            applied,
            followed: AtomicBool::new(false),
        }))
    }
}

impl Revision {
    pub(crate) fn committed_quietly(&self, changed: Tables) {
        let shared = &*self.0;
        let _moving = shared.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.state() + 1;
        for number in changed.numbers() {
            shared.changes[number].store(next, Ordering::SeqCst);
        }
        // Last: whoever sees this state sees which tables are as new as it.
        shared.state.store(next, Ordering::SeqCst);
    }

    pub(crate) fn is_unchanged(&self, tables: Tables, state: u64) -> bool {
        let mut numbers = tables.numbers();
        numbers.all(|number| self.0.changes[number].load(Ordering::SeqCst) <= state)
    }

    pub(crate) fn state(&self) -> u64 {
        self.0.state.load(Ordering::SeqCst)
    }

    /// Another process was found to have committed.
    pub fn moved_elsewhere(&self) {
        self.committed_quietly(Tables::ALL);
    }

    pub(crate) fn committed(&self, changed: Tables) {
        self.committed_quietly(changed);
        self.0.committed.send_modify(|count| *count += 1);
    }

    /// Follows the commits from now on. A process has one follower: its picture of the data.
    #[must_use]
    pub fn follow(&self) -> Follower {
        self.0.followed.store(true, Ordering::SeqCst);
        Follower {
            commits: self.0.committed.subscribe(),
            shared: Arc::clone(&self.0),
        }
    }

    /// Waits until the follower has taken in every commit made so far; at once when there is no follower.
    pub async fn settled(&self) {
        if !self.0.followed.load(Ordering::SeqCst) {
            return;
        }
        let target = *self.0.committed.borrow();
        let mut applied = self.0.applied.subscribe();
        if tokio::time::timeout(PATIENCE, applied.wait_for(|count| *count >= target))
            .await
            .is_err()
        {
            tracing::warn!("the picture of the data is older than {PATIENCE:?}");
        }
    }
}

/// Told of each commit; tells what it has taken in.
pub struct Follower {
    commits: watch::Receiver<u64>,
    shared: Arc<Shared>,
}

impl Follower {
    /// Waits for a commit that [`Follower::seen`] has not been asked about.
    pub async fn changed(&mut self) {
        if self.commits.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The commits made so far; to be read *before* the data is.
    pub fn seen(&mut self) -> u64 {
        *self.commits.borrow_and_update()
    }

    /// The data as of `count` commits, or newer, is now in use.
    pub fn applied(&self, count: u64) {
        self.shared.applied.send_if_modified(|applied| {
            let newer = count > *applied;
            *applied = count.max(*applied);
            newer
        });
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.followed.store(false, Ordering::SeqCst);
        self.applied(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Catalog;

    #[test]
    fn a_commit_changes_its_tables_and_no_others() {
        let (revision, catalog) = (Revision::default(), Catalog::default());
        let (one, other) = (catalog.table("one"), catalog.table("other"));
        let before = revision.state();
        revision.committed_quietly(one);
        let after = revision.state();
        assert!(!revision.is_unchanged(one, before) && revision.is_unchanged(one, after));
        assert!(revision.is_unchanged(other, before));
        assert!(!revision.is_unchanged(one.with(other), before));
        revision.moved_elsewhere();
        assert!(!revision.is_unchanged(other, after));
    }

    #[tokio::test]
    async fn a_commit_settles_when_its_follower_has_taken_it_in() {
        let revision = Revision::default();
        revision.settled().await;
        let mut follower = revision.follow();
        revision.committed(Tables::ALL);
        let waiting = tokio::spawn({
            let revision = revision.clone();
            async move { revision.settled().await }
        });
        follower.changed().await;
        let seen = follower.seen();
        assert!(!waiting.is_finished());
        follower.applied(seen);
        waiting.await.expect("settled");
    }
}
