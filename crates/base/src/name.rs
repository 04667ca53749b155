//! Validated strings.

use schemars::json_schema;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error};

use crate::inline_schema;

/// A name: 1 to 255 characters, without control characters and without white space at either end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name(String);

/// Maximum length of a name, in characters.
pub const MAX_NAME_LENGTH: usize = 255;
/// JSON Schema pattern of names: at least one visible character, and no control characters.
pub const VISIBLE: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

impl Name {
    /// Validates `text` and trims white space at its ends.
    ///
    /// # Errors
    /// The fault, as a sentence without its subject: `must not be empty`.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters");
        }
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err("must not be empty");
        }
        if text.chars().count() > MAX_NAME_LENGTH {
            return Err("must have at most 255 characters");
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Unwraps the text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

inline_schema!(Name, "Name", |_| json_schema!({
    "type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": VISIBLE,
}));

/// A description: at most 1,000 characters, line breaks included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(String);

/// Maximum length of a description, in characters.
pub const MAX_DESCRIPTION_LENGTH: usize = 1000;

impl Description {
    /// Unwraps the text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().count() > MAX_DESCRIPTION_LENGTH {
            return Err(D::Error::custom("must have at most 1000 characters"));
        }
        // PostgreSQL can store every character but NUL.
        if text.contains('\0') {
            return Err(D::Error::custom("must not contain a NUL character"));
        }
        Ok(Self(text))
    }
}

inline_schema!(Description, "Description", |_| json_schema!({
    "type": "string", "maxLength": MAX_DESCRIPTION_LENGTH, "pattern": r"^[^\x00]*$",
}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(
            Name::new("  a b ").map(Name::into_string),
            Ok("a b".to_owned())
        );
        assert!(Name::new(&"ü".repeat(255)).is_ok());
        let padded = format!("{} ", "x".repeat(255));
        for bad in ["", "   ", "a\nb", "a\n", "\u{0}", &"x".repeat(256), &padded] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }
}
