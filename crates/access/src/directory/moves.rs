//! Keys that were hashed with the secret before: they are found by both, and go over to the current one when they are
//! used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ids::{KeyId, OrganizationId};
use base::secret::{KeyHash, Pepper};
use store::{Error, Result, sql};

use super::{Directory, Key, Shard};

/// The keys that go over in one transaction, so that others get their turn. Further ones do when they are used again.
const MAX_MOVES: usize = 500;

/// The hashes that the directory may know a key by: under the current secret, and under the one before it while that is
/// being replaced.
#[derive(Clone, Copy, Debug)]
pub struct KeyHashes {
    current: KeyHash,
    previous: Option<KeyHash>,
}

impl KeyHashes {
    /// The hashes of a key with this text.
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

/// Keys that are to go over, by the hash that they have.
#[derive(Default)]
pub(super) struct Moves(Mutex<HashMap<KeyHash, Move>>);

struct Move {
    organization: OrganizationId,
    key: KeyId,
    to: KeyHash,
}

impl Moves {
    fn lock(&self) -> MutexGuard<'_, HashMap<KeyHash, Move>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, from: KeyHash, to: KeyHash, key: &Key) {
        let mut moves = self.lock();
        if moves.len() < MAX_MOVES {
            moves.entry(from).or_insert_with(|| Move {
                organization: key.organization.id.clone(),
                key: key.id.clone(),
                to,
            });
        }
    }
}

impl Directory {
    /// Returns the key with these hashes, under the current secret or the one before. Both are tried whether the first is
    /// found or not, so that the time says nothing.
    #[must_use]
    pub fn find_by(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        let KeyHashes { current, previous } = *hashes;
        let before = previous.and_then(|from| Some((from, self.find(&from)?)));
        self.find(&current).or_else(|| {
            let (from, key) = before?;
            self.moves.note(from, current, &key);
            Some(key)
        })
    }

    /// Returns the key with these hashes; also one that another process has made a moment ago. Before a key is called
    /// unknown, the picture is compared with the database: at most 20 times a second, however many such keys are asked for.
    ///
    /// # Errors
    /// The database's, or too many wait.
    pub async fn look_up(&self, hashes: &KeyHashes) -> Result<Option<Arc<Key>>> {
        if let Some(key) = self.find_by(hashes) {
            return Ok(Some(key));
        }
        // A key that was deleted does not come back.
        if self.find_revoked(hashes).is_some() {
            return Ok(None);
        }
        if !self.is_fresh() {
            return Err(Error::Timeout);
        }
        self.checks.wait().await?;
        Ok(self.find_by(hashes))
    }

    /// Stores what was used under the current secret. The revision stays: other nodes find the keys under either.
    pub(super) async fn move_hashes(&self) -> Result<()> {
        let moves = std::mem::take(&mut *self.moves.lock());
        if moves.is_empty() {
            return Ok(());
        }
        // In the order of keys, as every node locks their rows.
        let mut moves: Vec<_> = moves.into_iter().collect();
        moves.sort_unstable_by(|(_, one), (_, other)| one.key.cmp(&other.key));
        let mut transaction = self.polled.begin_untracked().await?;
        for (
            from,
            Move {
                organization,
                key,
                to,
            },
        ) in &moves
        {
            let update = "UPDATE api_keys SET hash = $1 \
                          WHERE organization_id = $2 AND id = $3 AND hash = $4";
            let update = sql!(update, *to, organization, key, *from);
            transaction.execute(update).await?;
        }
        transaction.commit().await?;
        for (from, moved) in &moves {
            self.rename(from, &moved.to);
        }
        tracing::info!(keys = moves.len(), "keys hashed with the current secret");
        Ok(())
    }

    /// Moves a key to another hash in memory. A request finds the key at every moment, under one hash or under both.
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
