//! A short text of an answer, kept without an allocation.

const MAX_BYTES: usize = 64;

/// A text of at most 64 bytes of printable ASCII without escapes. Any other text counts as empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ShortText {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl Default for ShortText {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_BYTES],
            length: 0,
        }
    }
}

impl ShortText {
    /// Returns a text.
    pub(crate) fn of(text: &str) -> Self {
        let mut short = Self::default();
        short.push(text.as_bytes());
        short
    }

    /// Adds a part of the text.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
        let end = self.length + part.len();
        match self.bytes.get_mut(self.length..end) {
            Some(room) if part.iter().all(is_plain) => {
                room.copy_from_slice(part);
                self.length = end;
            }
            _ => self.length = MAX_BYTES + 1,
        }
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// True if nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the text unless it is empty.
    pub(crate) fn to_owned(self) -> Option<String> {
        Some(self.as_str().to_owned()).filter(|text| !text.is_empty())
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_long_or_not_plain_counts_as_empty() {
        for (parts, expected) in [
            (vec!["resp", "onse"], "response"),
            (vec![], ""),
            (vec!["a\\u0000"], ""),
            (vec!["\u{e9}"], ""),
            (vec!["x".repeat(64).leak() as &str], "x".repeat(64).leak()),
            (vec!["x".repeat(64).leak() as &str, "x"], ""),
            (vec!["x".repeat(65).leak() as &str, "x"], ""),
        ] {
            let mut text = ShortText::default();
            for part in parts {
                text.push(part.as_bytes());
            }
            assert_eq!(text.as_str(), expected);
        }
    }
}
