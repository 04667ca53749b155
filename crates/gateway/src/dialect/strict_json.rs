//! A strict JSON reader: every other reader takes a text that it accepts for the same document.
//!
//! The text is read in one pass without copies, and values are slices of it. Besides malformed text, the reader refuses numbers
//! that no double can hold, lone surrogates, and deep nesting: some servers accept them, and others do not.

use std::borrow::Cow;

use base::{Error, Result};

/// The deepest nesting of values.
const MAX_DEPTH: usize = 100;
/// The longest number. No double needs more digits.
const MAX_NUMBER_BYTES: usize = 400;

/// A reader of a JSON text.
pub(super) struct JsonReader<'a> {
    text: &'a [u8],
    /// The offset of the next byte.
    at: usize,
    depth: usize,
    /// True from the opening of an object or a list until its first member or item.
    is_first: bool,
}

/// A JSON string.
#[derive(Clone, Copy)]
pub(super) struct JsonString<'a> {
    /// The string with its quotation marks.
    quoted: &'a [u8],
    has_escapes: bool,
}

impl<'a> JsonString<'a> {
    /// Returns the text between the quotation marks, with its escapes.
    pub(super) fn raw(&self) -> &'a [u8] {
        &self.quoted[1..self.quoted.len() - 1]
    }

    /// Returns the string without escapes.
    pub(super) fn decoded(&self) -> Cow<'a, str> {
        if self.has_escapes {
            let decoded = serde_json::from_slice(self.quoted);
            return Cow::Owned(decoded.unwrap_or_default());
        }
        Cow::Borrowed(std::str::from_utf8(self.raw()).unwrap_or_default())
    }
}

impl<'a> JsonReader<'a> {
    /// Returns a reader at the beginning of an object.
    ///
    /// # Errors
    /// 400: the text is not UTF-8, or does not begin with an object.
    pub(super) fn of_object(text: &'a [u8]) -> Result<Self> {
        if let Err(error) = std::str::from_utf8(text) {
            let place = error.valid_up_to();
            return Err(invalid(&format!("it is not UTF-8 at byte {place}")));
        }
        let mut reader = Self::of_value(text);
        if reader.peek() != Some(b'{') {
            return Err(invalid("it must be an object, and begin with '{'"));
        }
        Ok(reader)
    }

    /// Returns a reader of a value, as [`Self::value`] has returned it.
    pub(super) fn of_value(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            is_first: false,
        }
    }

    /// Returns the offset of the next byte.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Skips white space and returns the next byte.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        let space = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        self.at += space;
        rest.get(space).copied()
    }

    /// Enters an object or a list. To be called only when one is next.
    pub(super) fn open(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("it is nested more than {MAX_DEPTH} times");
            return Err(self.wrong(&reason));
        }
        self.at += 1;
        self.is_first = true;
        Ok(())
    }

    /// True if there is another member or item. Otherwise leaves the object or list, whose last byte is `close`.
    pub(super) fn next(&mut self, close: u8) -> Result<bool> {
        let was_first = std::mem::replace(&mut self.is_first, false);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            Some(b',') if !was_first => self.at += 1,
            Some(_) if was_first => return Ok(true),
            Some(_) => return Err(self.wrong("a comma is missing")),
            None => return Err(self.wrong("it ends too early")),
        }
        match self.peek() {
            Some(byte) if byte != close => Ok(true),
            _ => Err(self.wrong("there is nothing after a comma")),
        }
    }

    /// Reads the name of a member, and its colon.
    pub(super) fn name(&mut self) -> Result<JsonString<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("the name of a member must be a string"));
        }
        let name = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.wrong("a colon is missing"));
        }
        self.at += 1;
        Ok(name)
    }

    /// Reads a string. To be called only when one is next.
    pub(super) fn string(&mut self) -> Result<JsonString<'a>> {
        let start = self.at;
        self.at += 1;
        let mut has_escapes = false;
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(self.wrong("a string has no end"));
            };
            let controls = rest[..length]
                .iter()
                .fold(false, |any, byte| any | (*byte < b' '));
            if controls {
                return Err(self.wrong("a string has a control character in it"));
            }
            self.at += length + 1;
            if rest[length] == b'"' {
                let quoted = &self.text[start..self.at];
                return Ok(JsonString {
                    quoted,
                    has_escapes,
                });
            }
            has_escapes = true;
            self.escape()?;
        }
    }

    /// Reads an escape, after its backslash.
    fn escape(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => match hex_digits(&rest[1..]) {
                None => return Err(self.wrong("an escape in a string is none")),
                Some(0xD800..=0xDBFF) => {
                    let second = rest[5..].strip_prefix(br"\u").and_then(hex_digits);
                    if !matches!(second, Some(0xDC00..=0xDFFF)) {
                        return Err(self.wrong("a string has half a surrogate pair in it"));
                    }
                    11
                }
                Some(0xDC00..=0xDFFF) => {
                    return Err(self.wrong("a string has half a surrogate pair in it"));
                }
                Some(_) => 5,
            },
            _ => return Err(self.wrong("an escape in a string is none")),
        };
        self.at += length;
        Ok(())
    }

    /// Skips a value and returns its text.
    pub(super) fn value(&mut self) -> Result<&'a [u8]> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Skips a value.
    pub(super) fn skip(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'{') => {
                self.open()?;
                while self.next(b'}')? {
                    self.name()?;
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.open()?;
                while self.next(b']')? {
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'"') => self.string().map(|_| ()),
            _ => self.literal(),
        }
    }

    /// Skips a number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        for word in [&b"null"[..], b"true", b"false"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        let length = number_length(rest).ok_or_else(|| {
            let is_end = rest.is_empty();
            self.wrong(if is_end {
                "it ends too early"
            } else {
                "a value is none"
            })
        })?;
        if !is_finite(&rest[..length]) {
            return Err(self.wrong("a number is too large, or has too many digits"));
        }
        self.at += length;
        Ok(())
    }

    /// Checks that only white space follows.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("trailing characters")),
        }
    }

    fn wrong(&self, reason: &str) -> Error {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        invalid(&format!("{reason} at line {line} column {column}"))
    }
}

