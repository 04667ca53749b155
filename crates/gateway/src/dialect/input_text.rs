//! The text of a request as slices of its body, the files within it, and the number of its tokens.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use crate::tokens::{BYTES_PER_TOKEN, TokenCounter};

/// The tokens that an image, an audio file or a document within the text counts for.
pub(super) const DEFAULT_FILE_TOKENS: i64 = 1000;
/// The shortest string that is taken for a file; a shorter one is text.
const MIN_FILE_BYTES: usize = 1000;
/// The longest beginning of a `data:` URL, up to its content.
const MAX_PREFIX_BYTES: usize = 256;
/// The mark of a `data:` URL between its media type and its content.
const BASE64: &[u8] = b";base64,";
/// The usual bytes of base64 for a token of text: base64 makes four bytes of three.
const BASE64_BYTES_PER_TOKEN: usize = 5;

/// The ranges of a request's text in its body, and those of the files within the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputText {
    body: Bytes,
    ranges: Arc<[Range<usize>]>,
    files: Arc<InlineFiles>,
    /// The bytes of the text that are not files.
    length: usize,
}

impl InputText {
    pub(super) fn new(body: Bytes, ranges: Vec<Range<usize>>, files: InlineFiles) -> Self {
        let sum = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>();
        let length = sum(&ranges).saturating_sub(sum(&files.ranges));
        Self {
            body,
            ranges: ranges.into(),
            files: Arc::new(files),
            length,
        }
    }

    /// Returns the number of bytes that are kept in memory for the text.
    pub(super) fn kept_bytes(&self) -> usize {
        self.body.len()
    }

    /// Returns an upper bound of the tokens: one for each byte of text, and those of the files.
    pub(super) fn max_tokens(&self) -> i64 {
        let length = i64::try_from(self.length).unwrap_or(i64::MAX);
        length.saturating_add(self.files.tokens)
    }

    /// Returns the number of tokens that a text of this length has in most encodings, at least one.
    pub(super) fn approximate_tokens(&self) -> i64 {
        let tokens = self.length.div_ceil(BYTES_PER_TOKEN);
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        tokens.saturating_add(self.files.tokens).max(1)
    }

    /// Returns the number of tokens, at least one. Lists of tokens are counted by their commas, and a long text by samples.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        let mut others = self.files.tokens;
        let mut pieces = Vec::with_capacity(self.ranges.len() + self.files.ranges.len());
        let mut files = self.files.ranges.iter().peekable();
        for range in &*self.ranges {
            let field = &self.body[range.clone()];
            if is_list_of_tokens(field) {
                let commas = memchr::memchr_iter(b',', field).count();
                others += i64::try_from(commas + 1).unwrap_or(i64::MAX);
                continue;
            }
            let mut from = range.start;
            while let Some(file) = files.next_if(|file| file.end <= range.end) {
                pieces.push(&self.body[from.min(file.start)..file.start]);
                from = file.end;
            }
            pieces.push(&self.body[from..range.end]);
        }
        let mut text = TokenCounter::of(model);
        text.add_samples(&pieces);
        text.tokens().saturating_add(others).max(1)
    }
}

/// True for lists that hold nothing but numbers; any other list is text.
fn is_list_of_tokens(field: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"[], \t\r\n".contains(byte);
    field.starts_with(b"[") && field.iter().all(is_part) && field.iter().any(u8::is_ascii_digit)
}

/// The files within the text of a request, which are not tokenized.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct InlineFiles {
    ranges: Vec<Range<usize>>,
    /// The tokens that all files count for.
    tokens: i64,
}

/// A member that may hold a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileMember {
    /// A URL, which may be a `data:` URL.
    Url,
    /// Base64, or a `data:` URL.
    Content,
    /// Base64.
    Base64,
}

impl InlineFiles {
    /// Adds a file that is not in the body, which has only its URL or id.
    pub(super) fn add_remote(&mut self) {
        self.tokens = self.tokens.saturating_add(DEFAULT_FILE_TOKENS);
    }

