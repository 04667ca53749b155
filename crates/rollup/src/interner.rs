//! Interning within transactions: the numbers that a database has given to keys, as far as a writer knows them.

use std::hash::Hash;

use hashbrown::{Equivalent, HashMap};

/// A map from keys to what the database has for them. Entries that a transaction has found are kept only if it commits.
#[derive(Debug)]
pub struct Interner<K, V = i64> {
    committed: HashMap<K, V>,
    found: HashMap<K, V>,
}

impl<K, V> Default for Interner<K, V> {
    fn default() -> Self {
        Self {
            committed: HashMap::new(),
            found: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V: Copy> Interner<K, V> {
    /// Starts a transaction: forgets the entries that the one before has found without committing.
    pub fn begin(&mut self) {
        self.found = HashMap::new();
    }

    /// Keeps the entries that the transaction has found, which was committed.
    pub fn committed(&mut self) {
        self.committed.extend(self.found.drain());
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the number of entries that are known from committed transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.committed.len()
    }

    /// True if no entry is known from a committed transaction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty()
    }

    /// Returns the entry of a key; `None` if it has to be looked up in the database.
    pub fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, key: &Q) -> Option<V> {
        let committed = self.committed.get(key);
        committed.or_else(|| self.found.get(key)).copied()
    }

    /// Adds an entry that the current transaction has found.
    pub fn insert(&mut self, key: K, value: V) {
        self.found.insert(key, value);
    }
}

impl<K: Eq + Hash, V: Copy> Extend<(K, V)> for Interner<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.found.extend(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_transaction_that_did_not_commit_are_forgotten() {
        let mut interner = Interner::<&str>::default();
        interner.begin();
        interner.insert("a", 1);
        assert_eq!(interner.get("a"), Some(1), "known within the transaction");
        interner.begin();
        assert_eq!(interner.get("a"), None);
        interner.extend([("a", 2), ("b", 3)]);
        interner.committed();
        interner.begin();
        assert_eq!((interner.get("a"), interner.len()), (Some(2), 2));
        interner.clear();
        assert!(interner.is_empty() && interner.get("b").is_none());
    }
}
