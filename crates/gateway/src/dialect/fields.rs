//! The fields of a request that the gateway reads, as slices of its body.

use std::ops::Range;

use base::{Error, Result};
use http::HeaderMap;
use proxy::ApiFormat;

use super::request_view::{RequestView, ViewReader};
use super::{Dialect, content_type, members, strict_json};

/// The most fields that an endpoint reads.
pub(super) const MAX_FIELDS: usize = 20;
/// The highest number that a field may have.
const MAX_NUMBER: i64 = 1 << 32;

/// The fields of one body.
pub(crate) struct Fields<'a> {
    body: &'a [u8],
    pub(super) names: &'static [&'static str],
    values: [Option<&'a [u8]>; MAX_FIELDS],
    pub(super) is_json: bool,
    /// True if the body is in Anthropic's format.
    pub(super) is_message: bool,
    /// The member whose value is skipped, if there is one.
    pub(super) opaque: Option<&'static str>,
    /// True if members `data` may be JSON of the client, which is skipped.
    pub(super) has_client_data: bool,
    /// The view of the whole body.
    pub(crate) view: RequestView,
}

impl<'a> Fields<'a> {
    /// Returns the fields `names` of a body of which nothing has been read.
    pub(super) fn unread(body: &'a [u8], names: &'static [&'static str], is_json: bool) -> Self {
        Self {
            body,
            names,
            values: [None; MAX_FIELDS],
            is_json,
            is_message: false,
            opaque: None,
            has_client_data: false,
            view: RequestView::default(),
        }
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// 400: the body is not JSON, or servers could read it in different ways.
    pub(crate) fn of_json(body: &'a [u8], names: &'static [&'static str]) -> Result<Self> {
        let mut fields = Self::unread(body, names, true);
        ViewReader::read(body, &mut fields)?;
        Ok(fields)
    }

    /// Reads the JSON object of a request with these headers.
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

    /// Reads the JSON object of a request to an endpoint.
    ///
    /// # Errors
    /// Those of [`Self::of_request`].
    pub(super) fn of_call(headers: &HeaderMap, body: &'a [u8], dialect: &Dialect) -> Result<Self> {
        content_type::check_json(headers)?;
        let mut fields = Self::unread(body, dialect.fields, true);
        fields.has_client_data = dialect.has_client_data;
        fields.is_message = dialect.api == ApiFormat::Anthropic;
        ViewReader::read(body, &mut fields)?;
        Ok(fields)
    }

    /// Reads a JSON object, and skips the value of its member `opaque`.
    ///
    /// # Errors
    /// Those of [`Self::of_json`].
    pub(crate) fn around(
        body: &'a [u8],
        names: &'static [&'static str],
        opaque: &'static str,
    ) -> Result<Self> {
        let mut fields = Self::unread(body, names, true);
        fields.opaque = Some(opaque);
        ViewReader::read(body, &mut fields)?;
        Ok(fields)
    }

    /// Sets the field with this index among the names.
    ///
    /// # Errors
    /// 400: the field was set before.
    pub(super) fn set_at(&mut self, index: usize, value: &'a [u8]) -> Result<()> {
        match self.values[index].replace(value) {
            Some(_) => Err(members::duplicate(self.names[index])),
            None => Ok(()),
        }
    }

    /// Returns the value of a field as the body has it.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        let index = self.names.iter().position(|known| *known == name);
        self.values[index?]
    }

    /// Returns the number of bytes of a field; 0 if it is absent.
    pub(super) fn length(&self, name: &str) -> usize {
        self.get(name).map_or(0, <[u8]>::len)
    }

    /// Returns the text of a field; `None` if it is absent or null.
    ///
    /// # Errors
    /// 400: the field is something else.
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

    /// True if a field is true; an absent field or null is false.
    ///
    /// # Errors
    /// 400: the field is something else.
    pub(super) fn boolean(&self, name: &'static str) -> Result<bool> {
        boolean(name, self.get(name))
    }

    /// Returns the whole number of a field; `None` if it is absent or null. A string that holds a number counts by its value,
    /// as servers in Python take it.
    ///
    /// # Errors
    /// 400: the field is something else, less than 1, or more than [`MAX_NUMBER`].
    pub(super) fn count(&self, name: &'static str) -> Result<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(field) if self.is_json => json_number(name, field),
            Some(field) => number_in_text(field)
                .map(Some)
                .ok_or_else(|| not_a_number(name)),
        }
    }

