//! Text that has to wait in the database and that only this deployment may read.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::Entropy;
use crate::secret::Pepper;

/// What the key is made from, together with the pepper. No key of a caller can be this text: it has no prefix of theirs.
const LABEL: &str = "seal 1";

impl Pepper {
    /// Encrypts `text` so that it can be read only with this pepper and the same `context`, such as the id of its row.
    ///
    /// # Panics
    /// Never: texts are far shorter than what the cipher takes.
    #[must_use]
    pub fn seal(&self, entropy: &Entropy, context: &str, text: &str) -> Vec<u8> {
        let nonce = entropy.bytes::<NONCE_LEN>();
        let mut sealed = text.as_bytes().to_vec();
        let context = Aad::from(context.as_bytes());
        self.cipher()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context, &mut sealed)
            .expect("a text of less than 256 GiB");
        sealed.splice(0..0, nonce);
        sealed
    }

    /// Reads what [`Pepper::seal`] wrote; `None` when it was written with another pepper or context, or was changed.
    #[must_use]
    pub fn unseal(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<String>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let context = Aad::from(context.as_bytes());
        let text = self.cipher().open_in_place(nonce, context, &mut buffer);
        let text = std::str::from_utf8(text.ok()?).ok()?;
        Some(Zeroizing::new(text.to_owned()))
    }

    fn cipher(&self) -> LessSafeKey {
        let key = Zeroizing::new(self.hash(LABEL).0);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice());
        LessSafeKey::new(key.expect("a key of 256 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_pepper_and_context_open_it() {
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
}
