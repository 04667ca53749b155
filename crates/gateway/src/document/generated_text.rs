//! The generated text of an answer, from which its tokens are estimated if no usage is reported.

use crate::tokens::TokenCounter;

/// The longest beginning of a text that is kept to be tokenized. The tokens of the rest are extrapolated.
const MAX_KEPT_BYTES: usize = 4 * 1024;
/// The mark before the comma and the content of a `data:` URL, as in `data:image/png;base64,iVBOR…`.
const BASE64: [u8; 7] = *b";base64";

/// Generated text with its JSON escapes: its length and its beginning. Base64 files in `data:` URLs are left out.
#[derive(Default)]
pub(crate) struct GeneratedText {
    /// The length in bytes.
    pub(crate) length: usize,
    beginning: Vec<u8>,
    /// The last bytes that were added.
    last: [u8; BASE64.len()],
    /// True within a base64 file.
    is_in_file: bool,
}

impl GeneratedText {
    /// Adds a part of a string.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let mut rest = part;
        while !rest.is_empty() {
            if self.is_in_file {
                let is_file = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
                let end = rest.iter().position(|byte| !is_file(byte));
                rest = &rest[end.unwrap_or(rest.len())..];
                self.is_in_file = end.is_none();
                continue;
            }
            let end = memchr::memchr(b',', rest).map_or(rest.len(), |comma| comma + 1);
            let (text, others) = rest.split_at(end);
            self.add(text);
            rest = others;
        }
    }

    fn add(&mut self, text: &[u8]) {
        let room = MAX_KEPT_BYTES - self.beginning.len();
        self.beginning
            .extend_from_slice(&text[..text.len().min(room)]);
        self.length += text.len();
        match text.split_last() {
            Some((b',', before)) => {
                self.remember(before);
                self.is_in_file = self.last == BASE64;
            }
            _ => self.remember(text),
        }
    }

    fn remember(&mut self, text: &[u8]) {
        let new = text.len().min(self.last.len());
        self.last.rotate_left(new);
        let at = self.last.len() - new;
        self.last[at..].copy_from_slice(&text[text.len() - new..]);
    }

    /// Ends a string: a `data:` URL does not go on in the next one.
    pub(crate) fn end(&mut self) {
        self.last = Default::default();
        self.is_in_file = false;
    }

    /// Removes everything after the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = length;
        self.beginning.truncate(length);
        self.end();
    }

    /// Returns the estimated number of tokens, at least one.
    pub(crate) fn tokens(&self, model: &str) -> i64 {
        let mut counter = TokenCounter::of(model);
        counter.add(&self.beginning);
        counter.extrapolate(self.length - self.beginning.len());
        counter.tokens().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_file_is_left_out_wherever_the_text_is_cut() {
        let text =
            b"see ![it](data:image/png;base64,iVBORw0KGgo+/=AAAA), or base64, as it is called";
        let left = b"see ![it](data:image/png;base64,), or base64, as it is called";
        for cut in 0..=text.len() {
            let mut read = GeneratedText::default();
            read.push(&text[..cut]);
            read.push(&text[cut..]);
            assert_eq!(read.beginning, left, "cut at {cut}");
            assert_eq!(read.length, left.len());
        }
    }

    #[test]
    fn truncated_text_does_not_count() {
        let mut text = GeneratedText::default();
        text.push(b"kept");
        text.push(&[b'x'; 2 * MAX_KEPT_BYTES]);
        text.truncate(4);
        assert_eq!((text.length, &*text.beginning), (4, &b"kept"[..]));
        text.push(b"!");
        assert_eq!((text.length, &*text.beginning), (5, &b"kept!"[..]));
    }
}
