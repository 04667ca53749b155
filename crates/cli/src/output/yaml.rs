//! YAML. No serializer of a crate is used: it would change the digits of numbers, and would neither colour the output nor
//! escape characters that control a terminal.

use std::borrow::Cow;

use super::characters;
use super::colour::{Palette, Role};
use super::value::{JsonText, Value};

/// Words that a reader of YAML 1.1 or 1.2 does not take for text.
const RESERVED: [&str; 10] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan",
];

/// Returns YAML in block style, with a newline at the end.
pub fn document(value: &Value, palette: Palette) -> String {
    let mut writer = YamlWriter {
        out: String::new(),
        palette,
    };
    writer.block(value, 0);
    writer.out
}

struct YamlWriter {
    out: String,
    palette: Palette,
}

impl YamlWriter {
    /// Writes a value: its first line at the current position, all others indented.
    fn block(&mut self, value: &Value, indent: usize) {
        match value {
            Value::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.indent(if index > 0 { indent } else { 0 });
                    self.out.push_str("- ");
                    self.block(item, indent + 2);
                }
            }
            Value::Object(fields) if !fields.is_empty() => {
                for (index, (key, item)) in fields.iter().enumerate() {
                    self.indent(if index > 0 { indent } else { 0 });
                    self.palette.push(&mut self.out, Role::Key, &scalar(*key));
                    self.out.push(':');
                    self.entry(item, indent);
                }
            }
            leaf => self.leaf(leaf, indent),
        }
    }

    /// Writes the value of a key: a leaf behind the colon, anything else below.
    fn entry(&mut self, value: &Value, indent: usize) {
        if value.is_leaf() {
            self.out.push(' ');
            self.leaf(value, indent + 2);
        } else {
            self.out.push('\n');
            self.indent(indent + 2);
            self.block(value, indent + 2);
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize) {
        let (role, text) = match value {
            Value::Null => (Role::Faint, Cow::Borrowed("null")),
            Value::Bool(true) => (Role::Bool, Cow::Borrowed("true")),
            Value::Bool(false) => (Role::Bool, Cow::Borrowed("false")),
            Value::Number(digits) => (Role::Number, Cow::Borrowed(*digits)),
            Value::List(_) => (Role::Plain, Cow::Borrowed("[]")),
            Value::Object(_) => (Role::Plain, Cow::Borrowed("{}")),
            Value::Text(text) => {
                let plain = text.plain();
                if is_literal(&plain) {
                    return self.literal(&plain, indent);
                }
                (Role::Text, scalar(*text))
            }
        };
        self.palette.push(&mut self.out, role, &text);
        self.out.push('\n');
    }

    /// Writes a text of several lines, such as a certificate, as a literal block.
    fn literal(&mut self, text: &str, indent: usize) {
        self.out
            .push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
        for line in text.trim_end_matches('\n').split('\n') {
            if !line.is_empty() {
                self.indent(indent);
                self.palette.push(&mut self.out, Role::Text, line);
            }
            self.out.push('\n');
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.push_str(&characters::spaces(indent));
    }
}

/// Returns a string on one line: plain if every reader takes it for text, else quoted as in JSON, which is YAML.
fn scalar(text: JsonText<'_>) -> Cow<'_, str> {
    let plain = text.plain();
    if is_plain(&plain) {
        plain
    } else {
        text.quoted()
    }
}

fn is_plain(text: &str) -> bool {
    let starts_plain = text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/');
    let is_safe = |c: char| c.is_alphanumeric() || " _-./@+(),;=:'".contains(c);
    starts_plain
        && text.chars().all(is_safe)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns true if a text can be written as a literal block without loss.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body
            .split('\n')
            .all(|line| characters::line(line) == line && !line.contains('\u{feff}'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn yaml(text: &str) -> String {
        document(&Value::parse(text).unwrap(), Palette { is_on: false })
    }

    #[test]
    fn blocks_keep_order_and_digits() {
        let text = r#"{"id":"a","num":1.50,"none":null,"ok":true,"list":["x",["z"],{"b":1,"c":[]}],"in":{"z":{},"a":"b c"}}"#;
        let expected = "\
id: a
num: 1.50
none: null
ok: true
list:
  - x
  - - z
  - b: 1
    c: []
in:
  z: {}
  a: b c
";
        assert_eq!(yaml(text), expected);
    }

    #[test]
    fn strings_that_look_like_something_else_are_quoted() {
        for text in [
            "1",
            "1e3",
            "0x10",
            "yes",
            "No",
            "NULL",
            "true",
            "",
            " a",
            "a ",
            "a: b",
            "a:",
            "#a",
            "~",
            "- a",
            "2026-01-15",
            ".inf",
            "*a",
            "&a",
            "!a",
            "{a",
            "%a",
            "@a",
            "`a",
            "a #b",
        ] {
            let quoted = serde_json::to_string(text).unwrap();
            assert_eq!(yaml(&quoted), format!("{quoted}\n"));
        }
        for text in [
            "user_abc",
            "First Last",
            "a@b.c",
            "https://a/b",
            "Zoë",
            "/v1",
        ] {
            assert_eq!(yaml(&format!("\"{text}\"")), format!("{text}\n"));
        }
    }

    #[test]
    fn several_lines_are_a_literal_block() {
        assert_eq!(
            yaml(r#"{"certificate":"-----BEGIN\nabc\n\n  -----END\n","note":"a\nb"}"#),
            "certificate: |\n  -----BEGIN\n  abc\n\n    -----END\nnote: |-\n  a\n  b\n"
        );
        assert_eq!(yaml(r#"["a\r\nb"]"#), "- \"a\\r\\nb\"\n");
    }

    proptest! {
        /// Another YAML reader finds the values of the JSON text.
        #[test]
        fn yaml_has_the_values_of_json(texts in proptest::collection::vec("[\\PC\n]{0,12}|[a-z0-9:#. \n\t-]{0,8}", 1..6)) {
            let json = serde_json::to_string(&[BTreeMap::from([("a: b", &texts), ("c", &texts)])]).unwrap();
            let read: Vec<BTreeMap<String, Vec<String>>> = serde_saphyr::from_str(&yaml(&json)).unwrap();
            prop_assert_eq!(&read[0]["a: b"], &texts);
            prop_assert_eq!(&read[0]["c"], &texts);
        }
    }
}
