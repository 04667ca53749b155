//! The endpoints that are forwarded to models: how a request of each is read, bounded and edited, and how the usage of its
//! answer is measured.
//!
//! A new endpoint is a [`Dialect`] in one of the files `audio`, `completions`, `embeddings`, `images` and `responses`, a line
//! in [`DIALECTS`], and a line in `PATHS` of `tests/it/endpoints.rs`, for the tests that every endpoint must pass.

mod affinity;
mod audio;
mod call;
mod completions;
mod content_type;
#[cfg(test)]
mod differential_tests;
mod edits;
mod embeddings;
mod estimate;
mod fields;
mod file_form;
mod images;
mod input_content;
mod input_text;
mod max_usage;
mod members;
mod multipart;
mod object_refs;
mod request_bounds;
mod request_view;
mod requested_tools;
mod responses;
mod strict_json;
mod usage_accumulator;

use base::Result;
use bodies::{BodyContents, Content};
use http::HeaderMap;
use usage::{Metric, Quantities, UsageKind};

pub(crate) use call::Call;
pub(crate) use content_type::{JSON, check_json, form_type, is_form};
pub(crate) use estimate::Estimate;
pub(crate) use fields::Fields;
pub(crate) use file_form::FileFormScanner;
pub(crate) use max_usage::MaxUsage;
pub(crate) use multipart::read_form;
pub(crate) use object_refs::{MAX_OBJECT_REFS, ObjectRefs};
pub(crate) use usage_accumulator::UsageAccumulator;

use crate::document::{Document, HostedToolUsage};
use crate::sse::Verdict;

/// Every endpoint that is forwarded to models, the most used one first.
pub(crate) static DIALECTS: [&Dialect; 13] = [
    &completions::CHAT_COMPLETIONS,
    &responses::RESPONSES,
    &embeddings::EMBEDDINGS,
    &completions::COMPLETIONS,
    &embeddings::MODERATIONS,
    &images::GENERATIONS,
    &images::EDITS,
    &images::VARIATIONS,
    &audio::SPEECH,
    &audio::TRANSCRIPTIONS,
    &audio::TRANSLATIONS,
    &responses::COMPACT,
    &responses::INPUT_TOKENS,
];

/// An endpoint that is forwarded to models, and how its usage is measured.
pub(crate) struct Dialect {
    /// The path below `/v1`, and below the base URL of an upstream.
    pub(crate) path: &'static str,
    /// The report that its usage is in.
    pub(crate) kind: UsageKind,
    /// The `source` of the usage of images.
    pub(crate) source: Option<&'static str>,
    /// The format of its requests.
    format: RequestFormat,
    /// The fields of a request that the gateway reads.
    fields: &'static [&'static str],
    /// The fields that bound the length of an answer; empty where an answer is no text.
    max_token_fields: &'static [&'static str],
    /// The fields that set the number of choices of an answer.
    choice_count_fields: &'static [&'static str],
    /// The model of a request that names none.
    default_model: Option<&'static str>,
    /// The content of its bodies.
    pub(crate) holds: BodyContents,
    /// True if a model server stores the answer of a request without `store`; `None` where there is no such field.
    stores_by_default: Option<bool>,
    /// True if a stream reports its usage only when `stream_options` asks for that.
    pub(crate) has_optional_stream_usage: bool,
    /// True if a line of a batch may ask for it.
    is_for_batches: bool,
    /// True if a request costs nothing: it counts as a request for the rate limits, and as none in reports.
    pub(crate) is_free: bool,
    /// Estimates what a request will consume; an error refuses the request.
    estimate: fn(&Fields<'_>) -> Result<Estimate>,
    /// The format of answers that are no streams.
    pub(crate) answer: AnswerFormat,
    /// Adds the usage of an answer that is no stream.
    pub(crate) read_document: fn(&mut UsageAccumulator, &Document),
    /// Adds the usage of one event of a stream.
    pub(crate) read_event: fn(&mut UsageAccumulator, &Document) -> Verdict,
    /// Returns the usage, from the estimate, the name of the model, and what was read of the answer.
    measure: fn(&Estimate, &str, &UsageAccumulator) -> MeasuredUsage,
}

/// The format of an answer that is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerFormat {
    /// A JSON object, always.
    Json,
    /// A JSON object, or plain text.
    Text,
    /// Audio; a JSON object is an error.
    Audio,
}

/// The format of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestFormat {
    Json,
    Multipart,
    /// JSON or multipart, by the Content-Type.
    Either,
}

impl RequestFormat {
    /// Returns the format of a request with these headers.
    fn of(self, headers: &HeaderMap) -> Self {
        match self {
            Self::Either if is_form(headers) => Self::Multipart,
            Self::Either => Self::Json,
            only => only,
        }
    }
}

