//! An answer as a tree that borrows its text: keys keep their order, and numbers the digits that the server sent.

use std::borrow::Cow;

use anyhow::{Result, bail};
use serde::de::IgnoredAny;

use super::characters::line;

/// How deep an answer may be nested; the bound of `serde_json`.
const DEPTH: usize = 128;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'text> {
    Null,
    Bool(bool),
    Number(&'text str),
    Text(Text<'text>),
    List(Vec<Value<'text>>),
    Object(Vec<(Text<'text>, Value<'text>)>),
}

/// A string as it was written, with its quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Text<'text>(&'text str);

impl<'text> Text<'text> {
    /// The string in quotes: as it was written, but with what would drive a terminal escaped.
    pub fn quoted(self) -> Cow<'text, str> {
        line(self.0)
    }

    /// How long it was written, in bytes.
    pub fn length(self) -> usize {
        self.0.len()
    }

    /// What the string says. Half of a surrogate pair has no character and stays written as it was.
    pub fn plain(self) -> Cow<'text, str> {
        let inner = &self.0[1..self.0.len() - 1];
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        match serde_json::from_str::<String>(self.0) {
            Ok(decoded) => Cow::Owned(decoded),
            Err(_) => Cow::Borrowed(inner),
        }
    }
}

impl<'text> Value<'text> {
    /// Reads a JSON text.
    pub fn parse(text: &'text str) -> Result<Self> {
        // The grammar is checked first, without recursion, so that the reader below can go by first characters.
        serde_json::from_str::<IgnoredAny>(text)?;
        Reader { rest: text }.value(0)
    }

    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Value<'text>> {
        let Value::Object(fields) = self else {
            return None;
        };
        let field = fields.iter().find(|(name, _)| name.plain() == key);
        field.map(|(_, value)| value)
    }

    /// What a string says, if it is one.
    pub fn text(&self) -> Option<Cow<'text, str>> {
        match self {
            Value::Text(text) => Some(text.plain()),
            _ => None,
        }
    }

    /// The number as a float, if it is one: for adding up and drawing.
    pub fn float(&self) -> Option<f64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The number as a whole one, if it is one.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The elements, if this is a list of objects and not empty.
    pub fn objects(&self) -> Option<&[Value<'text>]> {
        match self {
            Value::List(items) if !items.is_empty() => items
                .iter()
                .all(|item| matches!(item, Value::Object(_)))
                .then_some(items),
            _ => None,
        }
    }

    /// Whether nothing is inside.
    pub fn is_leaf(&self) -> bool {
        match self {
            Value::List(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => true,
        }
    }
}

/// Walks over a text whose grammar has been checked.
struct Reader<'text> {
    rest: &'text str,
}

impl<'text> Reader<'text> {
    fn value(&mut self, depth: usize) -> Result<Value<'text>> {
        if depth > DEPTH {
            bail!("nested deeper than {DEPTH}");
        }
        self.skip_space();
        Ok(match self.rest.as_bytes().first() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()),
            _ => match self.word() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                digits => Value::Number(digits),
            },
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value<'text>> {
        let mut fields = Vec::new();
        self.take(1);
        while !self.at_end(b'}') {
            let key = self.string();
            self.skip_space();
            self.take(1);
            fields.push((key, self.value(depth + 1)?));
        }
        Ok(Value::Object(fields))
    }

    fn list(&mut self, depth: usize) -> Result<Value<'text>> {
        let mut items = Vec::new();
        self.take(1);
        while !self.at_end(b']') {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::List(items))
    }

    /// Steps over a comma, or over the end and says so.
    fn at_end(&mut self, end: u8) -> bool {
        self.skip_space();
        let next = self.rest.as_bytes().first();
        let ended = next.is_none_or(|byte| *byte == end);
        if ended || next == Some(&b',') {
            self.take(1);
        }
        self.skip_space();
        ended
    }

    fn string(&mut self) -> Text<'text> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ended = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ended
        });
        Text(self.take(end.map_or(self.rest.len(), |end| end + 2)))
    }

    fn word(&mut self) -> &'text str {
        let end = self
            .rest
            .bytes()
            .position(|byte| byte.is_ascii_whitespace() || b",]}".contains(&byte));
        self.take(end.unwrap_or(self.rest.len()))
    }

    fn skip_space(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_whitespace());
    }

    fn take(&mut self, length: usize) -> &'text str {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// The seconds of a point in time, if that is what the key and the value say.
pub fn time(key: &str, value: &Value) -> Option<jiff::Timestamp> {
    let of_time = key.ends_with("_at") || key.ends_with("_time") || key == "created";
    let seconds = value.whole().filter(|seconds| of_time && *seconds > 0)?;
    jiff::Timestamp::from_second(seconds).ok()
}

/// A point in time to the minute, in UTC.
pub fn minute(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_numbers_their_digits() {
        let value = Value::parse(" { \"z\" : 1.50e+2 , \"a\":[ 12345678901234567890 ,null,true,false,\"\\\"\\\\\" ] , \"e\":{ },\"f\":[ ]} ").unwrap();
        let Value::Object(fields) = &value else {
            panic!("{value:?}")
        };
        assert_eq!(fields[0].0.plain(), "z");
        assert_eq!(fields[0].1, Value::Number("1.50e+2"));
        let list = vec![
            Value::Number("12345678901234567890"),
            Value::Null,
            Value::Bool(true),
            Value::Bool(false),
            Value::Text(Text(r#""\"\\""#)),
        ];
        assert_eq!(fields[1].1, Value::List(list));
        assert_eq!(fields[2].1, Value::Object(vec![]));
        assert_eq!(fields[3].1, Value::List(vec![]));
    }

    #[test]
    fn strings_are_decoded() {
        let value = Value::parse(r#""a\u00e9\n\"b""#).unwrap();
        assert_eq!(value.text().unwrap(), "aé\n\"b");
        let half = Value::parse(r#""\ud800x""#).unwrap();
        assert_eq!(half.text().unwrap(), r"\ud800x");
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_refused() {
        for text in ["", "<html>", "{\"a\":1", "[1,]", "1 2"] {
            assert!(Value::parse(text).is_err(), "{text}");
        }
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Value::parse(&deep(DEPTH)).is_ok());
        assert!(Value::parse(&deep(100_000)).is_err());
    }

    #[test]
    fn times_are_told_by_their_keys() {
        let seconds = Value::Number("1768478400");
        assert_eq!(
            minute(time("created_at", &seconds).unwrap()),
            "2026-01-15 12:00"
        );
        assert_eq!(
            minute(time("start_time", &seconds).unwrap()),
            "2026-01-15 12:00"
        );
        assert!(time("input_tokens", &seconds).is_none());
        assert!(time("created_at", &Value::Null).is_none());
        assert!(time("created_at", &Value::Number("99999999999999999")).is_none());
    }
}
