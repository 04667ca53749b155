//! One file per family of endpoints: what a request asks for, and what its answer used. A new endpoint is its file and
//! a line in [`DIALECTS`], and in `PATHS` of `tests/it/endpoints.rs`, for the tests that all must pass.

mod call;
mod chat;
mod completions;
mod embeddings;
mod fields;
mod images;
mod moderations;
mod multipart;
mod report;
mod responses;
mod speech;
mod store;
mod tally;
mod tools;
mod transcriptions;

use base::Result;
use bodies::{Content, Holds};
use usage::{Kind, Metric, Quantities};

pub(crate) use call::Call;
pub(crate) use fields::Fields;
pub(crate) use tally::Tally;

use crate::sse::Verdict;

/// Every endpoint that is forwarded to models; the one that nearly every request is for comes first.
pub(crate) static DIALECTS: [&Dialect; 11] = [
    &chat::COMPLETIONS,
    &responses::RESPONSES,
    &embeddings::EMBEDDINGS,
    &completions::COMPLETIONS,
    &moderations::MODERATIONS,
    &images::GENERATIONS,
    &images::EDITS,
    &images::VARIATIONS,
    &speech::SPEECH,
    &transcriptions::TRANSCRIPTIONS,
    &transcriptions::TRANSLATIONS,
];

/// An endpoint that is forwarded to models, and how it is metered.
pub(crate) struct Dialect {
    /// What follows `/v1`, and the base URL of an upstream.
    pub(crate) path: &'static str,
    /// The report that its usage is in.
    pub(crate) kind: Kind,
    /// The `source` of its usage, for images.
    pub(crate) source: Option<&'static str>,
    /// How its requests are written.
    form: Form,
    /// The fields of a request that are looked at.
    fields: &'static [&'static str],
    /// The model of a request that names none.
    default_model: Option<&'static str>,
    /// What its bodies can hold.
    pub(crate) holds: Holds,
    /// Whether a model server stores what a request does not say of; none where there is no `store` to say it with.
    stores: Option<bool>,
    /// Whether a stream reports its usage only when `stream_options` asks for that.
    asks_for_usage: bool,
    /// What a request asks for; or why it is refused.
    demand: fn(&Fields<'_>) -> Result<Demand>,
    /// Reads an answer that is no stream, if there is anything to read in it.
    pub(crate) read_whole: Option<fn(&mut Tally, &[u8])>,
    /// Reads the data of one event of a stream.
    pub(crate) read_event: fn(&mut Tally, &[u8]) -> Verdict,
    /// What was consumed, by what was asked for, the model's name, and what was read of the answer.
    pub(crate) spent: fn(&Demand, &str, Tally) -> Spent,
}

/// How a request is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Multipart,
}

/// What a request asks for, as far as it shows before there is an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// About how many tokens its input has.
    pub(crate) tokens: i64,
    /// How many images, characters or seconds it is about.
    pub(crate) units: i64,
    /// The size of the images.
    pub(crate) size: Option<Box<str>>,
}

/// What a request consumed.
#[derive(Default)]
pub(crate) struct Spent {
    pub(crate) quantities: Quantities,
    /// Whether we had to count, because nobody reported.
    pub(crate) estimated: bool,
    pub(crate) service_tier: Option<String>,
    pub(crate) size: Option<String>,
}

/// What most endpoints have in common.
const PLAIN: Dialect = Dialect {
    path: "",
    kind: Kind::Completions,
    source: None,
    form: Form::Json,
    fields: &["model"],
    default_model: None,
    holds: Holds {
        request: Content::Text,
        answer: Content::Text,
    },
    stores: None,
    asks_for_usage: false,
    demand: |_| Ok(Demand::default()),
    read_whole: None,
    read_event: |_, _| Verdict::Keep,
    spent: text_spent,
};

impl Dialect {
    /// The endpoint at this path below `/v1`.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        DIALECTS.into_iter().find(|dialect| dialect.path == path)
    }
}

impl Demand {
    /// Of a text with so many bytes.
    fn of_text(bytes: usize) -> Self {
        Self {
            tokens: tokens(bytes),
            ..Self::default()
        }
    }

    /// Of an input that is text, or lists of tokens.
    fn of_input(input: &[u8]) -> Self {
        let first = input
            .iter()
            .find(|byte| !matches!(byte, b'[' | b' ' | b'\t' | b'\r' | b'\n'));
        if input.starts_with(b"[") && first.is_some_and(u8::is_ascii_digit) {
            let commas = memchr::memchr_iter(b',', input).count();
            return Self {
                tokens: i64::try_from(commas + 1).unwrap_or(i64::MAX),
                ..Self::default()
            };
        }
        Self::of_text(input.len())
    }
}

impl Spent {
    /// Nothing: no model worked on it.
    pub(crate) fn nothing() -> Self {
        Self {
            quantities: Quantities::default().with(Metric::NumModelRequests, 0),
            ..Self::default()
        }
    }

    /// One request, and what its answer reports.
    fn reported(tally: Tally) -> Self {
        let quantities = tally.reported.unwrap_or_default();
        Self {
            quantities: quantities.with(Metric::NumModelRequests, 1),
            estimated: false,
            service_tier: tally.service_tier,
            size: None,
        }
    }
}

/// One token is about four bytes of text.
const BYTES_PER_TOKEN: usize = 4;

/// About how many tokens a text of so many bytes has, at least one.
fn tokens(bytes: usize) -> i64 {
    i64::try_from(bytes.div_ceil(BYTES_PER_TOKEN).max(1)).unwrap_or(i64::MAX)
}

/// Text in, text out.
fn text_spent(demand: &Demand, _: &str, tally: Tally) -> Spent {
    let (estimated, text) = (tally.reported.is_none(), tally.text);
    let mut spent = Spent::reported(tally);
    if estimated {
        spent.estimated = true;
        spent.quantities.set(Metric::InputTokens, demand.tokens);
        spent.quantities.set(Metric::OutputTokens, tokens(text));
    }
    spent
}

/// Text in, and something out that is not counted.
#[expect(clippy::needless_pass_by_value, reason = "as all that are `spent`")]
fn input_spent(demand: &Demand, _: &str, tally: Tally) -> Spent {
    let reported = tally.reported.and_then(|all| all.get(Metric::InputTokens));
    let quantities = Quantities::default()
        .with(Metric::NumModelRequests, 1)
        .with(Metric::InputTokens, reported.unwrap_or(demand.tokens));
    Spent {
        quantities,
        estimated: reported.is_none(),
        ..Spent::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Demand::of_input(input.as_bytes()).tokens, tokens, "{input}");
        }
    }

    #[test]
    fn every_endpoint_has_its_path_and_looks_at_the_model() {
        for dialect in DIALECTS {
            assert!(dialect.path.starts_with('/'));
            assert!(dialect.fields.contains(&"model"), "{}", dialect.path);
            assert!(dialect.fields.len() <= fields::MAX_FIELDS);
            let found = Dialect::at(dialect.path).map(|found| found.path);
            assert_eq!(found, Some(dialect.path));
        }
        assert!(Dialect::at("").is_none());
    }
}