    /// Returns the highest of the numbers in these fields.
    ///
    /// # Errors
    /// Those of [`Self::count`].
    pub(super) fn highest(&self, names: &[&'static str]) -> Result<Option<i64>> {
        let mut highest = None;
        for name in names {
            highest = highest.max(self.count(name)?);
        }
        Ok(highest)
    }

    /// Returns the position in the body of a slice of it.
    pub(crate) fn range(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr().addr() - self.body.as_ptr().addr();
        start..start + part.len()
    }
}

/// Reads a field as [`Fields::boolean`] does.
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

/// Reads a JSON value as [`Fields::count`] does.
///
/// # Errors
/// Those of [`Fields::count`].
pub(super) fn json_number(name: &'static str, value: &[u8]) -> Result<Option<i64>> {
    let number = match value {
        b"null" => return Ok(None),
        [b'"', ..] => {
            let text: Option<String> = serde_json::from_slice(value).ok();
            text.and_then(|text| number_in_text(text.as_bytes()))
        }
        _ => whole_number(value),
    };
    number.map(Some).ok_or_else(|| not_a_number(name))
}

fn not_a_number(name: &'static str) -> Error {
    let message = format!("{name} must be a whole number from 1 to {MAX_NUMBER}.");
    Error::invalid(name, message)
}

/// Reads a number from a text as Python does, with white space around it and a sign before it.
fn number_in_text(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    whole_number(text.strip_prefix(b"+").unwrap_or(text))
}

/// Reads a whole number from 1 to [`MAX_NUMBER`], in any spelling of JSON.
fn whole_number(text: &[u8]) -> Option<i64> {
    if strict_json::number_length(text)? != text.len() {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let number = text.parse::<i64>().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        let is_whole = number.is_finite() && number.fract() == 0.0;
        is_whole.then(|| format!("{number:.0}").parse().ok())?
    })?;
    (1..=MAX_NUMBER).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_spellings_count_by_their_value() {
        let count = |value: &str| {
            let body = format!("{{\"n\":{value}}}");
            Fields::of_json(body.as_bytes(), &["n"]).and_then(|fields| fields.count("n"))
        };
        for (value, number) in [
            ("null", None),
            ("1", Some(1)),
            ("9e5", Some(900_000)),
            ("9E+5", Some(900_000)),
            ("900000.0", Some(900_000)),
            ("90.0", Some(90)),
            ("10e-1", Some(1)),
            ("4294967296", Some(MAX_NUMBER)),
            ("\"900000\"", Some(900_000)),
            ("\" 9e5\\n\"", Some(900_000)),
            ("\"\\u0039\"", Some(9)),
            ("\"+7.0\"", Some(7)),
        ] {
            assert_eq!(count(value).expect(value), number, "{value}");
        }
        for value in [
            "0",
            "-1",
            "-0",
            "0.5",
            "1.5",
            "1e-1",
            "4294967297",
            "1e300",
            "true",
            "false",
            "[1]",
            "{}",
            "\"\"",
            "\"x\"",
            "\"1_000\"",
            "\"0x10\"",
            "\"010\"",
            "\"-1\"",
            "\"inf\"",
            "\"++1\"",
            "\"1,5\"",
            "\"\u{661}\"",
        ] {
            let error = count(value).expect_err(value);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some("n")),
                "{value}"
            );
        }
    }
}
