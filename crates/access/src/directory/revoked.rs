//! The keys that were taken out of the picture lately, so that whoever still uses one can be named.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use base::secret::KeyHash;

use super::Key;

/// The most keys that are remembered; the oldest are forgotten first.
const MAX_KEYS: usize = 4_096;

/// The keys that were good while this process ran, and are no more.
#[derive(Default)]
pub(super) struct Revoked(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    keys: HashMap<KeyHash, Arc<Key>>,
    order: VecDeque<KeyHash>,
}

impl Revoked {
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

    pub(super) fn find(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys.get(hash).cloned()
    }
}