    /// Adds the string `text` at `start` if it is a file or the URL of one.
    pub(super) fn add_string(&mut self, text: &[u8], start: usize, member: FileMember) {
        let prefix = &text[..text.len().min(MAX_PREFIX_BYTES)];
        let is_data_url = prefix.starts_with(b"data:");
        if member == FileMember::Url && !is_data_url && !text.is_empty() {
            // The URL itself counts as text, too.
            return self.add_remote();
        }
        if text.len() < MIN_FILE_BYTES || memmem::find(prefix, br"\u").is_some() {
            return;
        }
        let skipped = match memmem::find(prefix, BASE64) {
            Some(at) if is_data_url => at + BASE64.len(),
            None if !is_data_url => 0,
            _ => return,
        };
        let content = &text[skipped..];
        if !content.iter().all(|byte| is_base64(*byte)) {
            return;
        }
        let tokens = if is_data_url && is_text_type(prefix) {
            content.len().div_ceil(BASE64_BYTES_PER_TOKEN)
        } else {
            0
        };
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(tokens.max(DEFAULT_FILE_TOKENS));
        self.ranges.push(start + skipped..start + text.len());
    }

    /// Sorts the files by position. To be called once all are added.
    pub(super) fn sort(&mut self) {
        self.ranges.sort_unstable_by_key(|range| range.start);
    }
}

/// True if the media type of a `data:` URL is one whose content a model reads as text.
fn is_text_type(prefix: &[u8]) -> bool {
    let media_type = prefix[5..].iter().filter(|byte| **byte != b'\\');
    let media_type: Vec<u8> = media_type.map(u8::to_ascii_lowercase).collect();
    [&b"text/"[..], b"application/json", b"application/xml"]
        .iter()
        .any(|text| media_type.starts_with(text))
}

