//! What a request asks for, as far as it shows before there is an answer.

use std::ops::Range;
use std::sync::Arc;

use access::LimitField;
use bytes::Bytes;
use usage::Kind;

use super::Fields;
use super::files::Files;
use crate::limits::{Amounts, Wanted};
use crate::tokens::Counter;

/// Text is not counted before it is forwarded if all of it is less than this part of a limit.
const AMPLE: i64 = 1000;
/// The longest body that is kept until its answer has come, in bytes.
const MAX_KEPT: usize = 64 * 1024;
/// How many tokens an answer is assumed to have when nobody says how many it may have.
const ASSUMED_OUTPUT: i64 = 1024;
/// A megabyte of sound, in bytes.
const MEGABYTE: usize = 1_000_000;

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) input: Input,
    pub(super) output: Output,
    /// How many images, characters or seconds it is about.
    pub(super) units: i64,
    /// How many megabytes of sound come with it.
    pub(super) audio_megabytes: i64,
    /// The size of the images.
    pub(super) size: Option<Box<str>>,
}

/// What a model reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// So many tokens.
    Counted(i64),
    /// Text that is counted only if its model server does not say how many tokens it had, for that takes longer than all
    /// else. Each of its bytes stands for a token until then.
    Kept(Box<Texts>),
}

/// Where the text of a request stands in its body, and the files within the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    body: Bytes,
    places: Arc<[Range<usize>]>,
    files: Arc<Files>,
    /// How many bytes of it are not files.
    length: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self::Counted(0)
    }
}

impl Input {
    /// Counts these texts as `model` does, where the most tokens that may pass is not so far away that it does not matter.
    pub(super) fn new(texts: Texts, model: &str, most: Option<i64>) -> Self {
        let is_little = most.is_none_or(|most| texts.length() <= most / AMPLE);
        if is_little && texts.body.len() <= MAX_KEPT {
            Self::Kept(Box::new(texts))
        } else {
            Self::Counted(texts.tokens(model))
        }
    }

    /// How many tokens it has.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        match self {
            Self::Counted(tokens) => *tokens,
            Self::Kept(texts) => texts.tokens(model),
        }
    }

    /// How many tokens it has at most, as far as is known.
    pub(super) fn most(&self) -> i64 {
        match self {
            Self::Counted(tokens) => *tokens,
            Self::Kept(texts) => texts.length(),
        }
    }
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

    /// How many tokens it has at most: one for each byte of text.
    fn length(&self) -> i64 {
        let length = i64::try_from(self.length).unwrap_or(i64::MAX);
        length.saturating_add(self.files.tokens)
    }

    /// How many tokens it has, as it is written: text, or lists of tokens; at least one.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        let mut text = Counter::of(model);
        let mut others = self.files.tokens;
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
                text.add(&self.body[from.min(file.start)..file.start]);
                from = file.end;
            }
            text.add(&self.body[from..place.end]);
        }
        text.tokens().saturating_add(others).max(1)
    }
}

/// How many tokens the answer may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    /// It is not text.
    #[default]
    Uncounted,
    /// So many were asked for.
    Requested(i64),
    /// Nobody said.
    Assumed(i64),
}

impl Output {
    pub(super) fn tokens(self) -> i64 {
        match self {
            Self::Uncounted => 0,
            Self::Requested(tokens) | Self::Assumed(tokens) => tokens,
        }
    }

    /// Of so many answers with at most so many tokens each, if that was said.
    pub(super) fn of(most: Option<i64>, answers: Option<i64>) -> Self {
        let answers = answers.unwrap_or(1);
        match most {
            Some(most) => Self::Requested(most.saturating_mul(answers)),
            None => Self::Assumed(ASSUMED_OUTPUT.saturating_mul(answers)),
        }
    }
}

impl Demand {
    /// So many tokens of input.
    pub(crate) fn of_input(tokens: i64) -> Self {
        Self {
            input: Input::Counted(tokens),
            ..Self::default()
        }
    }

    /// Text, and text in return.
    pub(super) fn of_output(output: Output) -> Self {
        Self {
            output,
            ..Self::default()
        }
    }

    /// Counts a file of sound.
    pub(super) fn with_audio(self, fields: &Fields<'_>) -> Self {
        let megabytes = fields.length("file").div_ceil(MEGABYTE);
        Self {
            audio_megabytes: i64::try_from(megabytes).unwrap_or(i64::MAX),
            ..self
        }
    }

    /// What it takes of the limits, at an endpoint of this kind.
    pub(crate) fn wanted(&self, kind: Kind) -> Wanted {
        let output = self.output.tokens();
        let assumed_tokens = match self.output {
            Output::Assumed(tokens) => tokens,
            _ => 0,
        };
        let tokens = self.input.most().max(1).saturating_add(output);
        let mut amounts = Amounts::default()
            .with_requests(1)
            .with(LimitField::TokensPerMinute, tokens)
            .with(LimitField::AudioMegabytesPerMinute, self.audio_megabytes);
        if kind == Kind::Images {
            amounts.set(LimitField::ImagesPerMinute, self.units);
        }
        Wanted {
            amounts,
            assumed_tokens,
        }
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

    use super::super::Dialect;
    use super::super::files::FILE_TOKENS;
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
    fn s10_marks_of_files_are_passed_over_once() {
        let watch = std::time::Instant::now();
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

    #[test]
    fn text_that_is_little_is_counted_only_when_nobody_reports() {
        let texts = |length: usize| {
            let places = vec![0..length / 2, length / 2..length];
            Texts::new(Bytes::from(vec![b'x'; length]), places, Files::default())
        };
        let most = |length, limit| Input::new(texts(length), "m", limit).most();
        assert_eq!(most(400, Some(400_000)), 400);
        assert_eq!(most(400, Some(399_999)), 100);
        assert_eq!(most(400, None), 400);
        assert_eq!(most(MAX_KEPT + 4, None), 16_385);
        assert_eq!(Input::new(texts(400), "m", None).tokens("m"), 100);
    }

    #[test]
    fn what_an_answer_may_have_is_reserved() {
        let wanted = |output| {
            let demand = Demand {
                input: Input::Counted(10),
                ..Demand::of_output(output)
            };
            let wanted = demand.wanted(Kind::Completions);
            let tokens = wanted.amounts.get(LimitField::TokensPerMinute);
            (tokens.expect("tokens"), wanted.assumed_tokens)
        };
        assert_eq!(wanted(Output::Uncounted), (10, 0));
        assert_eq!(wanted(Output::of(Some(5), Some(3))), (25, 0));
        assert_eq!(wanted(Output::of(None, Some(2))), (2058, 2048));
        let endless = Output::of(Some(i64::MAX), Some(i64::MAX));
        assert!(wanted(endless).0 > 1_000_000_000);
    }

    #[test]
    fn each_kind_takes_of_its_own_limits() {
        let demand = Demand {
            units: 4,
            audio_megabytes: 2,
            ..Demand::default()
        };
        for (kind, images) in [(Kind::Images, Some(4)), (Kind::AudioSpeeches, None)] {
            let amounts = demand.wanted(kind).amounts;
            assert_eq!(amounts.get(LimitField::ImagesPerMinute), images);
            assert_eq!(amounts.get(LimitField::AudioMegabytesPerMinute), Some(2));
            assert_eq!(amounts.get(LimitField::TokensPerMinute), Some(1));
            assert_eq!(amounts.get(LimitField::RequestsPerDay), Some(1));
        }
    }
}
