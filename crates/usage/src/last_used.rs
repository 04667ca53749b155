//! When keys and their owners were last used, kept without a write on the request's path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::ids::{KeyId, OrganizationId, UserId};
use base::{Clock, UnixTime};
use store::{Store, Transaction, sql};
use tasks::{Health, Task, TaskHandle};
use tokio_util::sync::CancellationToken;

/// How often what was noted is written.
const EVERY: Duration = Duration::from_secs(1);
/// How many keys are noted between two writes; the use of further ones in the same second goes unnoticed.
const MOST_NOTED: usize = 100_000;
/// How many keys are written in one transaction, so that others get their turn.
const BATCH: usize = 500;

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
            before.at = at;
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

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task for Writer {
    async fn run(&mut self) {
        let mut last = false;
        while !last {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => last = true,
            }
            let noted = std::mem::take(&mut *self.noted.lock());
            let mut noted: Vec<_> = noted.into_iter().collect();
            noted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            for batch in noted.chunks(BATCH) {
                if let Err(error) = write(&self.store, batch).await {
                    tracing::warn!(%error, keys = batch.len(), "not written when keys were last used");
                }
            }
        }
    }
}

async fn write(store: &Store, batch: &[(KeyId, Use)]) -> store::Result<()> {
    let mut transaction = store.begin_quietly().await?;
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
            write_user(&mut transaction, used, user).await?;
        }
    }
    transaction.commit().await
}

async fn write_user(transaction: &mut Transaction, used: &Use, user: &UserId) -> store::Result<()> {
    let update = sql!(
        "UPDATE users SET last_used_at = $1 \
         WHERE organization_id = $2 AND id = $3 AND (last_used_at IS NULL OR last_used_at < $1)",
        used.at,
        &used.organization,
        user
    );
    transaction.execute(update).await?;
    Ok(())
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
