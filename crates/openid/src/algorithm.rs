//! Signature algorithms that a provider may use. Symmetric algorithms and `none` are not among them.

use ring::digest;

/// Allowed signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// Returns the algorithm that `alg` of a header names; `None` if it is not allowed.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Returns the left half of the hash that `at_hash` has for this algorithm.
    pub(crate) fn half_hash(self, text: &str) -> Vec<u8> {
        let hash = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &digest::SHA256,
            Self::EdDsa => &digest::SHA512,
        };
        let digest = digest::digest(hash, text.as_bytes());
        let bytes = digest.as_ref();
        bytes[..bytes.len() / 2].to_vec()
    }
}
