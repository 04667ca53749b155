//! What a request asks for, as far as it shows before there is an answer.

use access::LimitField;
use usage::Kind;

use super::Fields;
use super::texts::Texts;
use crate::limits::{Amounts, Wanted};

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
    /// The most seconds of sound that come with it.
    pub(super) max_seconds: i64,
    /// How many megabytes of sound come with it.
    pub(super) audio_megabytes: i64,
    /// The size of the images.
    pub(super) size: Option<Box<str>>,
    /// True if the answer is to come as a stream.
    pub(crate) is_streamed: bool,
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

impl Default for Input {
    fn default() -> Self {
        Self::Counted(0)
    }
}

impl Input {
    /// Counts these texts as `model` does, where the most tokens that may pass is not so far away that it does not matter.
    pub(super) fn new(texts: Texts, model: &str, most: Option<i64>) -> Self {
        let is_little = most.is_none_or(|most| texts.length() <= most / AMPLE);
        if is_little && texts.kept() <= MAX_KEPT {
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

/// True if a request asks for a stream. What cannot be read as that asks for none.
pub(super) fn asks_for_stream(fields: &Fields<'_>) -> bool {
    let has = |name, value: &[u8]| {
        let field = fields.get(name);
        field.is_some_and(|field| field.eq_ignore_ascii_case(value))
    };
    has("stream", b"true") || has("stream", b"1") || has("stream_format", b"\"sse\"")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::files::Files;
    use super::*;

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
