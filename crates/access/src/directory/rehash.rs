//! Look-up of keys and sessions by their hashes, and their migration from the previous pepper to the current one: a key is
//! found by its hash under either, and is rehashed when it is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ids::{KeyId, OrganizationId};
use base::secret::{KeyHash, Pepper};
use store::{Error, Result, sql};

use super::{Directory, Key, Shard};

const REHASH_KEY: &str =
    "UPDATE api_keys SET hash = $1 WHERE organization_id = $2 AND id = $3 AND hash = $4";
const REHASH_SESSION: &str =
    "UPDATE sessions SET hash = $1 WHERE organization_id = $2 AND id = $3 AND hash = $4";

/// The most keys that are rehashed in one transaction. Further ones are queued again by their next use.
const MAX_REHASHES: usize = 500;

/// Hashes of a key: under the current pepper and, while the pepper is being rotated, under the previous one.
#[derive(Clone, Copy, Debug)]
pub struct KeyHashes {
    current: KeyHash,
    previous: Option<KeyHash>,
}

impl KeyHashes {
    /// Hashes the text of a key.
    #[must_use]
    pub fn of(pepper: &Pepper, text: &str) -> Self {
        Self {
            current: pepper.hash(text),
            previous: pepper.previous_hash(text),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = KeyHash> + use<> {
        [Some(self.current), self.previous].into_iter().flatten()
    }
}

/// Keys to be rehashed, by their stored hash.
#[derive(Default)]
pub(super) struct PendingRehashes(Mutex<HashMap<KeyHash, Rehash>>);

struct Rehash {
    organization: OrganizationId,
    key: KeyId,
    is_session: bool,
    to: KeyHash,
}

impl PendingRehashes {
    fn lock(&self) -> MutexGuard<'_, HashMap<KeyHash, Rehash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, from: KeyHash, to: KeyHash, key: &Key) {
        let mut pending = self.lock();
        if pending.len() < MAX_REHASHES {
            pending.entry(from).or_insert_with(|| Rehash {
                organization: key.organization.id.clone(),
                key: key.id.clone(),
                is_session: key.is_session(),
                to,
            });
        }
    }
}

impl Directory {
    /// Returns the API key with these hashes; a session is never found. Both hashes are always looked up, so that the
    /// response time reveals nothing.
    #[must_use]
    pub fn find_by(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        self.find_any(hashes).filter(|key| !key.is_session())
    }

    /// Returns the session with these hashes; an API key is never found.
    #[must_use]
    pub fn find_session(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        self.find_any(hashes).filter(|key| key.is_session())
    }

    fn find_any(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        let KeyHashes { current, previous } = *hashes;
        let before = previous.and_then(|from| Some((from, self.find(&from)?)));
        self.find(&current).or_else(|| {
            let (from, key) = before?;
            self.rehashes.add(from, current, &key);
            Some(key)
        })
    }

    /// Returns the API key with these hashes, even if another process has created it a moment ago: the snapshot is refreshed
    /// before a key is reported as unknown. All concurrent look-ups share one refresh, and there are at most 50 a second; a key
    /// that is unknown stays so for `UNKNOWN_TIMEOUT`, unless something changes.
    ///
    /// # Errors
    /// The database's; [`Error::Busy`] if too many look-ups wait.
    pub async fn look_up(&self, hashes: &KeyHashes) -> Result<Option<Arc<Key>>> {
        let found = self.look_up_any(hashes).await?;
        Ok(found.filter(|key| !key.is_session()))
    }

    /// Returns the session with these hashes as [`Self::look_up`] returns an API key.
    ///
    /// # Errors
    /// As [`Self::look_up`].
    pub async fn look_up_session(&self, hashes: &KeyHashes) -> Result<Option<Arc<Key>>> {
        let found = self.look_up_any(hashes).await?;
        Ok(found.filter(|key| key.is_session()))
    }

    async fn look_up_any(&self, hashes: &KeyHashes) -> Result<Option<Arc<Key>>> {
        if let Some(key) = self.find_any(hashes) {
            return Ok(Some(key));
        }
        // A deleted key is never restored.
        if self.revoked.find_any(hashes).is_some() {
            return Ok(None);
        }
        if self.unknown.contains(&hashes.current) {
            return Ok(None);
        }
        if !self.has_loaded() {
            return Err(Error::Timeout);
        }
        self.refreshes.wait().await?;
        let found = self.find_any(hashes);
        if found.is_none() {
            self.unknown.add(hashes.current);
        }
        Ok(found)
    }

    /// Stores pending hashes. The organizations' revisions do not change: other nodes find the keys under either hash.
    pub(super) async fn store_rehashes(&self) -> Result<()> {
        let pending = std::mem::take(&mut *self.rehashes.lock());
        if pending.is_empty() {
            return Ok(());
        }
        // Every node locks the rows in the same order, so that they cannot deadlock.
        let mut pending: Vec<_> = pending.into_iter().collect();
        pending.sort_unstable_by(|(_, one), (_, other)| one.key.cmp(&other.key));
        let mut transaction = self.polled.begin_untracked().await?;
        for (
            from,
            Rehash {
                organization,
                key,
                is_session,
                to,
            },
        ) in &pending
        {
            let update = if *is_session {
                REHASH_SESSION
            } else {
                REHASH_KEY
            };
            let update = sql!(update, *to, organization, key, *from);
            transaction.execute(update).await?;
        }
        transaction.commit().await?;
        for (from, rehash) in &pending {
            self.rename(from, &rehash.to);
        }
        tracing::info!(keys = pending.len(), "keys hashed with the current secret");
        Ok(())
    }

    /// Moves a key to another hash in the snapshot. Concurrent look-ups find the key under one hash or under both.
    fn rename(&self, from: &KeyHash, to: &KeyHash) {
        let Some(key) = self.find(from) else {
            return;
        };
        let mut new = Shard::clone(&self.shard(to).load());
        new.insert(*to, key);
        self.shard(to).store(Arc::new(new));
        let mut old = Shard::clone(&self.shard(from).load());
        old.remove(from);
        self.shard(from).store(Arc::new(old));
    }
}
