//! The estimate of what a request consumes, made before its answer.

use std::collections::BTreeSet;

use access::LimitField;
use usage::UsageKind;

use super::Fields;
use super::input_text::InputText;
use super::speech::SpeechEstimate;
use super::tool_variants::ToolVariants;
use crate::document::ShortText;
use crate::limits::{Amounts, RequestedAmounts};

/// The ratio of a rate limit to the bytes of a text from which on the bytes stand for tokens: the difference to the number of
/// tokens does not matter then.
const MIN_LIMIT_RATIO: i64 = 1000;
/// The longest body that is kept until its answer has come.
const MAX_KEPT_BYTES: usize = 64 * 1024;
/// The output tokens of a choice for which the client set no maximum.
const DEFAULT_OUTPUT_TOKENS: i64 = 1024;
const MEGABYTE_BYTES: usize = 1_000_000;

/// The estimated consumption of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(crate) input: InputTokens,
    pub(super) output: OutputTokens,
    /// The number of images, of characters to speak, or of seconds of speech, by the kind of the endpoint.
    pub(super) units: i64,
    /// The longest duration of the audio that comes with the request, in seconds.
    pub(super) max_seconds: i64,
    /// The megabytes of the audio that comes with the request.
    pub(super) audio_megabytes: i64,
    /// The size of the images.
    pub(super) size: Option<Box<str>>,
    /// The variants of the hosted tools of the request.
    pub(crate) tool_variants: ToolVariants,
    /// The speech that the request asks for.
    pub(crate) speech: SpeechEstimate,
    /// True if the answer is to come as a stream.
    pub(crate) is_streamed: bool,
    /// The containers that the request names and whose sessions are in the ledger already.
    pub(crate) known_containers: BTreeSet<String>,
}

/// The tokens of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InputTokens {
    /// A number of tokens.
    Counted(i64),
    /// Text that is tokenized only if the model server does not report its tokens, since tokenizing takes longer than all
    /// other work on a request. Until then each byte stands for a token.
    Deferred(Box<InputText>),
}

impl Default for InputTokens {
    fn default() -> Self {
        Self::Counted(0)
    }
}

impl InputTokens {
    /// Tokenizes `text` with the encoding of `model`, unless `limit` (of tokens a minute) exceeds its byte length by so much
    /// that an upper bound suffices.
    pub(super) fn new(text: InputText, model: &str, limit: Option<i64>) -> Self {
        let is_short = limit.is_none_or(|limit| text.max_tokens() <= limit / MIN_LIMIT_RATIO);
        if is_short && text.kept_bytes() <= MAX_KEPT_BYTES {
            Self::Deferred(Box::new(text))
        } else {
            Self::Counted(text.tokens(model))
        }
    }

    /// Returns the number of tokens, and tokenizes text that was deferred.
    pub(crate) fn tokens(&self, model: &str) -> i64 {
        match self {
            Self::Counted(tokens) => *tokens,
            Self::Deferred(text) => text.tokens(model),
        }
    }

    /// Returns the number of tokens, of deferred text by its length.
    pub(super) fn approximate(&self) -> i64 {
        match self {
            Self::Counted(tokens) => *tokens,
            Self::Deferred(text) => text.approximate_tokens(),
        }
    }

    /// Returns an upper bound of the number of tokens.
    pub(super) fn upper_bound(&self) -> i64 {
        match self {
            Self::Counted(tokens) => *tokens,
            Self::Deferred(text) => text.max_tokens(),
        }
    }
}

/// The tokens of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OutputTokens {
    /// The output is not text.
    #[default]
    NotText,
    /// The maximum that the client set.
    Requested(i64),
    /// A guess where the client set no maximum.
    Estimated(i64),
}

impl OutputTokens {
    /// Returns the tokens of an answer of `choices` choices, 1 by default, with at most `max_tokens` tokens each.
    pub(super) fn of(max_tokens: Option<i64>, choices: Option<i64>) -> Self {
        let choices = choices.unwrap_or(1);
        match max_tokens {
            Some(max_tokens) => Self::Requested(max_tokens.saturating_mul(choices)),
            None => Self::Estimated(DEFAULT_OUTPUT_TOKENS.saturating_mul(choices)),
        }
    }
}

impl Estimate {
    /// Returns the estimate of a request with a known number of input tokens.
    pub(crate) fn of_input(tokens: i64) -> Self {
        Self {
            input: InputTokens::Counted(tokens),
            ..Self::default()
        }
    }

