//! When keys and their owners were last used, kept without a write on the request's path.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::ids::{KeyId, OrganizationId, UserId};
use base::{Clock, UnixTime};
use store::{Store, sql};
use tasks::{Health, Task, TaskHandle};
use tokio_util::sync::CancellationToken;

/// How often what was noted is written.
const EVERY: Duration = Duration::from_secs(1);
/// How many keys are noted between two writes; the use of further ones in the same second goes unnoticed.
const MOST_NOTED: usize = 100_000;
/// How many keys are written in one transaction, so that others get their turn.
const BATCH: usize = 500;
/// The number of attempts to write the last uses when the server stops, and the pause between two of them.
const LAST_ATTEMPTS: usize = 5;
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Takes note of each use.
#[derive(Clone)]
pub struct LastUsed {
    noted: Arc<Mutex<Notes>>,
    clock: Clock,
}

type Notes = HashMap<KeyId, Use>;

struct Use {
    organization: OrganizationId,
    user: Option<UserId>,
    at: UnixTime,
}

/// Writes what was noted, once a second.
pub struct LastUsedTask(TaskHandle);

/// The writer of what was noted.
struct Writer {
    noted: LastUsed,
    store: Store,
    stop: CancellationToken,
}

impl LastUsed {
    /// Starts the writer, on the runtime that this is called in.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> (Self, LastUsedTask) {
        let last_used = Self {
            noted: Arc::default(),
            clock,
        };
        let noted = last_used.clone();
        let task = tasks::start("last uses", |stop| Writer { noted, store, stop });
        (last_used, LastUsedTask(task))
    }

    /// Notes that `key`, and `user` where it is a user's, was used just now.
    pub fn touch(&self, organization: &OrganizationId, key: &KeyId, user: Option<&UserId>) {
        let at = self.clock.now();
        let mut noted = self.lock();
        if let Some(before) = noted.get_mut(key) {
            before.at = before.at.max(at);
        } else if noted.len() < MOST_NOTED {
            let organization = organization.clone();
            let user = user.cloned();
            let used = Use {
                organization,
                user,
                at,
            };
            noted.insert(key.clone(), used);
        }
    }

    /// Notes again what could not be written, unless it is older than what was noted since.
    fn put_back(&self, batch: Vec<(KeyId, Use)>) {
        let mut noted = self.lock();
        for (key, used) in batch {
            if let Some(newer) = noted.get_mut(&key) {
                newer.at = newer.at.max(used.at);
            } else if noted.len() < MOST_NOTED {
                noted.insert(key, used);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task for Writer {
    async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {
                    self.noted.write_noted(&self.store).await;
                }
                () = self.stop.cancelled() => {}
            }
        }
        for attempt in 0..LAST_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(LAST_PAUSE).await;
            }
            if self.noted.write_noted(&self.store).await {
                return;
            }
        }
        let keys = self.noted.lock().len();
        tracing::error!(keys, "stopped: not written when keys were last used");
    }
}

impl LastUsed {
    /// Writes what was noted; false if some of it could not be written, and is still noted.
    async fn write_noted(&self, store: &Store) -> bool {
        let noted = std::mem::take(&mut *self.lock());
        let mut noted: Vec<_> = noted.into_iter().collect();
        noted.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let mut is_written = true;
        while !noted.is_empty() {
            // Sorted backwards, so that the first ones are split off at the end.
            let mut batch = noted.split_off(noted.len().saturating_sub(BATCH));
            batch.reverse();
            if let Err(error) = write(store, &batch).await {
                tracing::warn!(%error, keys = batch.len(), "not written when keys were last used; trying again");
                self.put_back(batch);
                is_written = false;
            }
        }
        is_written
    }
}

/// Writes the last uses of keys, which are sorted, and of their users. Every node locks rows in the same order: keys by their
/// ids, then users by theirs.
async fn write(store: &Store, batch: &[(KeyId, Use)]) -> store::Result<()> {
    let mut users: BTreeMap<(&OrganizationId, &UserId), UnixTime> = BTreeMap::new();
    let mut transaction = store.begin_untracked().await?;
    for (key, used) in batch {
        let update = sql!(
            "UPDATE api_keys SET last_used_at = $1 \
             WHERE organization_id = $2 AND id = $3 AND (last_used_at IS NULL OR last_used_at < $1)",
            used.at,
            &used.organization,
            key
        );
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

impl LastUsedTask {
    /// Writes what is left and ends.
    pub async fn stop(self) {
        self.0.stop().await;
    }

    /// Returns the health of the writer.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.0.health()
    }
}
