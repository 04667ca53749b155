//! A strict reader of JSON: what it accepts, every other reader takes for the same document.
//!
//! The text is read in one pass, without copies: a value is known by its place in the text. Refused beyond the grammar are
//! numbers that no double can hold, half a surrogate pair, and what is nested too deeply; some servers take such text, and
//! others do not.

use std::borrow::Cow;

use base::{Error, Result};

/// The greatest depth of nested values.
const MAX_DEPTH: usize = 100;
/// The longest number, in bytes. No double needs more digits.
const MAX_NUMBER_BYTES: usize = 400;

/// A position in a text of JSON.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// A string, as it is written.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    /// The string with its quotation marks.
    written: &'a [u8],
    has_escapes: bool,
}

impl<'a> Quoted<'a> {
    /// Returns the text between the quotation marks, as written.
    pub(super) fn inside(&self) -> &'a [u8] {
        &self.written[1..self.written.len() - 1]
    }

    /// The string that is meant.
    pub(super) fn meant(&self) -> Cow<'a, str> {
        let plain = std::str::from_utf8(self.inside()).unwrap_or_default();
        if self.has_escapes {
            let meant = serde_json::from_slice(self.written);
            return Cow::Owned(meant.unwrap_or_default());
        }
        Cow::Borrowed(plain)
    }
}

impl<'a> Reader<'a> {
    /// Returns a reader at the beginning of an object.
    ///
    /// # Errors
    /// 400: it is not UTF-8, or no object.
    pub(super) fn of_object(text: &'a [u8]) -> Result<Self> {
        if let Err(error) = std::str::from_utf8(text) {
            let place = error.valid_up_to();
            return Err(invalid(&format!("it is not UTF-8 at byte {place}")));
        }
        let (at, depth) = (0, 0);
        let mut reader = Self { text, at, depth };
        if reader.peek() != Some(b'{') {
            return Err(invalid("it must be an object, and begin with '{'"));
        }
        Ok(reader)
    }

    /// The position of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next, after white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        let space = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        self.at += space;
        rest.get(space).copied()
    }

    /// Enters an object or a list, which is there.
    pub(super) fn open(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let reason = format!("it is nested more than {MAX_DEPTH} times");
            return Err(self.wrong(&reason));
        }
        self.at += 1;
        Ok(())
    }

    /// True if there is another member or item; goes out of the object or list, which ends with `close`, if not.
    pub(super) fn next(&mut self, close: u8, is_first: &mut bool) -> Result<bool> {
        let was_first = std::mem::replace(is_first, false);
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

    /// The name of a member, and its colon.
    pub(super) fn name(&mut self) -> Result<Quoted<'a>> {
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

    /// A string, which is there.
    pub(super) fn string(&mut self) -> Result<Quoted<'a>> {
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
                let written = &self.text[start..self.at];
                return Ok(Quoted {
                    written,
                    has_escapes,
                });
            }
            has_escapes = true;
            self.escape()?;
        }
    }

    /// Reads the part of an escape after its backslash.
    fn escape(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => match code(&rest[1..]) {
                None => return Err(self.wrong("an escape in a string is none")),
                Some(0xD800..=0xDBFF) => {
                    let second = rest[5..].strip_prefix(br"\u").and_then(code);
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

    /// Passes over a value with all that is in it.
    pub(super) fn skip(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'{') => {
                let mut is_first = true;
                self.open()?;
                while self.next(b'}', &mut is_first)? {
                    self.name()?;
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'[') => {
                let mut is_first = true;
                self.open()?;
                while self.next(b']', &mut is_first)? {
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'"') => self.string().map(|_| ()),
            _ => self.word(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<()> {
        let rest = &self.text[self.at..];
        for word in [&b"null"[..], b"true", b"false"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        let length = number(rest).ok_or_else(|| {
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

    /// Checks that nothing follows.
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
fn code(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |code, digit| {
        Some(code * 16 + char::from(*digit).to_digit(16)?)
    })
}

/// Returns the length of the number that a text begins with, by the grammar of JSON.
pub(super) fn number(text: &[u8]) -> Option<usize> {
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

/// True if a double holds this number.
fn is_finite(number: &[u8]) -> bool {
    const SURELY_FINITE: usize = 300;
    let has_exponent = || memchr::memchr2(b'e', b'E', number).is_some();
    if number.len() <= SURELY_FINITE && !has_exponent() {
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
        let mut reader = Reader::of_object(text)?;
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn s5_what_readers_do_not_agree_on_is_refused() {
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
        fn s5_what_is_accepted_is_json_and_json_is_accepted(text in "[\\[\\]{},:\"0-9eE.+\\-\\\\untrfalsd ]{0,12}") {
            let text = format!("{{\"a\":{text}}}");
            let value = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(read(text.as_bytes()).is_ok(), value.is_ok(), "{}", text);
        }

        #[test]
        fn s5_whatever_is_written_is_read(names in proptest::collection::vec(any::<String>(), 0..4), number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let value = serde_json::json!({"a": names, "b": {"c": number}});
            for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("text")] {
                prop_assert!(read(text.as_bytes()).is_ok(), "{}", text);
            }
        }
    }
}
