//! What a request asks for, as far as it shows before there is an answer.

use std::ops::Range;
use std::sync::LazyLock;

use access::LimitField;
use bytes::Bytes;
use memchr::memmem::Finder;
use usage::Kind;

use super::Fields;
use super::tally::values;
use crate::limits::{Amounts, Wanted};
use crate::tokens::Counter;

/// How many fields of a request can be text.
pub(super) const MAX_TEXTS: usize = 3;
/// Text is not counted before it is forwarded if all of it is less than this part of a limit.
const AMPLE: i64 = 1000;
/// The longest body that is kept until its answer has come, in bytes.
const MAX_KEPT: usize = 64 * 1024;
/// How many tokens an answer is assumed to have when nobody says how many it may have.
const ASSUMED_OUTPUT: i64 = 1024;
/// How many tokens an image, a sound or a document is taken for that comes within the text.
const FILE_TOKENS: i64 = 1000;
/// What is shorter is text, in bytes.
const SHORTEST_FILE: usize = 1000;
/// A megabyte of sound, in bytes.
const MEGABYTE: usize = 1_000_000;

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) input: Input,
    pub(super) output: Output,
    /// How many images, characters or seconds it is about.
    pub(super) units: i64,
    /// The most seconds of sound that come with it.
    pub(super) max_seconds: i64,
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

/// Where the text of a request stands in its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(super) body: Bytes,
    pub(super) places: [Range<usize>; MAX_TEXTS],
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
    fn length(&self) -> i64 {
        let length: usize = self.places.iter().map(Range::len).sum();
        i64::try_from(length).unwrap_or(i64::MAX)
    }

    pub(super) fn tokens(&self, model: &str) -> i64 {
        let texts = self.places.iter().cloned().map(|place| &self.body[place]);
        tokens(Counter::of(model), texts)
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

/// How many tokens these fields of a body have, as they are written there: text, or lists of tokens; at least one.
fn tokens<'a>(mut text: Counter, fields: impl Iterator<Item = &'a [u8]>) -> i64 {
    let mut others = 0;
    for field in fields {
        if is_list_of_tokens(field) {
            let commas = memchr::memchr_iter(b',', field).count();
            others += i64::try_from(commas + 1).unwrap_or(i64::MAX);
            continue;
        }
        let mut from = 0;
        for (start, end) in files(field) {
            if start >= from {
                text.add(&field[from..start]);
                others += FILE_TOKENS;
                from = end;
            }
        }
        text.add(&field[from..]);
    }
    text.tokens().saturating_add(others).max(1)
}

fn is_list_of_tokens(field: &[u8]) -> bool {
    let first = field
        .iter()
        .find(|byte| !matches!(byte, b'[' | b' ' | b'\t' | b'\r' | b'\n'));
    field.starts_with(b"[") && first.is_some_and(u8::is_ascii_digit)
}

static BASE64: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));
static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""data""#));

/// Where files stand within a text, in order: after `;base64,` and, where sound is, in `data`.
fn files(text: &[u8]) -> Vec<(usize, usize)> {
    if text.len() < SHORTEST_FILE {
        return Vec::new();
    }
    let named = BASE64.find_iter(text).map(|at| at + BASE64.needle().len());
    let plain = values(&DATA, text).filter(|value| value.starts_with(b"\""));
    let plain = plain.map(|value| text.len() - value.len() + 1);
    let file = |start: usize| {
        let length = memchr::memchr(b'"', &text[start..])?;
        let is_file = length >= SHORTEST_FILE && !text[start..start + length].contains(&b' ');
        is_file.then_some((start, start + length))
    };
    let mut files: Vec<(usize, usize)> = named.chain(plain).filter_map(file).collect();
    files.sort_unstable();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(texts: &[&str]) -> i64 {
        let texts = texts.iter().map(|text| text.as_bytes());
        tokens(Counter::of("no model that is known"), texts)
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
            ("", 1),
        ] {
            assert_eq!(count(&[input]), tokens, "{input}");
        }
        assert_eq!(count(&["12345678", "1234"]), 3);
    }

    #[test]
    fn files_within_the_text_are_no_text() {
        let file = "iVBORw0KGgo".repeat(1000);
        for text in [
            format!(r#"[{{"image_url":{{"url":"data:image/png;base64,{file}"}}}}]"#),
            format!(r#"[{{"input_audio":{{"data": "{file}","format":"wav"}}}}]"#),
        ] {
            let rest = i64::try_from((text.len() - file.len()).div_ceil(4)).expect("few");
            let counted = count(&[&text]) - FILE_TOKENS;
            assert!((rest..=rest + 1).contains(&counted), "{counted} for {rest}");
            let twice = count(&[&format!("{text}{text}")]);
            assert!(
                (2 * FILE_TOKENS..3 * FILE_TOKENS).contains(&twice),
                "{twice}"
            );
        }
        let prose = format!(r#"{{"data":"{}"}}"#, "four ".repeat(1000));
        assert!(count(&[&prose]) > FILE_TOKENS);
    }

    #[test]
    fn text_that_is_little_is_counted_only_when_nobody_reports() {
        let texts = |length: usize| Texts {
            body: Bytes::from(vec![b'x'; length]),
            places: [0..length / 2, 0..0, length / 2..length],
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
