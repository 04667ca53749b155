//! The endpoints that are forwarded to models: how a request of each is read, bounded and edited, and how the usage of its
//! answer is measured.
//!
//! A new endpoint is a [`Dialect`] in one of the files `audio`, `completions`, `decisions`, `embeddings`, `images`,
//! `messages`, `responses` and `speech`, a line in [`DIALECTS`], and, unless its format is Anthropic's, a line in `PATHS` of `tests/it/endpoints.rs`,
//! for the tests that every endpoint must pass.

mod affinity;
mod audio;
mod call;
mod completions;
mod content_type;
mod decisions;
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
mod item_body;
mod lost_usage;
mod max_usage;
mod members;
mod message_bounds;
mod messages;
mod multipart;
mod object_refs;
mod object_state;
mod prompt_cache;
mod request_bounds;
mod request_view;
mod requested_tools;
mod responses;
mod service_tier;
mod socket_message;
mod speech;
mod strict_json;
mod tool_variants;
mod usage_accumulator;

use base::{NanoDollars, Result};
use bodies::{BodyContents, Content};
use http::HeaderMap;
use proxy::ApiFormat;
use usage::{Metric, Quantities, UsageKind};

pub(crate) use call::Call;
pub(crate) use content_type::{JSON, check_json, form_type, is_form};
pub(crate) use estimate::Estimate;
pub(crate) use fields::Fields;
pub(crate) use file_form::FileFormScanner;
pub(crate) use item_body::ItemBody;
pub(crate) use lost_usage::LostUsage;
pub(crate) use max_usage::{CostBasis, MaxUsage};
pub(crate) use multipart::read_form;
pub(crate) use object_refs::{MAX_OBJECT_REFS, ObjectRefs};
pub(crate) use prompt_cache::{PROMPT_CACHE_RETENTION, RequestedPromptCache};
pub(crate) use responses::RESPONSES;
pub(crate) use service_tier::{RequestedTier, SERVICE_TIER};
pub(crate) use socket_message::{RefusedMessage, SocketMessage};
pub(crate) use tool_variants::ToolVariants;
pub(crate) use usage_accumulator::{ResponseStatus, UsageAccumulator};

use crate::document::{Document, HostedToolUsage, JsonPath, StoredAnswer};
use crate::query::no_query;
use crate::sse::Verdict;

/// The query of clients that use betas.
const BETA_QUERY: &str = "beta=true";

/// Every endpoint that is forwarded to models, the most used one first.
pub(crate) static DIALECTS: [&Dialect; 16] = [
    &completions::CHAT_COMPLETIONS,
    &RESPONSES,
    &messages::MESSAGES,
    &embeddings::EMBEDDINGS,
    &completions::COMPLETIONS,
    &embeddings::MODERATIONS,
    &decisions::DECISIONS,
    &images::GENERATIONS,
    &images::EDITS,
    &images::VARIATIONS,
    &speech::SPEECH,
    &audio::TRANSCRIPTIONS,
    &audio::TRANSLATIONS,
    &messages::COUNT_TOKENS,
    &responses::COMPACT,
    &responses::INPUT_TOKENS,
];

/// An endpoint that is forwarded to models, and how its usage is measured.
pub(crate) struct Dialect {
    /// The path below `/v1`, and below the base URL of an upstream.
    pub(crate) path: &'static str,
    /// The API that the endpoint belongs to, which an upstream must speak.
    pub(crate) api: ApiFormat,
    /// True if a request costs nothing: it counts as a request for the rate limits, and as none in reports.
    pub(crate) is_free: bool,
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
    /// True if members `data` of a request may be JSON of the client, in which a model server looks nothing up.
    has_client_data: bool,
    /// The content of its bodies.
    pub(crate) holds: BodyContents,
    /// True if a model server stores the answer of a request without `store`; `None` where there is no such field.
    stores_by_default: Option<bool>,
    /// The kind of an answer that a model server stores; `None` where it stores none.
    pub(crate) stored_answer: Option<StoredAnswer>,
    /// True if a stream reports its usage only when `stream_options` asks for that.
    pub(crate) has_optional_stream_usage: bool,
    /// True if clients that use betas say so in the query.
    has_betas: bool,
    /// True if its input continues a conversation, whose requests belong at one upstream.
    has_conversations: bool,
    /// True if a line of a batch may ask for it.
    is_for_batches: bool,
    /// Estimates what a request will consume; an error refuses the request.
    estimate: fn(&Fields<'_>) -> Result<Estimate>,
    /// The format of answers that are no streams.
    pub(crate) answer: AnswerFormat,
    /// The path to an answer, or to an event of a stream.
    pub(crate) root: JsonPath,
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
    /// The cost that the answer reported.
    pub(crate) cost: Option<NanoDollars>,
    /// The hosted tools that were used.
    pub(crate) hosted_tools: HostedToolUsage,
    /// The size of the context of its web searches.
    pub(crate) context_level: Option<String>,
    /// The memory of its containers, if the request names one.
    pub(crate) container_memory: Option<String>,
}

/// The properties that most endpoints have in common.
const DEFAULT: Dialect = Dialect {
    path: "",
    api: ApiFormat::OpenAi,
    is_free: false,
    kind: UsageKind::Completions,
    source: None,
    format: RequestFormat::Json,
    fields: &["model"],
    max_token_fields: &[],
    choice_count_fields: &[],
    default_model: None,
    has_client_data: false,
    holds: BodyContents {
        request: Content::Text,
        answer: Content::Text,
    },
    stores_by_default: None,
    stored_answer: None,
    has_optional_stream_usage: false,
    has_betas: false,
    has_conversations: false,
    is_for_batches: true,
    estimate: |_| Ok(Estimate::default()),
    answer: AnswerFormat::Json,
    root: JsonPath::Root,
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
        if usage.hosted_tools != HostedToolUsage::default() {
            let variants = &estimate.tool_variants;
            usage.context_level = variants.context_level().map(str::to_owned);
            usage.container_memory = variants.named_memory().map(str::to_owned);
        }
        usage.cost = accumulator.cost;
        let mut amounts = Metric::ALL
            .iter()
            .filter(|it| **it != Metric::NumModelRequests);
        let is_empty = !amounts.any(|metric| usage.quantities.get(*metric).is_some());
        if accumulator.is_failed && is_empty {
            usage.quantities = MeasuredUsage::none().quantities;
        }
        usage
    }

    /// Returns the query for an upstream. No endpoint has parameters, but clients that use betas of responses or of Anthropic's
    /// API say so in the query.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(crate) fn query(&self, query: Option<&str>) -> Result<Option<String>> {
        if self.has_betas && query == Some(BETA_QUERY) {
            return Ok(Some(BETA_QUERY.to_owned()));
        }
        no_query(query)?;
        Ok(None)
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
            let document = Document::at(self.root, json, &mut accumulator.text);
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
