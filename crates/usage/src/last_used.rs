//! The times at which keys, their owners and sessions were last used, recorded without a write on the request path.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::ids::{Id, KeyId, OrganizationId, SessionId, UserId};
use base::{Clock, UnixTime};
use store::{Store, sql};
use tasks::{Task, TaskHandle};
use tokio_util::sync::CancellationToken;

/// The interval between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// The most keys that are pending between two writes; uses of further keys are not recorded.
const MAX_PENDING: usize = 100_000;
/// The most keys that are written in one transaction, so that other writers get their turn.
const MAX_BATCH: usize = 500;
/// The number of attempts to write at shutdown.
const STOP_ATTEMPTS_COUNT: usize = 5;
const STOP_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Records uses. Clones share the pending ones.
#[derive(Clone)]
pub struct LastUsed {
    pending: Arc<Mutex<Pending>>,
    clock: Clock,
}

type Pending = HashMap<KeyId, LastUse>;

struct LastUse {
    organization: OrganizationId,
    user: Option<UserId>,
    at: UnixTime,
}

/// The task that writes pending uses once a second, and once more when it is stopped.
struct LastUsedWriter {
    pending: LastUsed,
    store: Store,
    stop: CancellationToken,
}

impl LastUsed {
    /// Starts the task that writes uses, on the current runtime. Its stop writes those that are pending.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> (Self, TaskHandle) {
        let last_used = Self {
            pending: Arc::default(),
            clock,
        };
        let pending = last_used.clone();
        let task = tasks::start("last uses", |stop| LastUsedWriter {
            pending,
            store,
            stop,
        });
        (last_used, task)
    }

    /// Records that `key`, which may be a session, was used just now, and its `user` if it has one.
    pub fn touch(&self, organization: &OrganizationId, key: &KeyId, user: Option<&UserId>) {
        let at = self.clock.now();
        let mut pending = self.lock();
        if let Some(before) = pending.get_mut(key) {
            before.at = before.at.max(at);
        } else if pending.len() < MAX_PENDING {
            let organization = organization.clone();
            let user = user.cloned();
            let used = LastUse {
                organization,
                user,
                at,
            };
            pending.insert(key.clone(), used);
        }
    }

    /// Adds uses that could not be written to the pending ones again; newer uses win.
    fn put_back(&self, batch: Vec<(KeyId, LastUse)>) {
        let mut pending = self.lock();
        for (key, used) in batch {
            if let Some(newer) = pending.get_mut(&key) {
                newer.at = newer.at.max(used.at);
            } else if pending.len() < MAX_PENDING {
                pending.insert(key, used);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task for LastUsedWriter {
    async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(WRITE_INTERVAL) => {
                    self.pending.write_pending(&self.store).await;
                }
                () = self.stop.cancelled() => {}
            }
        }
        for attempt in 0..STOP_ATTEMPTS_COUNT {
            if attempt > 0 {
                tokio::time::sleep(STOP_RETRY_DELAY).await;
            }
            if self.pending.write_pending(&self.store).await {
                return;
            }
        }
        let keys = self.pending.lock().len();
        tracing::error!(keys, "failed to update last_used_at before the shutdown");
    }
}

impl LastUsed {
    /// Writes pending uses. False if some could not be written and are pending still.
    async fn write_pending(&self, store: &Store) -> bool {
        let pending = std::mem::take(&mut *self.lock());
        let mut pending: Vec<_> = pending.into_iter().collect();
        pending.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let mut is_written = true;
        while !pending.is_empty() {
            // Sorted in reverse, so that the first keys are split off at the end.
            let mut batch = pending.split_off(pending.len().saturating_sub(MAX_BATCH));
            batch.reverse();
            if let Err(error) = write(store, &batch).await {
                tracing::warn!(%error, keys = batch.len(), "failed to update last_used_at; trying again");
                self.put_back(batch);
                is_written = false;
            }
        }
        is_written
    }
}

const KEY_USED: &str = "\
    UPDATE api_keys SET last_used_at = $1 \
    WHERE organization_id = $2 AND id = $3 AND (last_used_at IS NULL OR last_used_at < $1)";
const SESSION_USED: &str = "\
    UPDATE sessions SET last_seen_at = $1 WHERE organization_id = $2 AND id = $3 AND last_seen_at < $1";

/// Writes the last uses of keys and sessions, which must be sorted, and of their users. Every node locks rows in the same
/// order, keys and sessions by id, then users by id, so that no two deadlock.
async fn write(store: &Store, batch: &[(KeyId, LastUse)]) -> store::Result<()> {
    let mut users: BTreeMap<(&OrganizationId, &UserId), UnixTime> = BTreeMap::new();
    let mut transaction = store.begin_untracked().await?;
    for (key, used) in batch {
        let update = if key.as_str().starts_with(SessionId::PREFIX) {
            SESSION_USED
        } else {
            KEY_USED
        };
        let update = sql!(update, used.at, &used.organization, key);
        transaction.execute(update).await?;
    }
    for (_, used) in batch {
        if let Some(user) = &used.user {
            let at = users.entry((&used.organization, user)).or_insert(used.at);
            *at = (*at).max(used.at);
        }
    }
    for ((organization, user), at) in users {
        let update = sql!(
            "UPDATE users SET last_used_at = $1 \
             WHERE organization_id = $2 AND id = $3 AND (last_used_at IS NULL OR last_used_at < $1)",
            at,
            organization,
            user
        );
        transaction.execute(update).await?;
    }
    transaction.commit().await
}
