//! A response as a tree that borrows its text: keys keep their order, and numbers the digits that the server sent.

use std::borrow::Cow;
use std::fmt;

use anyhow::{Result, bail};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::characters::line;

/// The deepest nesting, which is that of `serde_json`.
const MAX_DEPTH: usize = 128;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'text> {
    Null,
    Bool(bool),
    Number(&'text str),
    Text(JsonText<'text>),
    List(Vec<Value<'text>>),
    Object(Vec<(JsonText<'text>, Value<'text>)>),
}

/// A JSON string with its quotes and escapes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JsonText<'text>(&'text str);

impl<'text> JsonText<'text> {
    /// Returns the string in its quotes, with characters that control a terminal escaped.
    pub fn quoted(self) -> Cow<'text, str> {
        line(self.0)
    }

    /// Returns the number of bytes with quotes and escapes.
    pub fn length(self) -> usize {
        self.0.len()
    }

    /// Returns the decoded string. One with half of a surrogate pair, which is no character, stays escaped.
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
    /// Parses a JSON text.
    pub fn parse(text: &'text str) -> Result<Self> {
        Self::of_raw(serde_json::from_str(text)?, 0)
    }

    /// Parses one level; the values inside are parsed from their texts, which keeps their digits.
    fn of_raw(raw: &'text RawValue, depth: usize) -> Result<Self> {
        if depth > MAX_DEPTH {
            bail!("nested deeper than {MAX_DEPTH}");
        }
        let text = raw.get();
        Ok(match text.as_bytes()[0] {
            b'{' => {
                let members: RawMembers = serde_json::from_str(text)?;
                let members = members
                    .0
                    .into_iter()
                    .map(|(key, value)| Ok((JsonText(key.get()), Self::of_raw(value, depth + 1)?)));
                Value::Object(members.collect::<Result<_>>()?)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.into_iter().map(|item| Self::of_raw(item, depth + 1));
                Value::List(items.collect::<Result<_>>()?)
            }
            b'"' => Value::Text(JsonText(text)),
            b'n' => Value::Null,
            b't' | b'f' => Value::Bool(text == "true"),
            _ => Value::Number(text),
        })
    }

    /// Returns the value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Value<'text>> {
        let Value::Object(fields) = self else {
            return None;
        };
        let field = fields.iter().find(|(name, _)| name.plain() == key);
        field.map(|(_, value)| value)
    }

    /// Returns the decoded string, if the value is one.
    pub fn text(&self) -> Option<Cow<'text, str>> {
        match self {
            Value::Text(text) => Some(text.plain()),
            _ => None,
        }
    }

    /// Returns the number as a float, for sums and drawings.
    pub fn float(&self) -> Option<f64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Returns the whole number, if the value is one.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Returns the items of a list, if there are some and all are objects.
    pub fn objects(&self) -> Option<&[Value<'text>]> {
        match self {
            Value::List(items) if !items.is_empty() => items
                .iter()
                .all(|item| matches!(item, Value::Object(_)))
                .then_some(items),
            _ => None,
        }
    }

    /// Returns true if nothing is inside.
    pub fn is_leaf(&self) -> bool {
        match self {
            Value::List(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => true,
        }
    }
}

/// The members of an object in their order.
struct RawMembers<'text>(Vec<(&'text RawValue, &'text RawValue)>);

impl<'text> Deserialize<'text> for RawMembers<'text> {
    fn deserialize<D: Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'text> Visitor<'text> for Members {
            type Value = RawMembers<'text>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'text>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Returns the point in time that a field holds, judged by its key and value.
pub fn time(key: &str, value: &Value) -> Option<jiff::Timestamp> {
    let of_time = key.ends_with("_at") || key.ends_with("_time") || key == "created";
    let seconds = value.whole().filter(|seconds| of_time && *seconds > 0)?;
    jiff::Timestamp::from_second(seconds).ok()
}

/// Formats a point in time to the minute, in UTC.
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
            Value::Text(JsonText(r#""\"\\""#)),
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
    fn invalid_or_too_deep_json_is_refused() {
        for text in ["", "<html>", "{\"a\":1", "[1,]", "1 2"] {
            assert!(Value::parse(text).is_err(), "{text}");
        }
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Value::parse(&deep(MAX_DEPTH)).is_ok());
        assert!(Value::parse(&deep(100_000)).is_err());
    }

    #[test]
    fn times_are_recognized_by_their_keys() {
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
