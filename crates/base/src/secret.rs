//! API keys: generated, shown once, stored only as a keyed hash, and redacted everywhere else.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Entropy, names};

/// The kind of a key, which determines its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `sk-admin-…`: the Administration API, never the gateway.
    Admin,
    /// `sk-proj-…`: the gateway, for a user.
    User,
    /// `sk-svcacct-…`: the gateway, for a service account.
    ServiceAccount,
    /// `session-…`: the token in the cookie of a user who has signed in; neither the Administration API nor the gateway
    /// accepts it.
    Session,
}

names! { KeyKind {
    Admin = "admin",
    User = "user",
    ServiceAccount = "service_account",
    Session = "session",
}}

impl KeyKind {
    /// Returns the prefix of such keys.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "sk-admin-",
            Self::User => "sk-proj-",
            Self::ServiceAccount => "sk-svcacct-",
            Self::Session => "session-",
        }
    }
}

/// The text of a key. Has no `Debug`, `Display` or `Serialize`, and is wiped on drop.
pub struct Secret(Zeroizing<String>);

/// Digits of base 62.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Number of random characters: 48 of base 62 carry 285 bits.
const RANDOM_LEN: usize = 48;
/// Minimum length of a key that an operator chooses, in characters.
pub const MIN_CHOSEN_LENGTH: usize = 24;
/// Maximum length of a key, in characters; longer tokens are refused unread.
pub const MAX_LENGTH: usize = 256;

impl Secret {
    /// Generates a key with 285 random bits.
    #[must_use]
    pub fn generate(kind: KeyKind, entropy: &Entropy) -> Self {
        Self::random(kind.prefix(), entropy)
    }

    /// Generates a token with 285 random bits, of letters and digits only, so that links need no escaping.
    #[must_use]
    pub fn token(entropy: &Entropy) -> Self {
        Self::random("", entropy)
    }

    fn random(prefix: &str, entropy: &Entropy) -> Self {
        let full = prefix.len() + RANDOM_LEN;
        let mut text = Zeroizing::new(String::with_capacity(full));
        text.push_str(prefix);
        while text.len() < full {
            // 248 is the largest multiple of 62 in a byte: larger values would make the first digits more likely.
            let draw = Zeroizing::new(entropy.bytes::<32>());
            for byte in draw
                .iter()
                .filter(|byte| **byte < 248)
                .take(full - text.len())
            {
                text.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
        Self(text)
    }

    /// Checks a key that an operator chose, such as the first admin key.
    ///
    /// # Errors
    /// The fault, as a sentence without its subject.
    pub fn chosen(kind: KeyKind, text: String) -> Result<Self, String> {
        let text = Zeroizing::new(text);
        if !text.starts_with(kind.prefix()) {
            return Err(format!("must begin with '{}'", kind.prefix()));
        }
        if text.len() < MIN_CHOSEN_LENGTH || text.len() > MAX_LENGTH {
            return Err(format!(
                "must have {MIN_CHOSEN_LENGTH} to {MAX_LENGTH} characters"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be visible ASCII".to_owned());
        }
        Ok(Self(text))
    }

    /// Returns a copy of the text, for the single response that shows it.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.as_str().to_owned()
    }

    /// Returns the form that may be shown later: the prefix and the last three characters, `sk-proj...x7Q`.
    #[must_use]
    pub fn redacted(&self) -> String {
        let kind = self
            .0
            .rmatch_indices('-')
            .next()
            .map_or("sk", |(end, _)| &self.0[..end]);
        let last = &self.0[self.0.len() - 3..];
        format!("{kind}...{last}")
    }
}

/// The secret that keys are hashed with: 256 bits that are stored outside the database. During a rotation, the previous
/// secret too.
#[derive(Clone)]
pub struct Pepper {
    current: PepperBits,
    previous: Option<PepperBits>,
}

/// The bits of one secret; wiped when dropped.
pub(crate) type PepperBits = Zeroizing<[u8; 32]>;

/// The text whose hash is the check value. It lacks the prefix of a key, so no key has this hash.
const CHECK: &str = "check 1";

impl Pepper {
    /// Generates a pepper.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> Self {
        Self {
            current: Zeroizing::new(entropy.bytes()),
            previous: None,
        }
    }

    /// Returns the current secret.
    pub(crate) fn current(&self) -> &PepperBits {
        &self.current
    }

    /// Returns all secrets, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PepperBits> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Parses the 64 hexadecimal digits of [`Pepper::reveal`] and, on an optional second line, those of the previous pepper.
    /// Surrounding white space is ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.trim().lines().map(str::trim);
        let pepper = Self {
            current: bits(lines.next()?)?,
            previous: lines
                .next()
                .map(bits)
                .map_or(Some(None), |bits| bits.map(Some))?,
        };
        lines.next().is_none().then_some(pepper)
    }

    /// Returns the 64 hexadecimal digits of the current pepper, for the file that stores it.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let digits = self.current.iter().map(|byte| format!("{byte:02x}"));
        Zeroizing::new(digits.collect())
    }

