//! Claims of tokens and of the user information, read without trust in their types.

use base::UnixTime;
use serde_json::{Map, Value};

use crate::{OpenIdError, Reason, Result};

/// Maximum length of a subject or of a session id.
pub(crate) const MAX_SUBJECT_BYTES: usize = 255;
/// Maximum length of a name or of a group, in characters.
const MAX_NAME_LEN: usize = 255;
/// Maximum number of groups that are read.
const MAX_GROUPS: usize = 1000;

/// Claims of a token or of the user information.
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// Parses a JSON object.
    ///
    /// # Errors
    /// The bytes are no JSON object.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let claims = serde_json::from_slice(bytes);
        let claims = claims.map_err(|_| OpenIdError::new(Reason::Malformed, "claims in JSON"))?;
        Ok(Self(claims))
    }

    /// True if the claim is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// Returns a claim that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Returns a claim that is an object.
    pub(crate) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// Returns a claim that is a time.
    pub(crate) fn time(&self, name: &str) -> Option<UnixTime> {
        let value = self.0.get(name)?;
        let whole = value.as_i64();
        // Some providers send fractions. The cast saturates.
        whole
            .or_else(|| value.as_f64().map(|seconds| seconds as i64))
            .map(UnixTime)
    }

    /// Returns a claim that is true or false; some providers send these as texts.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// Returns an identifier: a text of 1 to 255 bytes without control characters.
    ///
    /// # Errors
    /// The claim is missing or is no identifier.
    pub(crate) fn identifier(&self, name: &str) -> Result<&str> {
        let text = self.text(name).filter(|text| {
            let length = 1..=MAX_SUBJECT_BYTES;
            length.contains(&text.len()) && !text.chars().any(char::is_control)
        });
        text.ok_or_else(|| {
            OpenIdError::new(Reason::Subject, format!("claim '{}'", base::shown(name)))
        })
    }

    /// Returns a name as it may be shown: trimmed, not empty, of bounded length.
    pub(crate) fn name(&self, name: &str) -> Option<String> {
        let text = self.text(name)?.trim();
        let visible = text.chars().filter(|c| !c.is_control());
        let text: String = visible.take(MAX_NAME_LEN).collect();
        (!text.is_empty()).then_some(text)
    }

    /// Returns the names of groups, a text or a list of texts. Entries of other types or without a usable length are left out.
    pub(crate) fn groups(&self, name: &str) -> Option<Vec<String>> {
        let usable = |text: &&str| !text.is_empty() && text.chars().count() <= MAX_NAME_LEN;
        let groups: Vec<String> = match self.0.get(name)? {
            Value::String(text) => Some(text.as_str())
                .filter(usable)
                .map(str::to_owned)
                .into_iter()
                .collect(),
            Value::Array(all) => {
                let texts = all.iter().filter_map(Value::as_str).filter(usable);
                texts.take(MAX_GROUPS).map(str::to_owned).collect()
            }
            _ => return None,
        };
        Some(groups)
    }

    /// Returns the audiences: a text or a list of texts.
    pub(crate) fn audiences(&self) -> Option<Vec<&str>> {
        match self.0.get("aud")? {
            Value::String(text) => Some(vec![text]),
            Value::Array(all) => all.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// Adds the claims of `other` that are missing here.
    pub(crate) fn complete(&mut self, other: Self) {
        for (name, value) in other.0 {
            if !self.has(&name) {
                self.0.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        Claims::parse(text.as_bytes()).expect("claims")
    }

    #[test]
    fn claims_of_unexpected_types_are_absent() {
        let claims = claims(
            r#"{"a": 1, "b": "true", "c": [1, "x", "", "y"], "d": null, "e": 1.9, "f": "solo", "g": {}, "aud": ["a", 1]}"#,
        );
        assert_eq!(claims.text("a"), None);
        assert_eq!(claims.flag("b"), Some(true));
        assert_eq!(claims.flag("a"), None);
        assert_eq!(claims.groups("c"), Some(vec!["x".into(), "y".into()]));
        assert_eq!(claims.groups("f"), Some(vec!["solo".into()]));
        assert_eq!(claims.groups("g"), None);
        assert!(!claims.has("d") && claims.has("a"));
        assert_eq!(claims.time("e"), Some(UnixTime(1)));
        assert_eq!(claims.audiences(), None);
        assert!(Claims::parse(b"[]").is_err() && Claims::parse(b"").is_err());
    }

    #[test]
    fn identifiers_are_bounded_and_printable() {
        let long = "x".repeat(256);
        for text in ["", "a\\u0000b", long.as_str()] {
            let claims = claims(&format!(r#"{{"sub": "{text}"}}"#));
            let error = claims.identifier("sub").expect_err(text);
            assert_eq!(error.reason(), Reason::Subject);
        }
        let right = claims(&format!(r#"{{"sub": "{}"}}"#, "x".repeat(255)));
        assert_eq!(right.identifier("sub").map(str::len), Ok(255));
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        let claims = claims(r#"{"name": "  Ada\u0007 L ", "empty": " \u0000 "}"#);
        assert_eq!(claims.name("name").as_deref(), Some("Ada L"));
        assert_eq!(claims.name("empty"), None);
    }

    #[test]
    fn claims_of_the_token_are_kept_when_others_complete_them() {
        let mut token = claims(r#"{"sub": "a", "email": null}"#);
        token.complete(claims(r#"{"sub": "b", "email": "x"}"#));
        assert_eq!(
            (token.text("sub"), token.text("email")),
            (Some("a"), Some("x"))
        );
    }
}
