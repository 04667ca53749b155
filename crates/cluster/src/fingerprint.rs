//! Fingerprints of what must be configured alike on all nodes.

use ring::digest::{SHA256, digest};

/// The number of bytes of each hash. Differences are found, not attacks.
const HASH_BYTES: usize = 6;

/// Hashes of the parts of the configuration that must be the same on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Hashes named parts.
    #[must_use]
    pub fn of(parts: &[(&str, &str)]) -> Self {
        let hashed = parts.iter().map(|(name, text)| {
            let hash = digest(&SHA256, text.as_bytes());
            let hash = &hash.as_ref()[..HASH_BYTES];
            let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name}={digits}")
        });
        Self(hashed.collect::<Vec<_>>().join(" "))
    }

    /// Returns the fingerprint with this text, which another version may have made.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the names of the parts that differ. A part that only one of the two has is not compared.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let parts = |text: &str| -> Vec<(String, String)> {
            let parts = text.split(' ').filter_map(|part| part.split_once('='));
            parts
                .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
                .collect()
        };
        let theirs = parts(&other.0);
        let differs = |(name, hash): &(String, String)| {
            theirs.iter().any(|(of, other)| of == name && other != hash)
        };
        let own = parts(&self.0).into_iter();
        own.filter(differs).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let one = Fingerprint::of(&[
            ("prices", "1"),
            ("retention", "30 days"),
            ("upstreams", "a"),
        ]);
        let other = Fingerprint::of(&[
            ("prices", "2"),
            ("retention", "30 days"),
            ("upstreams", "b"),
        ]);
        assert_eq!(one.differences(&other), ["prices", "upstreams"]);
        assert!(one.differences(&one).is_empty());
        let newer = Fingerprint::of(&[("prices", "1"), ("later", "x")]);
        assert!(one.differences(&newer).is_empty());
        assert!(
            newer
                .differences(&Fingerprint::stored("?".to_owned()))
                .is_empty()
        );
    }
}
