//! Authenticated encryption of data in the database under the pepper.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::Entropy;
use crate::secret::{KeyHash, Pepper};

/// Label for deriving the encryption key of texts. It lacks the prefix of an API key, so no API key has the same hash.
const TEXT_LABEL: &str = "seal 1";
/// Label for deriving the encryption keys of bytes; followed by the context, because there can be so many values that
/// random nonces under a single key would collide.
const BYTES_LABEL: &str = "seal 2 ";

impl Pepper {
    /// Encrypts `text`. Decryption needs this pepper and the same `context`, such as the id of the row.
    #[must_use]
    pub fn seal(&self, entropy: &Entropy, context: &str, text: &str) -> Vec<u8> {
        seal(&self.cipher(TEXT_LABEL), entropy, context, &[text])
    }

    /// Decrypts a text of [`Pepper::seal`] under the current or the previous pepper; `None` if the pepper or the context
    /// differs, or if the text was altered.
    #[must_use]
    pub fn unseal(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<String>> {
        let text = self.open(TEXT_LABEL, context, sealed)?;
        let text = std::str::from_utf8(&text).ok()?;
        Some(Zeroizing::new(text.to_owned()))
    }

    /// Encrypts the concatenation of `pieces` like [`Pepper::seal`].
    #[must_use]
    pub fn seal_bytes(
        &self,
        entropy: &Entropy,
        context: &str,
        pieces: &[impl AsRef<[u8]>],
    ) -> Vec<u8> {
        let cipher = self.cipher(&format!("{BYTES_LABEL}{context}"));
        seal(&cipher, entropy, context, pieces)
    }

    /// Decrypts bytes of [`Pepper::seal_bytes`] like [`Pepper::unseal`].
    #[must_use]
    pub fn unseal_bytes(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open(&format!("{BYTES_LABEL}{context}"), context, sealed)
    }

    fn open(&self, label: &str, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        unseal(&self.cipher(label), context, sealed).or_else(|| {
            let previous = self.previous_hash(label)?;
            unseal(&cipher(previous), context, sealed)
        })
    }

    fn cipher(&self, label: &str) -> LessSafeKey {
        cipher(self.hash(label))
    }
}

fn cipher(key: KeyHash) -> LessSafeKey {
    let key = Zeroizing::new(key.0);
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice());
    LessSafeKey::new(key.expect("a key of 256 bits"))
}

/// Returns the nonce, the ciphertext and the tag.
fn seal(
    cipher: &LessSafeKey,
    entropy: &Entropy,
    context: &str,
    pieces: &[impl AsRef<[u8]>],
) -> Vec<u8> {
    let nonce = entropy.bytes::<NONCE_LEN>();
    let length: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    let mut sealed = Vec::with_capacity(NONCE_LEN + length + CHACHA20_POLY1305.tag_len());
    sealed.extend_from_slice(&nonce);
    for piece in pieces {
        sealed.extend_from_slice(piece.as_ref());
    }
    let (nonce, context) = (
        Nonce::assume_unique_for_key(nonce),
        Aad::from(context.as_bytes()),
    );
    let tag = cipher.seal_in_place_separate_tag(nonce, context, &mut sealed[NONCE_LEN..]);
    sealed.extend_from_slice(tag.expect("less than 256 GiB").as_ref());
    sealed
}

fn unseal(cipher: &LessSafeKey, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let context = Aad::from(context.as_bytes());
    let length = cipher
        .open_in_place(nonce, context, &mut buffer)
        .ok()?
        .len();
    buffer.truncate(length);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_pepper_and_context_decrypt_a_text() {
        let entropy = Entropy::operating_system();
        let (one, other) = (Pepper::generate(&entropy), Pepper::generate(&entropy));
        let sealed = one.seal(&entropy, "mail_1", "the link");
        assert_eq!(
            one.unseal("mail_1", &sealed).expect("opens").as_str(),
            "the link"
        );
        assert!(one.unseal("mail_2", &sealed).is_none());
        assert!(other.unseal("mail_1", &sealed).is_none());
        for cut in 0..sealed.len() {
            assert!(one.unseal("mail_1", &sealed[..cut]).is_none(), "{cut}");
        }
        let again = one.seal(&entropy, "mail_1", "the link");
        assert_ne!(sealed, again, "each sealing has its own nonce");
    }

    #[test]
    fn a_rotating_pepper_decrypts_under_either_secret() {
        let entropy = Entropy::operating_system();
        let (one, other) = (Pepper::generate(&entropy), Pepper::generate(&entropy));
        let lines = format!("{}\n{}", other.reveal().as_str(), one.reveal().as_str());
        let both = Pepper::parse(&lines).expect("a pepper");
        for by in [&one, &other] {
            let text = by.seal(&entropy, "a", "the link");
            let opened = both.unseal("a", &text).expect("opens");
            assert_eq!(opened.as_str(), "the link");
            let bytes = by.seal_bytes(&entropy, "a", &[b"bytes"]);
            let opened = both.unseal_bytes("a", &bytes).expect("opens");
            assert_eq!(opened.as_slice(), b"bytes");
        }
        let new = both.seal(&entropy, "a", "the link");
        assert!(one.unseal("a", &new).is_none() && other.unseal("a", &new).is_some());
    }

    #[test]
    fn bytes_are_decrypted_only_unaltered_and_in_their_context() {
        let entropy = Entropy::operating_system();
        let (one, other) = (Pepper::generate(&entropy), Pepper::generate(&entropy));
        let sealed = one.seal_bytes(&entropy, "a", &[&b"\xff\0"[..], b"", b"x"]);
        let opened = one.unseal_bytes("a", &sealed).expect("opens");
        assert_eq!(opened.as_slice(), b"\xff\0x");
        assert!(one.unseal_bytes("b", &sealed).is_none());
        assert!(other.unseal_bytes("a", &sealed).is_none());
        assert!(one.unseal("a", &sealed).is_none(), "texts have another key");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(one.unseal_bytes("a", &changed).is_none(), "{place}");
        }
    }
}
