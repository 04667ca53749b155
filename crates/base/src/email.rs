//! E-mail addresses: checked, kept as they were written, compared without case.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

/// The most characters that an address has, and its part before the `@`.
const MAX_LENGTH: usize = 254;
const MAX_LOCAL_LENGTH: usize = 64;

/// An e-mail address that mail can be sent to: ASCII, without comments and quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Checks `text` and trims the space at its ends.
    ///
    /// # Errors
    /// What was wrong, as a sentence without its subject.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be an e-mail address such as ada@example.com";
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(WRONG)?;
        let is_local = local.len() <= MAX_LOCAL_LENGTH
            && local
                .split('.')
                .all(|atom| !atom.is_empty() && atom.bytes().all(is_in_atom));
        let is_domain = domain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        if is_local && is_domain && text.len() <= MAX_LENGTH {
            Ok(Self(text.to_owned()))
        } else {
            Err(WRONG)
        }
    }

    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as it is compared.
    #[must_use]
    pub fn key(&self) -> String {
        email_key(&self.0)
    }
}

/// An address as it is compared: also of a text that nobody has checked.
#[must_use]
pub fn email_key(text: &str) -> String {
    text.trim().to_lowercase()
}

/// What RFC 5322 lets into an address without quotes.
fn is_in_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Email {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Email".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "email", "minLength": 3, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_can_be_sent_to_is_an_address() {
        for good in [
            "ada@example.com",
            " A.Love+lace@Sub-1.example ",
            "owner@localhost",
            "o'hara@x.io",
        ] {
            assert!(Email::new(good).is_ok(), "{good}");
        }
        let long = format!("a@{}", "b.".repeat(130));
        for bad in [
            "",
            "ada",
            "@x",
            "a@",
            "a b@x",
            ".a@x",
            "a..b@x",
            "a@x..y",
            "a@-x",
            "a@b@x.y",
            "ä@x.y",
            "a@x\r\nBcc: b@y",
            "\"a\"@x",
            "a@[127.0.0.1]",
            &long,
        ] {
            assert!(Email::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_compare_without_case() {
        let key = Email::new("Ada@Example.COM").map(|email| email.key());
        assert_eq!(key, Ok("ada@example.com".to_owned()));
    }
}