    /// Excludes containers from the sessions that the answer counts: their records are charged instead.
    pub(crate) fn exclude_containers<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        // As the answer's usage shows them: an id that is too long for that is empty.
        let ids = ids.map(|id| ShortText::of(id).as_str().to_owned());
        self.known_containers.extend(ids);
    }

    /// Returns the estimate of a request whose answer is text.
    pub(super) fn of_output(output: OutputTokens) -> Self {
        Self {
            output,
            ..Self::default()
        }
    }

    /// Adds the audio file of a request.
    pub(super) fn with_audio(self, fields: &Fields<'_>) -> Self {
        let megabytes = fields.length("file").div_ceil(MEGABYTE_BYTES);
        Self {
            audio_megabytes: i64::try_from(megabytes).unwrap_or(i64::MAX),
            ..self
        }
    }

    /// Returns the amounts to reserve of the rate limits, at an endpoint of this kind.
    pub(crate) fn requested_amounts(&self, kind: UsageKind) -> RequestedAmounts {
        let (output, estimated_output_tokens) = match self.output {
            OutputTokens::NotText => (0, 0),
            OutputTokens::Requested(tokens) => (tokens, 0),
            OutputTokens::Estimated(tokens) => (tokens, tokens),
        };
        let tokens = self.input.upper_bound().max(1).saturating_add(output);
        let mut amounts = Amounts::default()
            .with_requests(1)
            .with(LimitField::TokensPerMinute, tokens)
            .with(LimitField::AudioMegabytesPerMinute, self.audio_megabytes);
        if kind == UsageKind::Images {
            amounts.set(LimitField::ImagesPerMinute, self.units);
        }
        RequestedAmounts {
            amounts,
            estimated_output_tokens,
        }
    }
}

/// True if a request asks for a stream. A value that servers do not take for true asks for none.
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

    use super::super::input_text::InlineFiles;
    use super::*;

    #[test]
    fn short_text_is_tokenized_only_if_no_usage_is_reported() {
        let text = |length: usize| {
            let ranges = vec![0..length / 2, length / 2..length];
            InputText::new(
                Bytes::from(vec![b'x'; length]),
                ranges,
                InlineFiles::default(),
            )
        };
        let bound = |length, limit| InputTokens::new(text(length), "m", limit).upper_bound();
        assert_eq!(bound(400, Some(400_000)), 400);
        assert_eq!(bound(400, Some(399_999)), 100);
        assert_eq!(bound(400, None), 400);
        assert_eq!(bound(MAX_KEPT_BYTES + 4, None), 16_385);
        assert_eq!(InputTokens::new(text(400), "m", None).tokens("m"), 100);
    }

    #[test]
    fn output_is_reserved_with_the_input() {
        let requested = |output| {
            let estimate = Estimate {
                input: InputTokens::Counted(10),
                ..Estimate::of_output(output)
            };
            let requested = estimate.requested_amounts(UsageKind::Completions);
            let tokens = requested.amounts.get(LimitField::TokensPerMinute);
            (tokens.expect("tokens"), requested.estimated_output_tokens)
        };
        assert_eq!(requested(OutputTokens::NotText), (10, 0));
        assert_eq!(requested(OutputTokens::of(Some(5), Some(3))), (25, 0));
        assert_eq!(requested(OutputTokens::of(None, Some(2))), (2058, 2048));
        let endless = OutputTokens::of(Some(i64::MAX), Some(i64::MAX));
        assert!(requested(endless).0 > 1_000_000_000);
    }

    #[test]
    fn each_kind_of_endpoint_reserves_of_its_own_limits() {
        let estimate = Estimate {
            units: 4,
            audio_megabytes: 2,
            ..Estimate::default()
        };
        for (kind, images) in [
            (UsageKind::Images, Some(4)),
            (UsageKind::AudioSpeeches, None),
        ] {
            let amounts = estimate.requested_amounts(kind).amounts;
            assert_eq!(amounts.get(LimitField::ImagesPerMinute), images);
            assert_eq!(amounts.get(LimitField::AudioMegabytesPerMinute), Some(2));
            assert_eq!(amounts.get(LimitField::TokensPerMinute), Some(1));
            assert_eq!(amounts.get(LimitField::RequestsPerDay), Some(1));
        }
    }
}
