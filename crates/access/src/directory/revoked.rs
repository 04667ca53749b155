//! Recently revoked keys, so that the audit log can name the owner of a revoked key that is still in use.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use base::secret::KeyHash;

use super::{Key, KeyHashes};

/// The most keys that are remembered; the oldest are evicted first.
const MAX_KEYS: usize = 4_096;

/// Keys that were revoked since this process started.
#[derive(Default)]
pub(super) struct RevokedKeys(Mutex<KeyFifo>);

#[derive(Default)]
struct KeyFifo {
    keys: HashMap<KeyHash, Arc<Key>>,
    order: VecDeque<KeyHash>,
}

impl RevokedKeys {
    pub(super) fn add(&self, hash: KeyHash, key: Arc<Key>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.keys.insert(hash, key).is_none() {
            all.order.push_back(hash);
        }
        while all.order.len() > MAX_KEYS
            && let Some(oldest) = all.order.pop_front()
        {
            all.keys.remove(&oldest);
        }
    }

    /// Returns the key or session with these hashes.
    pub(super) fn find_any(&self, hashes: &KeyHashes) -> Option<Arc<Key>> {
        hashes.iter().find_map(|hash| self.find(&hash))
    }

    fn find(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys.get(hash).cloned()
    }
}
