//! A response in a frame: its kind is the title, values are readable words, lists are numbered.

use std::borrow::Cow;

use super::characters::{columns, fit, line, spaces, split};
use super::colour::{Palette, Role};
use super::value::Value;

/// The fewest columns that a text is wrapped to; on a narrower terminal the frame is wider than the terminal.
const MIN_TEXT_COLUMNS: usize = 8;

/// Returns a frame that is at most as wide as the terminal, with a newline at the end.
pub fn framed(value: &Value, width: usize, palette: Palette) -> String {
    let title = value.get("object").and_then(Value::text);
    let title = title.map_or(Cow::Borrowed(""), |title| {
        Cow::Owned(line(&title).into_owned())
    });
    let mut body = FrameBody {
        rows: Vec::new(),
        width: width.saturating_sub(4),
    };
    body.value(value, 0, FrameRow::default());
    frame(&title, &body.rows, body.width, palette)
}

/// A line inside the frame, in coloured pieces.
#[derive(Clone, Default)]
struct FrameRow {
    pieces: Vec<(Role, String)>,
    width: usize,
}

impl FrameRow {
    fn with(mut self, role: Role, text: impl Into<String>) -> Self {
        let text = text.into();
        self.width += columns(&text);
        self.pieces.push((role, text));
        self
    }
}

struct FrameBody {
    rows: Vec<FrameRow>,
    width: usize,
}

impl FrameBody {
    /// Adds a value to a row that has been started: on the row if the value is a leaf, else below it.
    fn value(&mut self, value: &Value, indent: usize, start: FrameRow) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                self.start(start);
                for (key, item) in fields {
                    let label = format!("{}: ", fit(&line(&key.plain()), self.width / 2));
                    let row = FrameRow::default().with(Role::Plain, spaces(indent));
                    self.value(item, indent + 2, row.with(Role::Key, label));
                }
            }
            Value::List(items) if !items.is_empty() => {
                self.start(start);
                let digits = items.len().to_string().len() + 2;
                for (index, item) in items.iter().enumerate() {
                    let label = format!("{:<digits$}", format!("{}.", index + 1));
                    let row = FrameRow::default().with(Role::Plain, spaces(indent));
                    self.value(item, indent + digits, row.with(Role::Faint, label));
                }
            }
            leaf => self.leaf(leaf, start),
        }
    }

    fn start(&mut self, row: FrameRow) {
        if row.width > 0 {
            self.rows.push(row);
        }
    }

    fn leaf(&mut self, value: &Value, start: FrameRow) {
        let (role, text) = words(value);
        let room = self.width.saturating_sub(start.width).max(MIN_TEXT_COLUMNS);
        let hang = start.width;
        let mut row = start;
        for part in text.split('\n') {
            let part = line(part);
            let mut rest = &*part;
            loop {
                let (taken, left) = split(rest, room);
                self.rows.push(row.with(role, taken));
                row = FrameRow::default().with(Role::Plain, spaces(hang));
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}

/// Returns a leaf as readable words.
pub fn words<'text>(value: &Value<'text>) -> (Role, Cow<'text, str>) {
    match value {
        Value::Null => (Role::Faint, Cow::Borrowed("null")),
        Value::Bool(true) => (Role::Bool, Cow::Borrowed("yes")),
        Value::Bool(false) => (Role::Bool, Cow::Borrowed("no")),
        Value::Number(digits) => (Role::Number, Cow::Borrowed(*digits)),
        Value::List(_) => (Role::Faint, Cow::Borrowed("(none)")),
        Value::Object(_) => (Role::Faint, Cow::Borrowed("(empty)")),
        Value::Text(text) => match text.plain() {
            text if text.is_empty() => (Role::Faint, Cow::Borrowed("(empty)")),
            text => (Role::Text, text),
        },
    }
}

fn frame(title: &str, rows: &[FrameRow], limit: usize, palette: Palette) -> String {
    let title = match title {
        "" => String::new(),
        title => format!(
            " {} ",
            fit(title, limit.saturating_sub(3).max(MIN_TEXT_COLUMNS))
        ),
    };
    let widest = rows.iter().map(|row| row.width).max().unwrap_or(0);
    let width = widest.max(columns(&title) + 1);
    let mut out = String::from("╭");
    if !title.is_empty() {
        out.push('─');
        palette.push(&mut out, Role::Heading, &title);
    }
    let used = if title.is_empty() {
        0
    } else {
        1 + columns(&title)
    };
    out.push_str(&"─".repeat(width + 2 - used));
    out.push_str("╮\n");
    for row in rows {
        out.push_str("│ ");
        for (role, text) in &row.pieces {
            palette.push(&mut out, *role, text);
        }
        out.push_str(&spaces(width - row.width));
        out.push_str(" │\n");
    }
    out.push('╰');
    out.push_str(&"─".repeat(width + 2));
    out.push_str("╯\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(text: &str, width: usize) -> String {
        framed(
            &Value::parse(text).unwrap(),
            width,
            Palette { is_on: false },
        )
    }

    #[test]
    fn every_kind_of_value_is_readable() {
        let text = r#"{"object":"role","name":"","ok":true,"no":false,"at":null,"n":1.50,"none":[],"empty":{},"list":["a",{"b":1}],"in":{"c":"d"}}"#;
        let expected = "\
╭─ role ─────────╮
│ object: role   │
│ name: (empty)  │
│ ok: yes        │
│ no: no         │
│ at: null       │
│ n: 1.50        │
│ none: (none)   │
│ empty: (empty) │
│ list:          │
│   1. a         │
│   2.           │
│      b: 1      │
│ in:            │
│   c: d         │
╰────────────────╯
";
        assert_eq!(boxed(text, 80), expected);
    }

    #[test]
    fn long_and_wide_texts_are_wrapped_and_lines_kept() {
        let expected = "\
╭─────────────────╮
│ a: 漢字漢字漢字 │
│    漢字         │
│ b: one          │
│    two\\u001b[2J │
╰─────────────────╯
";
        let text = r#"{"a":"漢字漢字漢字漢字","b":"one\ntwo\u001b[2J"}"#;
        assert_eq!(boxed(text, 20), expected);
    }

    #[test]
    fn frame_is_at_most_as_wide_as_terminal() {
        let text = format!(r#"{{"object":"{0}","id":"{0}"}}"#, "x".repeat(300));
        for width in [30, 80, 200] {
            let boxed = boxed(&text, width);
            assert!(boxed.lines().all(|line| columns(line) == width), "{boxed}");
        }
    }

    #[test]
    fn scalar_has_a_frame() {
        assert_eq!(boxed("7", 80), "╭───╮\n│ 7 │\n╰───╯\n");
    }
}
