//! E-mail addresses: validated, stored as they were written, and compared without case. The syntax is that of the crate
//! `email_address`, which the mailer uses too, without the forms that mail servers rarely accept.

use email_address::{EmailAddress, Options};
use schemars::json_schema;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error};

use crate::inline_schema;

/// Maximum length of an address, in characters.
const MAX_LENGTH: usize = 254;

/// An e-mail address: ASCII, without display name, quotes and domain literals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Email(String);

impl Email {
    /// Validates `text` and trims white space at its ends.
    ///
    /// # Errors
    /// The fault, as a sentence without its subject.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be an e-mail address such as ada@example.com";
        let text = text.trim();
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        let address = EmailAddress::parse_with_options(text, options).map_err(|_| WRONG)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let is_plain = text.is_ascii()
            && !address.local_part().starts_with('"')
            && address.domain().bytes().all(is_host);
        if is_plain && text.len() <= MAX_LENGTH {
            Ok(Self(text.to_owned()))
        } else {
            Err(WRONG)
        }
    }

    /// Returns the address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the normalized address for comparisons.
    #[must_use]
    pub fn key(&self) -> String {
        email_key(&self.0)
    }
}

/// Normalizes an address for comparisons. `text` need not be valid.
#[must_use]
pub fn email_key(text: &str) -> String {
    text.trim().to_lowercase()
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

inline_schema!(Email, "Email", |_| json_schema!({
    "type": "string", "format": "email", "minLength": 3, "maxLength": MAX_LENGTH,
}));

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
