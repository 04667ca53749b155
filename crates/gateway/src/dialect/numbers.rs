//! Numbers of a request, by their value: whichever way they are written, and whichever way a server reads them.

use base::{Error, Result};

use super::{Fields, json};

/// The highest number that a field may ask for.
const MAX_COUNT: i64 = 1 << 32;

impl Fields<'_> {
    /// The whole number in the field; none if it is not there, or null. A string that is a number counts by its value, as
    /// servers in Python take it.
    ///
    /// # Errors
    /// 400: it is something else, less than 1, or more than [`MAX_COUNT`].
    pub(super) fn count(&self, name: &'static str) -> Result<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(field) if self.is_json() => of_json(name, field),
            Some(field) => of_text(field).map(Some).ok_or_else(|| wrong(name)),
        }
    }

    /// The highest of the numbers in these fields.
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
}

/// The whole number that a value of JSON is; none if it is null. A string counts as in [`Fields::count`].
///
/// # Errors
/// Those of [`Fields::count`].
pub(super) fn of_json(name: &'static str, value: &[u8]) -> Result<Option<i64>> {
    let count = match value {
        b"null" => return Ok(None),
        [b'"', ..] => {
            let text: Option<String> = serde_json::from_slice(value).ok();
            text.and_then(|text| of_text(text.as_bytes()))
        }
        _ => whole(value),
    };
    count.map(Some).ok_or_else(|| wrong(name))
}

fn wrong(name: &'static str) -> Error {
    let message = format!("{name} must be a whole number from 1 to {MAX_COUNT}.");
    Error::invalid(name, message)
}

/// A number in a text, as Python reads one: white space around it and a sign are none of it.
fn of_text(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    whole(text.strip_prefix(b"+").unwrap_or(text))
}

/// A whole number of at least 1, in any spelling of JSON.
fn whole(text: &[u8]) -> Option<i64> {
    if json::number(text)? != text.len() {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let number = text.parse::<i64>().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        let is_whole = number.is_finite() && number.fract() == 0.0;
        is_whole.then(|| format!("{number:.0}").parse().ok())?
    })?;
    (1..=MAX_COUNT).contains(&number).then_some(number)
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
            ("4294967296", Some(MAX_COUNT)),
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