/// Reads four hexadecimal digits.
fn hex_digits(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |code, digit| {
        Some(code * 16 + char::from(*digit).to_digit(16)?)
    })
}

/// Returns the length of the JSON number at the beginning of a text.
pub(super) fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let start = usize::from(text.first() == Some(&b'-'));
    let mut end = digits(start)?;
    if text[start] == b'0' {
        end = start + 1;
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let has_sign = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(has_sign))?;
    }
    Some(end)
}

/// True if a double can hold a number.
fn is_finite(number: &[u8]) -> bool {
    /// The digits of an integer that every double can hold.
    const MAX_FINITE_LEN: usize = 300;
    let has_exponent = || memchr::memchr2(b'e', b'E', number).is_some();
    if number.len() <= MAX_FINITE_LEN && !has_exponent() {
        return true;
    }
    let text = std::str::from_utf8(number).unwrap_or_default();
    number.len() <= MAX_NUMBER_BYTES && text.parse().is_ok_and(f64::is_finite)
}

fn invalid(reason: &str) -> Error {
    let message = format!("The request body could not be read as JSON: {reason}.");
    Error::refused("invalid_json", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(text: &[u8]) -> Result<()> {
        let mut reader = JsonReader::of_object(text)?;
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn s5_text_that_readers_disagree_on_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let (long, short) = ("9".repeat(MAX_NUMBER_BYTES + 1), "9".repeat(300));
        for good in [
            r#"{"a":1e308,"b":-0.5E-3,"c":"\ud83d\ude00\/\"\\","d":[true,false,null,{}]} "#
                .to_owned(),
            format!("{{\"a\":{short}}}"),
            format!("{{\"a\":{}}}", f64::MAX),
            format!("{{\"a\":{}}}", 5e-324),
        ] {
            read(good.as_bytes()).expect(&good);
        }
        for (bad, words) in [
            (nested(MAX_DEPTH), "nested"),
            (r#"{"a":1e999}"#.into(), "too large"),
            (r#"{"a":-1e999}"#.into(), "too large"),
            (format!("{{\"a\":{long}}}"), "too large"),
            (r#"{"a":"\ud800"}"#.into(), "surrogate"),
            (r#"{"a":"\udc00\ud800"}"#.into(), "surrogate"),
            (r#"{"a":"\ud800\u0041"}"#.into(), "surrogate"),
            (r#"{"a":NaN}"#.into(), "a value is none"),
            (r#"{"a":-Infinity}"#.into(), "a value is none"),
            (r#"{"a":01}"#.into(), "comma"),
            (r#"{"a":+1}"#.into(), "a value is none"),
            (r#"{"a":1.}"#.into(), "a value is none"),
            (r#"{'a':1}"#.into(), "must be a string"),
            (r#"{"a":1,}"#.into(), "after a comma"),
            (r#"{"a":[1,]}"#.into(), "after a comma"),
            (r#"{"a":1/**/}"#.into(), "comma"),
            ("{\"a\":\"\n\"}".into(), "control character"),
            (r#"{"a":"\x"}"#.into(), "escape"),
            ("\u{feff}{}".into(), "begin with"),
            ("{}{}".into(), "trailing characters"),
            ("{} \u{a0}".into(), "trailing characters"),
        ] {
            let error = read(bad.as_bytes()).expect_err(&bad);
            assert!(error.message.contains(words), "{bad}: {}", error.message);
            assert_eq!(error.status, 400);
        }
        assert!(read(b"{\"a\":\"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn s5_text_is_accepted_if_and_only_if_it_is_json(text in "[\\[\\]{},:\"0-9eE.+\\-\\\\untrfalsd ]{0,12}") {
            let text = format!("{{\"a\":{text}}}");
            let value = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(read(text.as_bytes()).is_ok(), value.is_ok(), "{}", text);
        }

        #[test]
        fn s5_serialized_values_are_accepted(names in proptest::collection::vec(any::<String>(), 0..4), number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let value = serde_json::json!({"a": names, "b": {"c": number}});
            for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("text")] {
                prop_assert!(read(text.as_bytes()).is_ok(), "{}", text);
            }
        }
    }
}
