//! Characters on a terminal: the escaping of those that control it, and the columns that a text takes.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Returns true if a terminal only draws the character: it neither controls the terminal nor changes the direction of text.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the text with all characters but the allowed ones escaped as in JSON: `\n`, `\u001b`.
fn escape(text: &str, is_allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&is_allowed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if is_allowed(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c => push_escape(&mut escaped, c),
        }
    }
    Cow::Owned(escaped)
}

fn push_escape(text: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
}

/// Returns one line of text for a terminal. A JSON string in its quotes keeps its value.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_harmless)
}

/// Returns lines of text for a terminal.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t') || is_harmless(c))
}

/// Returns the number of columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Splits a text at the largest prefix of at most `width` columns; the prefix has at least one character.
pub fn split(text: &str, width: usize) -> (&str, &str) {
    let mut taken = 0;
    let end = text.char_indices().find(|(start, c)| {
        taken += c.width().unwrap_or(0);
        *start > 0 && taken > width
    });
    text.split_at(end.map_or(text.len(), |(end, _)| end))
}

/// Returns the text if it fits into `width` columns, else its start and `…`.
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let (start, _) = split(text, room);
    if columns(start) > room {
        return Cow::Borrowed("…");
    }
    Cow::Owned(format!("{start}…"))
}

/// Returns `count` spaces.
pub fn spaces(count: usize) -> String {
    " ".repeat(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            line("\u{1b}[2J\u{9b}1m\u{7f}\r\n\t"),
            r"\u001b[2J\u009b1m\u007f\r\n\t"
        );
        assert_eq!(line("a\u{202e}b"), r"a\u202eb");
        assert_eq!(line("Zoë 漢字 👩‍💻"), "Zoë 漢字 👩‍💻");
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(fit("漢字漢字", 8), "漢字漢字");
        assert_eq!(fit("漢字漢字", 7), "漢字漢…");
        assert_eq!(fit("漢字漢字", 6), "漢字…");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("漢字", 2), "…");
        assert_eq!(split("abc", 0), ("a", "bc"));
        assert_eq!(split("", 3), ("", ""));
    }
}
