//! The few fields of a request that are looked at, where they stand in its body.

use std::fmt;
use std::ops::Range;

use base::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How many fields can be looked at.
pub(super) const MAX_FIELDS: usize = 10;

/// The fields of one body that are looked at.
pub(crate) struct Fields<'a> {
    body: &'a [u8],
    names: &'static [&'static str],
    values: [Option<&'a [u8]>; MAX_FIELDS],
    /// The field that was given more than once.
    twice: Option<&'static str>,
    is_json: bool,
}

impl<'a> Fields<'a> {
    /// None of them yet.
    pub(super) fn none(body: &'a [u8], names: &'static [&'static str], is_json: bool) -> Self {
        Self {
            body,
            names,
            values: [None; MAX_FIELDS],
            twice: None,
            is_json,
        }
    }

    /// Reads an object of JSON.
    ///
    /// # Errors
    /// 400: it is not JSON, or has one of the fields twice.
    pub(super) fn of_json(body: &'a [u8], names: &'static [&'static str]) -> Result<Self> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let place = error.valid_up_to();
            invalid_json(&format!("it is not UTF-8 at byte {place}"))
        })?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(invalid_json("it must be an object, and begin with '{'"));
        }
        let mut fields = Self::none(body, names, true);
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Members(&mut fields))
            .and_then(|()| json.end())
            .map_err(|error| invalid_json(&error.to_string()))?;
        fields.checked()
    }

    /// Takes note of a field.
    pub(super) fn set(&mut self, name: &str, value: &'a [u8]) {
        if let Some(position) = self.position(name) {
            self.set_at(position, value);
        }
    }

    fn set_at(&mut self, position: usize, value: &'a [u8]) {
        if self.values[position].replace(value).is_some() {
            self.twice = Some(self.names[position]);
        }
    }

    /// # Errors
    /// 400: one of them was given twice.
    pub(super) fn checked(self) -> Result<Self> {
        match self.twice {
            Some(name) => Err(Error::invalid(
                name,
                format!("{name} is given more than once."),
            )),
            None => Ok(self),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    /// The field as it stands in the body.
    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.values[self.position(name)?]
    }

    /// How many bytes the field has.
    pub(super) fn length(&self, name: &str) -> usize {
        self.get(name).map_or(0, <[u8]>::len)
    }

    /// The text of the field; none if it is not there, or null.
    ///
    /// # Errors
    /// 400: it is something else.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>> {
        let field = match self.get(name) {
            None => return Ok(None),
            Some(field) if self.is_json && field == b"null" => return Ok(None),
            Some(field) => field,
        };
        let text = if self.is_json {
            serde_json::from_slice(field).ok()
        } else {
            String::from_utf8(field.to_vec()).ok()
        };
        let wrong = || Error::invalid(name, format!("{name} must be a string."));
        text.map(Some).ok_or_else(wrong)
    }

    /// Whether the field is true; it is false if it is not there, or null.
    ///
    /// # Errors
    /// 400: it is something else.
    pub(super) fn boolean(&self, name: &'static str) -> Result<bool> {
        boolean(name, self.get(name))
    }

    /// The number in the field, if it is a whole one of at least 1.
    pub(super) fn count(&self, name: &str) -> Option<i64> {
        let text = std::str::from_utf8(self.get(name)?).ok()?;
        text.parse().ok().filter(|count| *count >= 1)
    }

    /// Where a field, or a part of it, stands in the body.
    pub(super) fn place(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr().addr() - self.body.as_ptr().addr();
        start..start + part.len()
    }
}

/// As [`Fields::boolean`].
pub(super) fn boolean(name: &'static str, field: Option<&[u8]>) -> Result<bool> {
    match field.unwrap_or(b"null") {
        b"true" => Ok(true),
        b"false" | b"null" => Ok(false),
        _ => {
            let message = format!("{name} must be true or false.");
            Err(Error::invalid(name, message))
        }
    }
}

fn invalid_json(reason: &str) -> Error {
    let message = format!("The request body could not be read as JSON: {reason}.");
    Error::refused("invalid_json", message)
}

/// Takes the members of an object.
struct Members<'f, 'a>(&'f mut Fields<'a>);

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(position) = members.next_key_seed(Position(self.0))? {
            match position {
                Some(position) => {
                    let value: &'de RawValue = members.next_value()?;
                    self.0.set_at(position, value.get().as_bytes());
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds a name among those that are looked at, without keeping it.
struct Position<'f, 'a>(&'f Fields<'a>);

impl<'de> DeserializeSeed<'de> for Position<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Position<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.position(name))
    }
}
