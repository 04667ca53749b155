//! Characters on a terminal: which ones would drive it, and how many columns a text takes.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Whether a terminal only draws the character: it is no control character, and does not turn the direction of others.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with characters that are not wanted written like in JSON: `\n`, `\u001b`.
fn escape(text: &str, is_wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&is_wanted) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if is_wanted(c) => escaped.push(c),
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

/// One line of text for a terminal. A JSON string in its quotes still says the same.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_harmless)
}

/// Lines of text for a terminal.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t') || is_harmless(c))
}

/// The columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The longest start of a text that takes at most so many columns, but never nothing; and the rest.
pub fn split(text: &str, width: usize) -> (&str, &str) {
    let mut taken = 0;
    let end = text.char_indices().find(|(start, c)| {
        taken += c.width().unwrap_or(0);
        *start > 0 && taken > width
    });
    text.split_at(end.map_or(text.len(), |(end, _)| end))
}

/// The text if it fits, else its start and `…`.
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

/// So many spaces.
pub fn spaces(count: usize) -> String {
    " ".repeat(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_escaped() {
        assert_eq!(
            line("\u{1b}[2J\u{9b}1m\u{7f}\r\n\t"),
            r"\u001b[2J\u009b1m\u007f\r\n\t"
        );
        assert_eq!(line("a\u{202e}b"), r"a\u202eb");
        assert_eq!(line("Zoë 漢字 👩‍💻"), "Zoë 漢字 👩‍💻");
    }

    #[test]
    fn texts_fit_by_columns() {
        assert_eq!(fit("漢字漢字", 8), "漢字漢字");
        assert_eq!(fit("漢字漢字", 7), "漢字漢…");
        assert_eq!(fit("漢字漢字", 6), "漢字…");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("漢字", 2), "…");
        assert_eq!(split("abc", 0), ("a", "bc"));
        assert_eq!(split("", 3), ("", ""));
    }
}
