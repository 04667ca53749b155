//! Keys that were found to be unknown a moment ago, so that clients that repeat one do not load the database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::secret::KeyHash;
use base::time::Stopwatch;

/// The time for which a key stays unknown, unless something changes.
pub(super) const UNKNOWN_TIMEOUT: Duration = Duration::from_millis(250);
/// The most keys that are remembered. Further ones are looked up each time.
const MAX_UNKNOWN_KEYS: usize = 4_096;

/// Keys that are in no snapshot and were in no database shortly before.
#[derive(Default)]
pub(super) struct UnknownKeys(Mutex<HashMap<KeyHash, Stopwatch>>);

impl UnknownKeys {
    /// True if the key was unknown less than [`UNKNOWN_TIMEOUT`] ago.
    pub(super) fn contains(&self, hash: &KeyHash) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = known.get(hash);
        since.is_some_and(|since| since.elapsed() < UNKNOWN_TIMEOUT)
    }

    pub(super) fn add(&self, hash: KeyHash) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_UNKNOWN_KEYS {
            known.retain(|_, since| since.elapsed() < UNKNOWN_TIMEOUT);
        }
        if known.len() < MAX_UNKNOWN_KEYS {
            known.insert(hash, Stopwatch::start());
        }
    }

    /// Forgets all keys, since something has changed.
    pub(super) fn clear(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_remembered_for_a_moment_or_until_something_changes() {
        let unknown = UnknownKeys::default();
        let key = KeyHash([1; 32]);
        assert!(!unknown.contains(&key));
        unknown.add(key);
        assert!(unknown.contains(&key));
        assert!(!unknown.contains(&KeyHash([2; 32])));
        tokio::time::advance(UNKNOWN_TIMEOUT).await;
        assert!(!unknown.contains(&key));
        unknown.add(key);
        unknown.clear();
        assert!(!unknown.contains(&key));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_keys_is_bounded() {
        let unknown = UnknownKeys::default();
        let key = |number: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            KeyHash(hash)
        };
        for number in 0..MAX_UNKNOWN_KEYS {
            unknown.add(key(number));
        }
        unknown.add(key(MAX_UNKNOWN_KEYS));
        assert!(!unknown.contains(&key(MAX_UNKNOWN_KEYS)));
        tokio::time::advance(UNKNOWN_TIMEOUT).await;
        unknown.add(key(MAX_UNKNOWN_KEYS));
        assert!(unknown.contains(&key(MAX_UNKNOWN_KEYS)));
    }
}
