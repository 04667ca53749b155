//! A set of the ids of series: a bit for each id, in chunks, since ids of an organization lie close together.

use hashbrown::HashMap;

/// The number of ids of a chunk.
const CHUNK_LEN: i64 = 4_096;
const WORD_BITS: i64 = u64::BITS as i64;
const WORD_COUNT: usize = (CHUNK_LEN / WORD_BITS) as usize;

/// A set of ids.
#[derive(Clone, Default)]
pub(crate) struct IdSet {
    chunks: HashMap<i64, [u64; WORD_COUNT]>,
    len: usize,
}

impl IdSet {
    /// Adds an id.
    pub(crate) fn insert(&mut self, id: i64) {
        let (chunk, word, bit) = place(id);
        let words = self.chunks.entry(chunk).or_insert([0; WORD_COUNT]);
        self.len += usize::from(words[word] & bit == 0);
        words[word] |= bit;
    }

    /// True if the id was added.
    pub(crate) fn contains(&self, id: i64) -> bool {
        let (chunk, word, bit) = place(id);
        let words = self.chunks.get(&chunk);
        words.is_some_and(|words| words[word] & bit != 0)
    }

    /// Returns the number of ids.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns all ids, in order.
    pub(crate) fn to_vec(&self) -> Vec<i64> {
        let mut chunks: Vec<_> = self.chunks.iter().collect();
        chunks.sort_unstable_by_key(|(chunk, _)| **chunk);
        let mut ids = Vec::with_capacity(self.len);
        for (chunk, words) in chunks {
            for (index, word) in (0..).zip(words) {
                let bits = (0..WORD_BITS).filter(|bit| word >> bit & 1 == 1);
                ids.extend(bits.map(|bit| chunk * CHUNK_LEN + index * WORD_BITS + bit));
            }
        }
        ids
    }
}

/// Returns the chunk of an id, the word in the chunk, and the bit.
fn place(id: i64) -> (i64, usize, u64) {
    let within = id.rem_euclid(CHUNK_LEN);
    let word = usize::try_from(within / WORD_BITS).unwrap_or_default();
    (id.div_euclid(CHUNK_LEN), word, 1 << (within % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_and_listed_in_order() {
        let mut set = IdSet::default();
        let ids = [i64::MIN, -1, 0, 63, 64, 4_095, 4_096, 1_000_000, i64::MAX];
        for id in ids.iter().rev().chain(&ids) {
            set.insert(*id);
        }
        assert_eq!(set.to_vec(), ids);
        assert_eq!(set.len(), ids.len());
        assert!(ids.iter().all(|id| set.contains(*id)));
        assert!(
            [1, 62, 65, 4_097, i64::MAX - 1]
                .iter()
                .all(|id| !set.contains(*id))
        );
    }
}
