//! The cells of a table: each value on one line.

use super::characters::line;
use super::colour::{Palette, Role};
use super::json;
use super::value::{Value, minute, time};

/// The text of a cell without a value.
const EMPTY: &str = "–";

/// A value on one line, and the role that it is coloured by.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub role: Role,
    pub text: String,
}

impl Cell {
    /// Creates the cell of an object's field.
    pub fn of(key: &str, value: &Value) -> Self {
        let (role, text) = match value {
            Value::Null => (Role::Faint, EMPTY.to_owned()),
            Value::Bool(true) => (Role::Bool, "yes".to_owned()),
            Value::Bool(false) => (Role::Bool, "no".to_owned()),
            Value::Number(digits) => match time(key, value) {
                Some(time) => (Role::Plain, minute(time)),
                None => (Role::Number, (*digits).to_owned()),
            },
            Value::Text(text) => (Role::Plain, line(&text.plain()).into_owned()),
            Value::List(items) if items.is_empty() => (Role::Faint, EMPTY.to_owned()),
            Value::List(items) if items.iter().all(Value::is_leaf) => {
                let texts = items.iter().map(|item| Cell::of("", item).text);
                (Role::Plain, texts.collect::<Vec<_>>().join(", "))
            }
            Value::List(_) | Value::Object(_) => nested(value),
        };
        Cell { role, text }
    }

    pub fn is_empty(&self) -> bool {
        self.text == EMPTY
    }
}

/// Returns money as an amount with its currency, and any other nested value as JSON.
fn nested(value: &Value) -> (Role, String) {
    let currency = value.get("currency").and_then(Value::text);
    if let (Some(Value::Number(amount)), Some(currency)) = (value.get("value"), currency) {
        return (Role::Number, format!("{amount} {}", line(&currency)));
    }
    (Role::Plain, json::compact(value, Palette { is_on: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_one_line() {
        for (key, json, text) in [
            ("a", "null", "–"),
            ("a", "[]", "–"),
            ("a", "true", "yes"),
            ("created_at", "1768478400", "2026-01-15 12:00"),
            ("tokens", "1768478400", "1768478400"),
            ("a", r#"["b",1,null]"#, "b, 1, –"),
            ("a", r#"[{"b":1}]"#, r#"[{"b":1}]"#),
            ("amount", r#"{"value":0.06,"currency":"usd"}"#, "0.06 usd"),
            ("a", r#"{"b":{"c":[1, 2]}}"#, r#"{"b":{"c":[1,2]}}"#),
            ("a", r#""one\ntwo\u001b""#, r"one\ntwo\u001b"),
        ] {
            let value = Value::parse(json).unwrap();
            assert_eq!(Cell::of(key, &value).text, text, "{json}");
        }
    }
}
