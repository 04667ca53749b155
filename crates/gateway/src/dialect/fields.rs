//! The few fields of a request that are looked at, where they stand in its body.

use std::ops::Range;

use base::{Error, Result};
use http::HeaderMap;

use super::names;
use super::view::{View, Walk};
use super::{content_type, multipart};

/// How many fields can be looked at.
pub(super) const MAX_FIELDS: usize = 20;

/// The fields of one body that are looked at.
pub(crate) struct Fields<'a> {
    body: &'a [u8],
    names: &'static [&'static str],
    values: [Option<&'a [u8]>; MAX_FIELDS],
    is_json: bool,
    /// The member that is not looked into.
    opaque: &'static str,
    /// The view of the whole body: what is asked for, named and held there.
    pub(crate) view: View,
}

impl<'a> Fields<'a> {
    /// None of them yet.
    pub(super) fn none(body: &'a [u8], names: &'static [&'static str], is_json: bool) -> Self {
        Self {
            body,
            names,
            values: [None; MAX_FIELDS],
            is_json,
            opaque: "",
            view: View::default(),
        }
    }

    /// Reads an object of JSON.
    ///
    /// # Errors
    /// 400: it is not JSON, or some servers could read it otherwise than others.
    pub(crate) fn of_json(body: &'a [u8], names: &'static [&'static str]) -> Result<Self> {
        let mut fields = Self::none(body, names, true);
        Walk::over(body, &mut fields)?;
        Ok(fields)
    }

    /// Reads JSON as [`Self::of_json`] does, of a request with these headers.
    ///
    /// # Errors
    /// Those of [`Self::of_json`]. 400: the Content-Type is not that of JSON.
    pub(crate) fn of_request(
        headers: &HeaderMap,
        body: &'a [u8],
        names: &'static [&'static str],
    ) -> Result<Self> {
        content_type::check_json(headers)?;
        Self::of_json(body, names)
    }

    /// Reads JSON as [`Self::of_json`] does, but does not look into the member `opaque`.
    ///
    /// # Errors
    /// Those of [`Self::of_json`].
    pub(crate) fn around(
        body: &'a [u8],
        names: &'static [&'static str],
        opaque: &'static str,
    ) -> Result<Self> {
        let mut fields = Self::none(body, names, true);
        fields.opaque = opaque;
        Walk::over(body, &mut fields)?;
        Ok(fields)
    }

    /// Reads a body of several parts.
    ///
    /// # Errors
    /// 400: it is not written as it must be, or has one of the fields twice.
    pub(crate) fn of_parts(
        headers: &HeaderMap,
        body: &'a [u8],
        names: &'static [&'static str],
    ) -> Result<Self> {
        multipart::read(headers, body, names)
    }

    pub(super) fn names(&self) -> &'static [&'static str] {
        self.names
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(super) fn is_opaque(&self, name: &str) -> bool {
        !self.opaque.is_empty() && self.opaque == name
    }

    /// Takes note of the field at this position of the names.
    ///
    /// # Errors
    /// 400: it was given before.
    pub(super) fn set_at(&mut self, position: usize, value: &'a [u8]) -> Result<()> {
        match self.values[position].replace(value) {
            Some(_) => Err(names::twice(self.names[position])),
            None => Ok(()),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    /// The field as it stands in the body.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
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
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>> {
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

    /// Where a field, or a part of it, stands in the body.
    pub(crate) fn place(&self, part: &[u8]) -> Range<usize> {
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
