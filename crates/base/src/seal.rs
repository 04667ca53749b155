//! Authenticated encryption of data in the database under the pepper.
//!
//! A sealed value is `version (1 byte) | key id (8) | nonce (12) | ciphertext | tag (16)`. The key id tells which pepper sealed the
//! value, so that the pepper can be rotated. Keys are derived with HKDF-SHA-256. Values without version and key id, whose keys
//! were HMACs under the pepper, were written before version 2 and stay readable.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::Entropy;
use crate::secret::{Pepper, PepperBits};

/// Version of the format of sealed values.
const FORMAT_VERSION: u8 = 2;
/// Length of the key id, in bytes.
const KEY_ID_LEN: usize = 8;
/// Length of version and key id, in bytes.
const HEADER_LEN: usize = 1 + KEY_ID_LEN;
/// Domain separation of key ids.
const KEY_ID_LABEL: &str = "seal key id";
/// Label for deriving the encryption key of texts. It lacks the prefix of an API key, so no API key has the same hash.
const TEXT_LABEL: &str = "seal 1";
/// Label for deriving the encryption keys of bytes; followed by the context, because there can be so many values that
/// random nonces under a single key would collide.
const BYTES_LABEL: &str = "seal 2 ";

impl Pepper {
    /// Encrypts `text`. Decryption needs this pepper and the same `context`, such as the id of the row.
    #[must_use]
    pub fn seal(&self, entropy: &Entropy, context: &str, text: &str) -> Vec<u8> {
        self.seal_pieces(entropy, TEXT_LABEL, context, &[text])
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
        self.seal_pieces(entropy, &format!("{BYTES_LABEL}{context}"), context, pieces)
    }

    /// Decrypts bytes of [`Pepper::seal_bytes`] like [`Pepper::unseal`].
    #[must_use]
    pub fn unseal_bytes(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.open(&format!("{BYTES_LABEL}{context}"), context, sealed)
    }

    fn seal_pieces(
        &self,
        entropy: &Entropy,
        label: &str,
        context: &str,
        pieces: &[impl AsRef<[u8]>],
    ) -> Vec<u8> {
        let nonce = entropy.bytes::<NONCE_LEN>();
        let length: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
        let text_start = HEADER_LEN + NONCE_LEN;
        let mut sealed = Vec::with_capacity(text_start + length + CHACHA20_POLY1305.tag_len());
        sealed.push(FORMAT_VERSION);
        sealed.extend_from_slice(&key_id(self.current()));
        sealed.extend_from_slice(&nonce);
        for piece in pieces {
            sealed.extend_from_slice(piece.as_ref());
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let context = Aad::from(context.as_bytes());
        let cipher = derived_cipher(self.current(), label);
        let tag = cipher.seal_in_place_separate_tag(nonce, context, &mut sealed[text_start..]);
        sealed.extend_from_slice(tag.expect("less than 256 GiB").as_ref());
        sealed
    }

    fn open(&self, label: &str, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if let Some((header, rest)) = sealed.split_at_checked(HEADER_LEN)
            && header[0] == FORMAT_VERSION
            && let Some(bits) = self.all().find(|bits| header[1..] == key_id(bits))
            && let Some(opened) = unseal(&derived_cipher(bits, label), context, rest)
        {
            return Some(opened);
        }
        // Before version 2, when a value began with its nonce.
        self.hashes(label)
            .find_map(|hash| unseal(&cipher(&hash.0), context, sealed))
    }
}

/// Length of derived keys and key ids.
struct OutputLen(usize);

impl KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// Derives bytes from a pepper with HKDF; equal for equal labels.
fn derive<const LEN: usize>(bits: &PepperBits, label: &str) -> Zeroizing<[u8; LEN]> {
    let mut derived = Zeroizing::new([0; LEN]);
    let pseudorandom = Salt::new(HKDF_SHA256, b"orgplane").extract(bits.as_slice());
    let info = [label.as_bytes()];
    let output = pseudorandom.expand(&info, OutputLen(LEN));
    let filled = output.and_then(|output| output.fill(derived.as_mut_slice()));
    filled.expect("fewer than 255 hashes");
    derived
}

/// Returns the public identifier of a pepper, which does not reveal it.
fn key_id(bits: &PepperBits) -> [u8; KEY_ID_LEN] {
    *derive(bits, KEY_ID_LABEL)
}

fn derived_cipher(bits: &PepperBits, label: &str) -> LessSafeKey {
    cipher(&derive::<32>(bits, label))
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key);
    LessSafeKey::new(key.expect("a key of 256 bits"))
}

/// Decrypts nonce, ciphertext and tag.
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

    #[test]
    fn values_sealed_before_version_2_are_decrypted() {
        let pepper = Pepper::parse(&"07".repeat(32)).expect("a pepper");
        let hash = pepper.hash(TEXT_LABEL);
        let mut sealed = vec![1; NONCE_LEN];
        sealed.extend_from_slice(b"the link");
        let nonce = Nonce::assume_unique_for_key([1; NONCE_LEN]);
        let aad = Aad::from(b"mail_1".as_slice());
        let tag = cipher(&hash.0).seal_in_place_separate_tag(nonce, aad, &mut sealed[NONCE_LEN..]);
        sealed.extend_from_slice(tag.expect("a tag").as_ref());
        assert_eq!(
            pepper.unseal("mail_1", &sealed).expect("opens").as_str(),
            "the link"
        );
        assert!(pepper.unseal("mail_2", &sealed).is_none());
    }

    #[test]
    fn key_id_names_the_pepper_that_sealed_a_value() {
        let entropy = Entropy::operating_system();
        let (one, other) = (Pepper::generate(&entropy), Pepper::generate(&entropy));
        let id = |pepper: &Pepper| pepper.seal(&entropy, "a", "b")[..HEADER_LEN].to_vec();
        assert_eq!(id(&one), id(&one));
        assert_ne!(id(&one), id(&other));
    }
}