    /// Hashes a key for storage and look-up: HMAC-SHA-256 under the pepper.
    #[must_use]
    pub fn hash(&self, text: &str) -> KeyHash {
        hash(&self.current, text)
    }

    /// Hashes a key under the previous pepper; `None` outside a rotation.
    #[must_use]
    pub fn previous_hash(&self, text: &str) -> Option<KeyHash> {
        let previous = self.previous.as_ref()?;
        Some(hash(previous, text))
    }

    /// Hashes a key under all peppers, the current one first.
    pub fn hashes(&self, text: &str) -> impl Iterator<Item = KeyHash> + use<> {
        let hashes = [Some(self.hash(text)), self.previous_hash(text)];
        hashes.into_iter().flatten()
    }

    /// Returns a value that identifies the pepper in the database without revealing it.
    #[must_use]
    pub fn check_value(&self) -> [u8; 32] {
        self.hash(CHECK).0
    }

    /// Returns [`Pepper::check_value`] of the previous pepper; `None` outside a rotation.
    #[must_use]
    pub fn previous_check_value(&self) -> Option<[u8; 32]> {
        self.previous_hash(CHECK).map(|hash| hash.0)
    }

    /// Hashes a key like [`Pepper::hash`].
    #[must_use]
    pub fn hash_secret(&self, secret: &Secret) -> KeyHash {
        self.hash(&secret.0)
    }
}

/// Parses 64 hexadecimal digits.
fn bits(text: &str) -> Option<PepperBits> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn hash(pepper: &PepperBits, text: &str) -> KeyHash {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(pepper.as_slice()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    KeyHash(mac.finalize().into_bytes().into())
}

/// The keyed hash of a key. Reveals nothing about the key without the pepper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// Returns the token of an `Authorization: Bearer …` header; `None` if it is malformed or longer than [`MAX_LENGTH`].
#[must_use]
pub fn bearer(header: Option<&http::HeaderValue>) -> Option<&str> {
    let text = header?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    let plausible =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_LENGTH;
    plausible.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_prefix_and_48_random_characters() {
        let one = Secret::generate(KeyKind::User, &Entropy::operating_system());
        let other = Secret::generate(KeyKind::User, &Entropy::operating_system());
        assert!(one.reveal().starts_with("sk-proj-") && one.reveal().len() == 8 + RANDOM_LEN);
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn a_token_needs_no_escaping_in_a_link() {
        let token = Secret::token(&Entropy::operating_system()).reveal();
        assert_eq!(token.len(), RANDOM_LEN);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_redacted_key_shows_its_kind_and_three_characters() {
        let key = Secret::chosen(KeyKind::Admin, "sk-admin-0123456789abcdefghij".into())
            .map(|key| key.redacted());
        assert_eq!(key, Ok("sk-admin...hij".to_owned()));
    }

    #[test]
    fn a_pepper_survives_its_file_and_determines_hashes() {
        let (one, other) = (
            Pepper::generate(&Entropy::seeded(1)),
            Pepper::generate(&Entropy::seeded(2)),
        );
        let again = Pepper::parse(&format!("{}\n", one.reveal().as_str())).expect("a pepper");
        assert_eq!(one.hash("k"), again.hash("k"));
        assert_ne!(one.hash("k"), other.hash("k"));
        assert!(Pepper::parse("zz").is_none() && Pepper::parse(&"é".repeat(32)).is_none());
    }

    #[test]
    fn a_previous_pepper_has_hashes_of_its_own() {
        let (one, other) = (
            Pepper::generate(&Entropy::seeded(1)),
            Pepper::generate(&Entropy::seeded(2)),
        );
        let [first, second] = [one.reveal(), other.reveal()];
        let (first, second) = (first.as_str(), second.as_str());
        let both = Pepper::parse(&format!("{first}\n{second}\n")).expect("a pepper");
        assert_eq!(both.hash("k"), one.hash("k"));
        assert_eq!(both.previous_hash("k"), Some(other.hash("k")));
        assert_eq!(both.check_value(), one.check_value());
        assert_eq!(both.previous_check_value(), Some(other.check_value()));
        assert_eq!(one.previous_hash("k"), None);
        for bad in [
            format!("{first}{second}"),
            format!("{first}\nzz"),
            format!("{first}\n\n{second}"),
            format!("{first}\n{second}\n{first}"),
        ] {
            assert!(Pepper::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn malformed_bearer_tokens_are_refused() {
        let header = |text: &str| http::HeaderValue::from_bytes(text.as_bytes()).expect("a header");
        assert_eq!(bearer(Some(&header("Bearer abc"))), Some("abc"));
        assert_eq!(bearer(Some(&header("bearer  abc "))), Some("abc"));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic abc",
            "Bearer \u{fc}",
            &format!("Bearer {}", "x".repeat(257)),
        ] {
            assert_eq!(bearer(Some(&header(bad))), None, "{bad}");
        }
    }
}