/// The usage of a request, as the ledger records it.
#[derive(Default)]
pub(crate) struct MeasuredUsage {
    pub(crate) quantities: Quantities,
    /// True if the gateway has counted or guessed a quantity that the answer did not report.
    pub(crate) estimated: bool,
    pub(crate) service_tier: Option<String>,
    pub(crate) size: Option<String>,
    /// The hosted tools that were used.
    pub(crate) hosted_tools: HostedToolUsage,
}

/// The properties that most endpoints have in common.
const DEFAULT: Dialect = Dialect {
    path: "",
    kind: UsageKind::Completions,
    source: None,
    format: RequestFormat::Json,
    fields: &["model"],
    max_token_fields: &[],
    choice_count_fields: &[],
    default_model: None,
    holds: BodyContents {
        request: Content::Text,
        answer: Content::Text,
    },
    stores_by_default: None,
    has_optional_stream_usage: false,
    is_for_batches: true,
    is_free: false,
    estimate: |_| Ok(Estimate::default()),
    answer: AnswerFormat::Json,
    read_document: UsageAccumulator::add_report,
    read_event: |_, _| Verdict::Keep,
    measure: measure_text,
};

impl Dialect {
    /// Returns the endpoint at this path below `/v1`.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        DIALECTS.into_iter().find(|dialect| dialect.path == path)
    }

    /// Returns the usage of a request, from its estimate, the name of its model, and what was read of its answer. The usage of
    /// an answer that has failed is what it reported, else nothing: an estimate would charge for an answer that nobody got.
    pub(crate) fn measure(
        &self,
        estimate: &Estimate,
        model: &str,
        accumulator: &UsageAccumulator,
    ) -> MeasuredUsage {
        let mut usage = (self.measure)(estimate, model, accumulator);
        usage.hosted_tools = accumulator.hosted_tools(&estimate.known_containers);
        let mut amounts = Metric::ALL
            .iter()
            .filter(|it| **it != Metric::NumModelRequests);
        let is_empty = !amounts.any(|metric| usage.quantities.get(*metric).is_some());
        if accumulator.is_failed && is_empty {
            usage.quantities = MeasuredUsage::none().quantities;
        }
        usage
    }

    /// True if a request may be JSON.
    pub(crate) fn takes_json(&self) -> bool {
        self.format != RequestFormat::Multipart
    }

    /// True if a line of a batch may ask for it.
    pub(crate) fn is_for_batches(&self) -> bool {
        self.is_for_batches && self.takes_json()
    }
}

impl MeasuredUsage {
    /// Returns the usage of a request that no model worked on.
    pub(crate) fn none() -> Self {
        Self {
            quantities: Quantities::default().with(Metric::NumModelRequests, 0),
            ..Self::default()
        }
    }

    /// Sets a quantity that the answer did not report.
    fn estimate(&mut self, metric: Metric, amount: i64) {
        self.quantities.set(metric, amount);
        self.estimated = true;
    }

    /// Returns one request, with what its answer reports.
    fn reported(accumulator: &UsageAccumulator) -> Self {
        let quantities = accumulator.reported.unwrap_or_default();
        Self {
            quantities: quantities.with(Metric::NumModelRequests, 1),
            estimated: false,
            service_tier: accumulator.service_tier.clone(),
            size: None,
            ..Self::default()
        }
    }
}

/// Measures an endpoint that reads and writes text. A number of tokens that is not reported is counted.
fn measure_text(estimate: &Estimate, model: &str, accumulator: &UsageAccumulator) -> MeasuredUsage {
    let mut usage = MeasuredUsage::reported(accumulator);
    if accumulator.is_failed {
        return usage;
    }
    if accumulator.amount(Metric::InputTokens).is_none() {
        usage.estimate(Metric::InputTokens, estimate.input.tokens(model));
    }
    if accumulator.amount(Metric::OutputTokens).is_none() {
        usage.estimate(Metric::OutputTokens, accumulator.text.tokens(model));
    }
    usage
}

/// Measures an endpoint whose output is not counted.
fn measure_input(
    estimate: &Estimate,
    model: &str,
    accumulator: &UsageAccumulator,
) -> MeasuredUsage {
    let mut usage = MeasuredUsage {
        quantities: Quantities::default().with(Metric::NumModelRequests, 1),
        ..MeasuredUsage::default()
    };
    if let Some(reported) = accumulator.amount(Metric::InputTokens) {
        usage.quantities.set(Metric::InputTokens, reported);
    } else if !accumulator.is_failed {
        usage.estimate(Metric::InputTokens, estimate.input.tokens(model));
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Dialect {
        /// Adds the usage of an answer that is no stream.
        pub(crate) fn read(&self, accumulator: &mut UsageAccumulator, json: &[u8]) {
            let document = Document::of(json, &mut accumulator.text);
            (self.read_document)(accumulator, &document);
        }
    }

    #[test]
    fn every_endpoint_is_found_at_its_path_and_reads_the_model() {
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