/// True for the characters of base64, and for the backslash of an escaped slash.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Dialect, Fields};
    use super::*;

    /// Returns the text of a chat completion.
    fn text(body: &str) -> InputText {
        let dialect = Dialect::at("/chat/completions").expect("an endpoint");
        let mut fields = Fields::of_json(body.as_bytes(), dialect.fields).expect(body);
        let view = std::mem::take(&mut fields.view);
        let body = Bytes::copy_from_slice(body.as_bytes());
        InputText::new(body, view.text, view.files)
    }

    fn count(body: &str) -> i64 {
        text(body).tokens("a model without a vocabulary")
    }

    #[test]
    fn lists_of_tokens_are_counted_and_text_is_estimated() {
        for (input, tokens) in [
            ("\"12345678\"", 3),
            ("[\"1\", \"2\"]", 3),
            ("[1,2,3]", 3),
            ("[ [1,2] , [3] ]", 3),
            ("[]", 1),
            ("null", 1),
            ("7", 1),
            ("[1,\"2345678901\"]", 4),
        ] {
            let body = format!("{{\"messages\":{input}}}");
            assert_eq!(count(&body), tokens, "{input}");
        }
        assert_eq!(count("{}"), 1);
    }

    #[test]
    fn s11_every_member_that_a_model_may_read_counts() {
        let text = "four ".repeat(100);
        let nothing = count(r#"{"model":"m","user":"me","temperature":0.5}"#);
        assert_eq!(nothing, 1);
        for member in [
            "messages",
            "tools",
            "functions",
            "response_format",
            "prediction",
            "instructions",
            "suffix",
            "text",
            "user",
            "anything",
        ] {
            let body = format!(r#"{{"model":"m","{member}":{{"x":"{text}"}}}}"#);
            assert!(count(&body) >= 125, "{member}");
            let body = format!(r#"{{"model":"m","{member}":"{text}"}}"#);
            assert!(count(&body) >= 125, "{member}");
        }
    }

    #[test]
    fn files_within_the_text_are_not_tokenized() {
        let file = "iVBORw0KGgo".repeat(1000);
        for text in [
            format!(r#"[{{"image_url":{{"url":"data:image/png;base64,{file}"}}}}]"#),
            format!(r#"[{{"type":"input_image","image_url":"data:image\/png;base64,{file}"}}]"#),
            format!(r#"[{{"input_audio":{{"data": "{file}","format":"wav"}}}}]"#),
            format!(r#"[{{"type":"input_file","file_data":"{file}"}}]"#),
            format!(r#"[{{"result":"{file}","type":"image_generation_call"}}]"#),
        ] {
            let rest = i64::try_from((text.len() - file.len()).div_ceil(4)).expect("few");
            let body = format!("{{\"messages\":{text}}}");
            let counted = count(&body) - DEFAULT_FILE_TOKENS;
            assert!((rest..=rest + 1).contains(&counted), "{counted} for {rest}");
            let twice = count(&format!("{{\"messages\":{text},\"tools\":{text}}}"));
            assert!(
                (2 * DEFAULT_FILE_TOKENS..3 * DEFAULT_FILE_TOKENS).contains(&twice),
                "{twice}"
            );
        }
    }

    #[test]
    fn s11_text_that_looks_like_a_file_counts_as_text() {
        let (prose, letters) = ("four ".repeat(1000), "x".repeat(5000));
        for text in [
            format!(r#"{{"data":"{prose}"}}"#),
            format!(r#"{{"data":"{letters}"}}"#),
            format!(r#"{{"content":"data:image/png;base64,{letters}"}}"#),
            format!(r#"{{"text":";base64,{letters}"}}"#),
            format!(r#"{{"image_url":{{"url":"data:image/png;base64,{prose}"}}}}"#),
            format!(r#"{{"result":"{letters}","type":"program_output"}}"#),
            format!(r#"{{"input_audio":{{"data":"{prose}"}}}}"#),
        ] {
            let counted = count(&format!("{{\"messages\":[{text}]}}"));
            assert!(
                counted > DEFAULT_FILE_TOKENS + 200,
                "{counted}: {}",
                &text[..40]
            );
        }
        let encoded = format!(
            r#"{{"file_data":"data:text/plain;base64,{}"}}"#,
            "QUJD".repeat(10_000)
        );
        assert!(count(&format!("{{\"messages\":[{encoded}]}}")) > 7_500);
    }

    #[test]
    fn s11_remote_file_counts_like_an_inline_one() {
        for part in [
            r#"{"type":"image_url","image_url":{"url":"https://h/a.png"}}"#,
            r#"{"type":"input_image","image_url":"https://h/a.png"}"#,
            r#"{"type":"input_file","file_url":"https://h/a.pdf"}"#,
            r#"{"type":"input_file","file_id":"file-1"}"#,
        ] {
            let counted = count(&format!(r#"{{"messages":[{part},{part}]}}"#));
            assert!(
                (2 * DEFAULT_FILE_TOKENS..2 * DEFAULT_FILE_TOKENS + 50).contains(&counted),
                "{part}"
            );
        }
        let source = r#"{"type":"url","url":"https://h/a.html"}"#;
        assert!(count(&format!(r#"{{"messages":[{source}]}}"#)) < 50);
    }

    #[test]
    fn s10_long_text_of_file_marks_is_scanned_once() {
        let watch = base::time::Stopwatch::start();
        let marks = ";base64,".repeat(1024 * 1024);
        for text in [
            format!(r#"[{{"content":"{marks}"}}]"#),
            format!(r#"[{{"image_url":{{"url":"data:image/png{marks}"}}}}]"#),
            format!(r#"[{}]"#, r#"{"data":"","x":1},"#.repeat(100_000) + "1"),
        ] {
            let body = format!(r#"{{"messages":{text}}}"#);
            assert!(count(&body) > DEFAULT_FILE_TOKENS);
        }
        // A scan to the end of the text at each mark would take five minutes for these eight mebibytes.
        assert!(watch.elapsed() < Duration::from_secs(30));
    }
}
