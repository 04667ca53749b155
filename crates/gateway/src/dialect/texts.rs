//! The text of a request, where it stands in its body, and how many tokens it has.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::files::Files;
use crate::tokens::Counter;

/// The places of a request's text in its body, and of the files within the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    body: Bytes,
    places: Arc<[Range<usize>]>,
    files: Arc<Files>,
    /// The bytes of the text that are not files.
    length: usize,
}

impl Texts {
    pub(super) fn new(body: Bytes, places: Vec<Range<usize>>, files: Files) -> Self {
        let sum = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>();
        let length = sum(&places).saturating_sub(sum(&files.places));
        Self {
            body,
            places: places.into(),
            files: Arc::new(files),
            length,
        }
    }

    /// Returns the number of bytes that are kept for the text.
    pub(super) fn kept(&self) -> usize {
        self.body.len()
    }

    /// Returns the most tokens of the text: one for each byte.
    pub(super) fn length(&self) -> i64 {
        let length = i64::try_from(self.length).unwrap_or(i64::MAX);
        length.saturating_add(self.files.tokens)
    }

    /// Counts the tokens of the text as written, or of its lists of tokens; at least one. Of a long text samples are
    /// counted.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        let mut others = self.files.tokens;
        let mut pieces = Vec::with_capacity(self.places.len() + self.files.places.len());
        let mut files = self.files.places.iter().peekable();
        for place in &*self.places {
            let field = &self.body[place.clone()];
            if is_list_of_tokens(field) {
                let commas = memchr::memchr_iter(b',', field).count();
                others += i64::try_from(commas + 1).unwrap_or(i64::MAX);
                continue;
            }
            let mut from = place.start;
            while let Some(file) = files.next_if(|file| file.end <= place.end) {
                pieces.push(&self.body[from.min(file.start)..file.start]);
                from = file.end;
            }
            pieces.push(&self.body[from..place.end]);
        }
        let mut text = Counter::of(model);
        text.add_samples(&pieces);
        text.tokens().saturating_add(others).max(1)
    }
}

/// True for lists of numbers alone: what holds anything else is text.
fn is_list_of_tokens(field: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"[], \t\r\n".contains(byte);
    field.starts_with(b"[") && field.iter().all(is_part) && field.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::files::FILE_TOKENS;
    use super::super::{Dialect, Fields};
    use super::*;

    /// The texts of a body.
    fn texts(body: &str) -> Texts {
        let dialect = Dialect::at("/chat/completions").expect("an endpoint");
        let mut fields = Fields::of_json(body.as_bytes(), dialect.fields).expect(body);
        let view = std::mem::take(&mut fields.view);
        let body = Bytes::copy_from_slice(body.as_bytes());
        Texts::new(body, view.texts, view.files)
    }

    fn count(body: &str) -> i64 {
        texts(body).tokens("no model that is known")
    }

    #[test]
    fn tokens_are_counted_and_text_is_estimated() {
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
    fn s11_whatever_a_model_may_read_counts() {
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
    fn files_within_the_text_are_no_text() {
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
            let counted = count(&body) - FILE_TOKENS;
            assert!((rest..=rest + 1).contains(&counted), "{counted} for {rest}");
            let twice = count(&format!("{{\"messages\":{text},\"tools\":{text}}}"));
            assert!(
                (2 * FILE_TOKENS..3 * FILE_TOKENS).contains(&twice),
                "{twice}"
            );
        }
    }

    #[test]
    fn s11_text_that_looks_like_a_file_is_text() {
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
            assert!(counted > FILE_TOKENS + 200, "{counted}: {}", &text[..40]);
        }
        let encoded = format!(
            r#"{{"file_data":"data:text/plain;base64,{}"}}"#,
            "QUJD".repeat(10_000)
        );
        assert!(count(&format!("{{\"messages\":[{encoded}]}}")) > 7_500);
    }

    #[test]
    fn s11_a_file_that_is_elsewhere_counts_as_one_that_is_here() {
        for part in [
            r#"{"type":"image_url","image_url":{"url":"https://h/a.png"}}"#,
            r#"{"type":"input_image","image_url":"https://h/a.png"}"#,
            r#"{"type":"input_file","file_url":"https://h/a.pdf"}"#,
            r#"{"type":"input_file","file_id":"file-1"}"#,
        ] {
            let counted = count(&format!(r#"{{"messages":[{part},{part}]}}"#));
            assert!(
                (2 * FILE_TOKENS..2 * FILE_TOKENS + 50).contains(&counted),
                "{part}"
            );
        }
        let source = r#"{"type":"url","url":"https://h/a.html"}"#;
        assert!(count(&format!(r#"{{"messages":[{source}]}}"#)) < 50);
    }

    #[test]
    fn s10_marks_of_files_are_passed_over_once() {
        let watch = base::time::Stopwatch::start();
        let marks = ";base64,".repeat(1024 * 1024);
        for text in [
            format!(r#"[{{"content":"{marks}"}}]"#),
            format!(r#"[{{"image_url":{{"url":"data:image/png{marks}"}}}}]"#),
            format!(r#"[{}]"#, r#"{"data":"","x":1},"#.repeat(100_000) + "1"),
        ] {
            let body = format!(r#"{{"messages":{text}}}"#);
            assert!(count(&body) > FILE_TOKENS);
        }
        // Looking for the end of the text at each mark took five seconds for a mebibyte, and five minutes for these eight.
        assert!(watch.elapsed() < Duration::from_secs(30));
    }
}
