//! A short text of an answer, kept without an allocation.

/// The longest text, in bytes.
const MAX_LENGTH: usize = 64;

/// A short text. One that is longer than 64 bytes, or has escapes, control characters or letters beyond ASCII, is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl Default for Word {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_LENGTH],
            length: 0,
        }
    }
}

impl Word {
    /// Adds a part of the text.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
        let end = self.length + part.len();
        match self.bytes.get_mut(self.length..end) {
            Some(room) if part.iter().all(is_plain) => {
                room.copy_from_slice(part);
                self.length = end;
            }
            _ => self.length = MAX_LENGTH + 1,
        }
    }

    /// Returns the text; an empty one if there is none.
    pub(crate) fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// True if nothing was added to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the text in its own memory, if there is any.
    pub(crate) fn to_owned(self) -> Option<String> {
        Some(self.text().to_owned()).filter(|text| !text.is_empty())
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_is_empty() {
        for (parts, text) in [
            (vec!["resp", "onse"], "response"),
            (vec![], ""),
            (vec!["a\\u0000"], ""),
            (vec!["\u{e9}"], ""),
            (vec!["x".repeat(64).leak() as &str], "x".repeat(64).leak()),
            (vec!["x".repeat(64).leak() as &str, "x"], ""),
            (vec!["x".repeat(65).leak() as &str, "x"], ""),
        ] {
            let mut word = Word::default();
            for part in parts {
                word.push(part.as_bytes());
            }
            assert_eq!(word.text(), text);
        }
    }
}
