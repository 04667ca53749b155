//! One file per family of endpoints: what a request asks for, and what its answer used. A new endpoint is its file and
//! a line in [`DIALECTS`], and in `PATHS` of `tests/it/endpoints.rs`, for the tests that all must pass.

mod call;
mod called;
mod chat;
mod completions;
mod content_type;
mod demand;
#[cfg(test)]
mod differential;
mod embeddings;
mod fields;
mod files;
mod gathered;
mod images;
mod json;
mod meaning;
mod mentions;
mod moderations;
mod most;
#[cfg(test)]
mod most_tests;
mod multipart;
mod names;
mod numbers;
mod report;
mod responses;
mod scan;
mod sound;
mod speech;
mod store;
mod tally;
mod texts;
mod tools;
mod transcriptions;
mod view;

use base::Result;
use bodies::{BodyContents, Content};
use http::HeaderMap;
use usage::{Kind, Metric, Quantities};

pub(crate) use call::Call;
pub(crate) use called::{Called, Items};
pub(crate) use content_type::{JSON, check_json, form_type};
pub(crate) use demand::Demand;
pub(crate) use fields::Fields;
pub(crate) use mentions::{MAX_MENTIONS, Mentions};
pub(crate) use most::MaxUsage;
pub(crate) use report::{Amount, Usage, number as report_number};
pub(crate) use tally::{Tally, Text};

use crate::answer::Document;
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
    /// The fields that bound the length of an answer; none where an answer is no text.
    maxima: &'static [&'static str],
    /// The fields that say how many answers there are.
    answers: &'static [&'static str],
    /// The model of a request that names none.
    default_model: Option<&'static str>,
    /// What its bodies can hold.
    pub(crate) holds: BodyContents,
    /// Whether a model server stores what a request does not say of; none where there is no `store` to say it with.
    stores: Option<bool>,
    /// Whether a stream reports its usage only when `stream_options` asks for that.
    pub(crate) asks_for_usage: bool,
    /// What a request asks for; or why it is refused.
    demand: fn(&Fields<'_>) -> Result<Demand>,
    /// How its answers are written that are no streams.
    pub(crate) answer: AnswerForm,
    /// Takes what an answer tells that is no stream.
    pub(crate) read_whole: fn(&mut Tally, &Document),
    /// Takes what one event of a stream tells.
    pub(crate) read_event: fn(&mut Tally, &Document) -> Verdict,
    /// What was consumed, by what was asked for, the model's name, and what was read of the answer.
    spent: fn(&Demand, &str, &Tally) -> Spent,
}

/// How an answer is written that is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// As an object of JSON, always.
    Json,
    /// As an object of JSON or as any text.
    Text,
    /// As sound; JSON tells of an error.
    Sound,
}

/// How a request is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Multipart,
    /// As its Content-Type says.
    Either,
}

impl Form {
    /// The form of a request with these headers.
    fn of(self, headers: &HeaderMap) -> Self {
        match self {
            Self::Either if content_type::is_form(headers) => Self::Multipart,
            Self::Either => Self::Json,
            only => only,
        }
    }
}

/// What a request consumed.
#[derive(Default)]
pub(crate) struct Spent {
    pub(crate) quantities: Quantities,
    /// Whether we had to count, because nobody reported.
    pub(crate) estimated: bool,
    pub(crate) service_tier: Option<String>,
    pub(crate) size: Option<String>,
    /// Which hosted tools were used.
    pub(crate) called: Called,
}

/// What most endpoints have in common.
const PLAIN: Dialect = Dialect {
    path: "",
    kind: Kind::Completions,
    source: None,
    form: Form::Json,
    fields: &["model"],
    maxima: &[],
    answers: &[],
    default_model: None,
    holds: BodyContents {
        request: Content::Text,
        answer: Content::Text,
    },
    stores: None,
    asks_for_usage: false,
    demand: |_| Ok(Demand::default()),
    answer: AnswerForm::Json,
    read_whole: Tally::take,
    read_event: |_, _| Verdict::Keep,
    spent: text_spent,
};

impl Dialect {
    /// The endpoint at this path below `/v1`.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        DIALECTS.into_iter().find(|dialect| dialect.path == path)
    }

    /// Takes what an answer tells that is no stream.
    #[cfg(test)]
    pub(crate) fn read(&self, tally: &mut Tally, json: &[u8]) {
        let document = Document::of(json, &mut tally.text);
        (self.read_whole)(tally, &document);
    }

    /// Returns what was consumed, by what was asked for, the model's name, and what was read of the answer. Of one that has
    /// failed that is what was reported, else nothing: what was asked for, or came of it, is no measure of it.
    pub(crate) fn spent(&self, demand: &Demand, model: &str, tally: &Tally) -> Spent {
        let mut spent = (self.spent)(demand, model, tally);
        let mut amounts = Metric::ALL
            .iter()
            .filter(|it| **it != Metric::NumModelRequests);
        let is_nothing = !amounts.any(|metric| spent.quantities.get(*metric).is_some());
        if tally.is_failed && is_nothing {
            spent.quantities = Spent::nothing().quantities;
        }
        spent
    }

    /// True if its requests are JSON, or can be.
    pub(crate) fn takes_json(&self) -> bool {
        self.form != Form::Multipart
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
    fn reported(tally: &Tally) -> Self {
        let quantities = tally.reported.unwrap_or_default();
        Self {
            quantities: quantities.with(Metric::NumModelRequests, 1),
            estimated: false,
            service_tier: tally.service_tier.clone(),
            size: None,
            called: tally.called(),
        }
    }
}

/// Text in, text out. What of the two is not reported is counted.
fn text_spent(demand: &Demand, model: &str, tally: &Tally) -> Spent {
    let mut spent = Spent::reported(tally);
    if tally.is_failed {
        return spent;
    }
    if tally.amount(Metric::InputTokens).is_none() {
        spent.estimated = true;
        let read = demand.input.tokens(model);
        spent.quantities.set(Metric::InputTokens, read);
    }
    if tally.amount(Metric::OutputTokens).is_none() {
        spent.estimated = true;
        let written = tally.text.tokens(model);
        spent.quantities.set(Metric::OutputTokens, written);
    }
    spent
}

/// Text in, and something out that is not counted.
fn input_spent(demand: &Demand, model: &str, tally: &Tally) -> Spent {
    let mut spent = Spent {
        quantities: Quantities::default().with(Metric::NumModelRequests, 1),
        ..Spent::default()
    };
    if let Some(reported) = tally.amount(Metric::InputTokens) {
        spent.quantities.set(Metric::InputTokens, reported);
    } else if !tally.is_failed {
        spent.estimated = true;
        let read = demand.input.tokens(model);
        spent.quantities.set(Metric::InputTokens, read);
    }
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

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
