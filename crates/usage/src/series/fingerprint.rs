//! Fingerprints, which stand for series in memory: a series has a dozen texts, a fingerprint 16 bytes.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// The fingerprint of a series. The keys of both hashes are random and never leave the process, so nobody can make two
/// series with one fingerprint, and by chance it takes more series than a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SeriesFingerprint([u64; 2]);

/// Computes fingerprints, which compare with those of the same value only.
#[derive(Default)]
pub(crate) struct Fingerprints([RandomState; 2]);

/// The bytes that a value is hashed by.
struct HashedBytes(Vec<u8>);

/// The capacity for the bytes of most series.
const BYTES_CAPACITY: usize = 256;

impl Fingerprints {
    /// Returns the fingerprint of a series, or of a key for lookups that is hashed like the series.
    pub(crate) fn of(&self, series: &impl Hash) -> SeriesFingerprint {
        // Many short writes to a keyed hash take longer than one long one.
        let mut bytes = HashedBytes(Vec::with_capacity(BYTES_CAPACITY));
        series.hash(&mut bytes);
        let hash = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write(&bytes.0);
            hasher.finish()
        };
        SeriesFingerprint(self.0.each_ref().map(hash))
    }
}

impl Hasher for HashedBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns 0: the bytes are read, not hashed.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn different_texts_have_different_fingerprints() {
        let fingerprints = Fingerprints::default();
        let texts = [
            ["ab", "c"],
            ["a", "bc"],
            ["", "abc"],
            ["abc", ""],
            ["ab", "d"],
        ];
        let all: HashSet<_> = texts.iter().map(|texts| fingerprints.of(texts)).collect();
        assert_eq!(all.len(), texts.len());
        assert_eq!(fingerprints.of(&texts[0]), fingerprints.of(&["ab", "c"]));
        let SeriesFingerprint([one, other]) = fingerprints.of(&texts[0]);
        assert_ne!(one, other, "the two hashes have one key");
        assert_ne!(
            Fingerprints::default().of(&texts[0]),
            fingerprints.of(&texts[0])
        );
    }
}
