//! JSON, indented or on one line.

use super::colour::{Palette, Role};
use super::value::Value;

/// The longest line, in bytes, on which an array without objects stays.
const MAX_LINE_BYTES: usize = 80;
const INDENT: &str = "  ";

/// Returns JSON with a line for each key, without a newline at the end.
pub fn pretty(value: &Value, palette: Palette) -> String {
    let mut writer = JsonWriter {
        out: String::new(),
        column: 0,
        palette,
    };
    writer.value(value, 0, true);
    writer.out
}

/// Returns JSON on one line.
pub fn compact(value: &Value, palette: Palette) -> String {
    let mut writer = JsonWriter {
        out: String::new(),
        column: 0,
        palette,
    };
    writer.compact(value, ",");
    writer.out
}

struct JsonWriter {
    out: String,
    /// The bytes since the last newline, the newline included and colours excluded.
    column: usize,
    palette: Palette,
}

impl JsonWriter {
    fn value(&mut self, value: &Value, depth: usize, is_last: bool) {
        match value {
            Value::List(items) if !fits(value, MAX_LINE_BYTES.saturating_sub(self.column)) => {
                self.push(Role::Plain, "[");
                for (index, item) in items.iter().enumerate() {
                    self.newline(depth + 1);
                    self.value(item, depth + 1, index + 1 == items.len());
                }
                self.newline(depth);
                self.push(Role::Plain, "]");
            }
            Value::Object(fields) if !fields.is_empty() => {
                self.push(Role::Plain, "{");
                for (index, (key, item)) in fields.iter().enumerate() {
                    self.newline(depth + 1);
                    self.push(Role::Key, &key.quoted());
                    self.push(Role::Plain, ": ");
                    self.value(item, depth + 1, index + 1 == fields.len());
                }
                self.newline(depth);
                self.push(Role::Plain, "}");
            }
            value => self.compact(value, ", "),
        }
        if !is_last {
            self.push(Role::Plain, ",");
        }
    }

    fn compact(&mut self, value: &Value, comma: &str) {
        match value {
            Value::Null => self.push(Role::Faint, "null"),
            Value::Bool(true) => self.push(Role::Bool, "true"),
            Value::Bool(false) => self.push(Role::Bool, "false"),
            Value::Number(digits) => self.push(Role::Number, digits),
            Value::Text(text) => self.push(Role::Text, &text.quoted()),
            Value::List(items) => {
                self.push(Role::Plain, "[");
                for (index, item) in items.iter().enumerate() {
                    self.push(Role::Plain, if index > 0 { comma } else { "" });
                    self.compact(item, comma);
                }
                self.push(Role::Plain, "]");
            }
            Value::Object(fields) => {
                self.push(Role::Plain, "{");
                for (index, (key, item)) in fields.iter().enumerate() {
                    self.push(Role::Plain, if index > 0 { comma } else { "" });
                    self.push(Role::Key, &key.quoted());
                    self.push(Role::Plain, ":");
                    self.compact(item, comma);
                }
                self.push(Role::Plain, "}");
            }
        }
    }

    fn push(&mut self, role: Role, text: &str) {
        self.column += text.len();
        self.palette.push(&mut self.out, role, text);
    }

    fn newline(&mut self, depth: usize) {
        self.out.push('\n');
        self.column = 1;
        self.push(Role::Plain, &INDENT.repeat(depth));
    }
}

/// Returns true if a list is empty, or has no object inside and takes at most `room` bytes on one line. It stops at the
/// first byte too many, so that trying it at each level of nested lists costs little.
fn fits(list: &Value, room: usize) -> bool {
    list.is_leaf() || (room > 3 && room_after(list, room).is_some())
}

fn room_after(value: &Value, room: usize) -> Option<usize> {
    match value {
        Value::Null | Value::Bool(true) => room.checked_sub(4),
        Value::Bool(false) => room.checked_sub(5),
        Value::Number(digits) => room.checked_sub(digits.len()),
        Value::Text(text) if text.length() > room => None,
        Value::Text(text) => room.checked_sub(text.quoted().len()),
        Value::List(items) => {
            let mut room = room.checked_sub(2)?;
            for (index, item) in items.iter().enumerate() {
                let comma = if index > 0 { 2 } else { 0 };
                room = room_after(item, room.checked_sub(comma)?)?;
            }
            Some(room)
        }
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Palette = Palette { is_on: false };

    fn shown(text: &str) -> String {
        pretty(&Value::parse(text).unwrap(), PLAIN)
    }

    #[test]
    fn keys_have_lines_and_short_lists_stay_on_one() {
        assert_eq!(
            shown(r#"{"id":"a","none":[],"empty":{},"list":[1,"b",[null]],"in":[{"x":false}]}"#),
            r#"{
  "id": "a",
  "none": [],
  "empty": {},
  "list": [1, "b", [null]],
  "in": [
    {
      "x": false
    }
  ]
}"#
        );
        assert_eq!(shown("1.0E3"), "1.0E3");
    }

    #[test]
    fn a_list_is_broken_when_its_line_would_be_longer_than_80() {
        let list = |length| format!("[\"{}\"]", "x".repeat(length));
        assert_eq!(shown(&list(76)), list(76));
        assert!(shown(&list(77)).contains('\n'));
        // Below the first line the newline counts, too.
        let field = |length| format!("{{\"a\":{}}}", list(length));
        assert_eq!(shown(&field(68)).lines().count(), 3);
        assert_eq!(shown(&field(69)).lines().count(), 5);
    }

    #[test]
    fn compact_json_has_no_spaces() {
        let value = Value::parse("{ \"a\" : [ 1 , {\"b\":\"c d\"} ] }").unwrap();
        assert_eq!(compact(&value, PLAIN), r#"{"a":[1,{"b":"c d"}]}"#);
    }

    #[test]
    fn pieces_are_coloured() {
        let value = Value::parse(r#"{"a":"b"}"#).unwrap();
        assert_eq!(
            compact(&value, Palette { is_on: true }),
            "{\u{1b}[1;34m\"a\"\u{1b}[0m:\u{1b}[32m\"b\"\u{1b}[0m}"
        );
    }

    #[test]
    fn control_characters_are_escaped_without_changing_the_value() {
        let text = "\"a\u{9b}31m\u{7f}\"";
        let safe = shown(text);
        assert_eq!(safe, r#""a\u009b31m\u007f""#);
        assert_eq!(
            serde_json::from_str::<String>(&safe).unwrap(),
            serde_json::from_str::<String>(text).unwrap()
        );
    }
}
