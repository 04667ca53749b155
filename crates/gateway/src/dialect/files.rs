//! Files that stand within the text of a request: no tokens of text are counted for them.

use std::ops::Range;

use memchr::memmem;

/// The tokens that an image, a sound or a document within the text is taken for.
pub(super) const FILE_TOKENS: i64 = 1000;
/// The length in bytes from which a string can be a file; a shorter one is text.
const MIN_FILE_BYTES: usize = 1000;
/// The longest beginning of a `data:` URL, up to its content, in bytes.
const MAX_PREFIX_BYTES: usize = 256;
/// The mark of a `data:` URL between its media type and its content.
const BASE64: &[u8] = b";base64,";
/// A token of text has about so many bytes, of which base64 makes four for each three.
const BASE64_BYTES_PER_TOKEN: usize = 5;

/// The places of files, and the tokens that they are taken for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) places: Vec<Range<usize>>,
    pub(super) tokens: i64,
}

/// The kind of a member that may hold a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// An address, or a `data:` URL.
    Link,
    /// The content, or a `data:` URL.
    Content,
    /// The content.
    Data,
}

impl Files {
    /// Takes note of a file that is not in the body: only its address, or its id.
    pub(super) fn add_elsewhere(&mut self) {
        self.tokens = self.tokens.saturating_add(FILE_TOKENS);
    }

    /// Takes note of a string that stands at `start`, if it is a file or tells where one is.
    pub(super) fn look_at(&mut self, text: &[u8], start: usize, holder: Holder) {
        let prefix = &text[..text.len().min(MAX_PREFIX_BYTES)];
        let is_url = prefix.starts_with(b"data:");
        if holder == Holder::Link && !is_url && !text.is_empty() {
            // What stands there counts as text, too.
            return self.add_elsewhere();
        }
        if text.len() < MIN_FILE_BYTES || memmem::find(prefix, br"\u").is_some() {
            return;
        }
        let skipped = match memmem::find(prefix, BASE64) {
            Some(at) if is_url => at + BASE64.len(),
            None if !is_url => 0,
            _ => return,
        };
        let content = &text[skipped..];
        if !content.iter().all(|byte| is_base64(*byte)) {
            return;
        }
        let tokens = if is_url && is_text(prefix) {
            content.len().div_ceil(BASE64_BYTES_PER_TOKEN)
        } else {
            0
        };
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(tokens.max(FILE_TOKENS));
        self.places.push(start + skipped..start + text.len());
    }

    /// Sorts the places.
    pub(super) fn sort(&mut self) {
        self.places.sort_unstable_by_key(|place| place.start);
    }
}

/// True if a media type is that of text, which a model reads as such.
fn is_text(prefix: &[u8]) -> bool {
    let kind = prefix[5..].iter().filter(|byte| **byte != b'\\');
    let kind: Vec<u8> = kind.map(u8::to_ascii_lowercase).collect();
    [&b"text/"[..], b"application/json", b"application/xml"]
        .iter()
        .any(|text| kind.starts_with(text))
}

/// True for the letters of base64, and for what may stand between them in JSON: escapes.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\')
}
