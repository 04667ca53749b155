//! Usage events, and the kinds, metrics and dimensions of usage.

use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::{NanoDollars, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::quantities::Quantities;
use base::names;

names! {
    /// The kind of usage, which is a report of the Administration API, named by the last part of its path.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum UsageKind {
        /// Chat completions, completions and responses.
        Completions = "completions",
        /// Embeddings.
        Embeddings = "embeddings",
        /// Moderations.
        Moderations = "moderations",
        /// Images: generations, edits and variations.
        Images = "images",
        /// Speech from text.
        AudioSpeeches = "audio_speeches",
        /// Text from speech.
        AudioTranscriptions = "audio_transcriptions",
        /// Storage of vector stores.
        VectorStores = "vector_stores",
        /// Sessions of the code interpreter.
        CodeInterpreterSessions = "code_interpreter_sessions",
        /// Calls of file search.
        FileSearchCalls = "file_search_calls",
        /// Calls of web search.
        WebSearchCalls = "web_search_calls",
        /// Decisions: answers to questions about an input.
        Decisions = "decisions",
    }
}

names! {
    /// A metric of usage. Values are stored by their order, so new ones go to the end.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[repr(u8)]
    #[expect(missing_docs, reason = "the names are the contract's own")]
    pub enum Metric {
        InputTokens = "input_tokens",
        OutputTokens = "output_tokens",
        NumModelRequests = "num_model_requests",
        InputCachedTokens = "input_cached_tokens",
        InputCacheWriteTokens = "input_cache_write_tokens",
        InputUncachedTokens = "input_uncached_tokens",
        InputTextTokens = "input_text_tokens",
        OutputTextTokens = "output_text_tokens",
        InputCachedTextTokens = "input_cached_text_tokens",
        InputAudioTokens = "input_audio_tokens",
        InputCachedAudioTokens = "input_cached_audio_tokens",
        OutputAudioTokens = "output_audio_tokens",
        InputImageTokens = "input_image_tokens",
        InputCachedImageTokens = "input_cached_image_tokens",
        OutputImageTokens = "output_image_tokens",
        Images = "images",
        Characters = "characters",
        Seconds = "seconds",
        UsageBytes = "usage_bytes",
        NumSessions = "num_sessions",
        NumRequests = "num_requests",
        #[serde(rename = "input_cache_write_30m_tokens")]
        InputCacheWrite30mTokens = "input_cache_write_30m_tokens",
        #[serde(rename = "input_cache_write_12h_tokens")]
        InputCacheWrite12hTokens = "input_cache_write_12h_tokens",
        /// The input tokens of the longest request of an event of several requests. Decides on prices; no report has it.
        LongestInputTokens = "longest_input_tokens",
        /// The uplift of the upstream, in billionths. Decides on prices; no report has it.
        UpliftBillionths = "uplift_billionths",
        /// The cost that the upstream reported, in billionths of a US dollar. Replaces prices; no report has it.
        #[serde(rename = "reported_cost_billionths")]
        ReportedCost = "reported_cost_billionths",
        /// Tokens written to a cache for five minutes. Decides on prices; reports have them among all cache writes.
        #[serde(rename = "input_cache_write_5m_tokens")]
        InputCacheWrite5mTokens = "input_cache_write_5m_tokens",
        /// Tokens written to a cache for an hour. Decides on prices; reports have them among all cache writes.
        #[serde(rename = "input_cache_write_1h_tokens")]
        InputCacheWrite1hTokens = "input_cache_write_1h_tokens",
    }
}

/// The most tokens or characters of one event: more than the largest batch consumes.
pub const MAX_QUANTITY: i64 = 100_000_000_000;
/// The most requests, images, seconds, calls or sessions of one event.
const MAX_COUNT: i64 = 1_000_000_000;
/// The most bytes of one event.
const MAX_BYTES: i64 = 1 << 53;
/// The most that one event may cost, at the dearest of the prices that may apply to it.
pub const MAX_EVENT_COST: NanoDollars = NanoDollars(1_000_000_000_000_000);
/// The highest uplift of an upstream, in billionths: 100.
pub const MAX_UPLIFT_BILLIONTHS: i64 = 100_000_000_000;

impl Metric {
    /// Returns the largest amount that an event may have.
    #[must_use]
    pub fn max_amount(self) -> i64 {
        match self {
            Self::UsageBytes => MAX_BYTES,
            Self::UpliftBillionths => MAX_UPLIFT_BILLIONTHS,
            Self::ReportedCost => MAX_EVENT_COST.0,
            Self::NumModelRequests
            | Self::Images
            | Self::Seconds
            | Self::NumSessions
            | Self::NumRequests => MAX_COUNT,
            _ => MAX_QUANTITY,
        }
    }

    /// True if the metric only decides on the price of an event: no report has it, and no rollup.
    #[must_use]
    pub fn is_for_prices(self) -> bool {
        matches!(
            self,
            Self::LongestInputTokens
                | Self::UpliftBillionths
                | Self::ReportedCost
                | Self::InputCacheWrite5mTokens
                | Self::InputCacheWrite1hTokens
        )
    }
}

names! {
    /// A dimension by which usage is grouped or filtered.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names are the contract's own")]
    pub enum Dimension {
        ProjectId = "project_id",
        UserId = "user_id",
        ApiKeyId = "api_key_id",
        Model = "model",
        Batch = "batch",
        ServiceTier = "service_tier",
        Size = "size",
        Source = "source",
        VectorStoreId = "vector_store_id",
        ContextLevel = "context_level",
        ApiSource = "api_source",
    }
}

names! {
    /// The API that usage comes from.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[schemars(inline)]
    pub enum ApiSource {
        /// The Agents API.
        AgentsApi = "agents_api",
        /// Any API, if no source was reported. All usage that the gateway measures is unlabeled.
        #[default]
        Unlabeled = "unlabeled",
    }
}

impl ApiSource {
    /// True for usage whose source was not reported.
    #[must_use]
    pub fn is_unlabeled(&self) -> bool {
        *self == Self::Unlabeled
    }
}

impl UsageKind {
    /// Returns the `object` of the results of the report.
    #[must_use]
    pub fn result_object(self) -> &'static str {
        match self {
            Self::Completions => "organization.usage.completions.result",
            Self::Embeddings => "organization.usage.embeddings.result",
            Self::Moderations => "organization.usage.moderations.result",
            Self::Images => "organization.usage.images.result",
            Self::AudioSpeeches => "organization.usage.audio_speeches.result",
            Self::AudioTranscriptions => "organization.usage.audio_transcriptions.result",
            Self::VectorStores => "organization.usage.vector_stores.result",
            Self::CodeInterpreterSessions => "organization.usage.code_interpreter_sessions.result",
            Self::FileSearchCalls => "organization.usage.file_searches.result",
            Self::WebSearchCalls => "organization.usage.web_searches.result",
            Self::Decisions => "organization.usage.decisions.result",
        }
    }

    /// Returns the metrics that every result of the report has.
    #[must_use]
    pub fn required_metrics(self) -> &'static [Metric] {
        use Metric as M;
        match self {
            Self::Completions | Self::Decisions => {
                &[M::InputTokens, M::OutputTokens, M::NumModelRequests]
            }
            Self::Embeddings | Self::Moderations => &[M::InputTokens, M::NumModelRequests],
            Self::Images => &[M::Images, M::NumModelRequests],
            Self::AudioSpeeches => &[M::Characters, M::NumModelRequests],
            Self::AudioTranscriptions => &[M::Seconds, M::NumModelRequests],
            Self::VectorStores => &[M::UsageBytes],
            Self::CodeInterpreterSessions => &[M::NumSessions],
            Self::FileSearchCalls => &[M::NumRequests],
            Self::WebSearchCalls => &[M::NumModelRequests, M::NumRequests],
        }
    }

    /// Returns the metrics that a result of the report has if they were reported.
    #[must_use]
    pub fn optional_metrics(self) -> &'static [Metric] {
        use Metric as M;
        match self {
            Self::Completions | Self::Decisions => &[
                M::InputCachedTokens,
                M::InputCacheWriteTokens,
                M::InputCacheWrite30mTokens,
                M::InputCacheWrite12hTokens,
                M::InputUncachedTokens,
                M::InputTextTokens,
                M::OutputTextTokens,
                M::InputCachedTextTokens,
                M::InputAudioTokens,
                M::InputCachedAudioTokens,
                M::OutputAudioTokens,
                M::InputImageTokens,
                M::InputCachedImageTokens,
                M::OutputImageTokens,
            ],
            _ => &[],
        }
    }

    /// Returns the dimensions of the report. Each is a key of its results, null unless grouped by.
    #[must_use]
    pub fn dimensions(self) -> &'static [Dimension] {
        use Dimension as D;
        match self {
            Self::Completions | Self::Decisions => &[
                D::ProjectId,
                D::UserId,
                D::ApiKeyId,
                D::Model,
                D::Batch,
                D::ServiceTier,
                D::ApiSource,
            ],
            Self::Embeddings
            | Self::Moderations
            | Self::AudioSpeeches
            | Self::AudioTranscriptions => &[D::ProjectId, D::UserId, D::ApiKeyId, D::Model],
            Self::Images => &[
                D::ProjectId,
                D::UserId,
                D::ApiKeyId,
                D::Model,
                D::Size,
                D::Source,
            ],
            Self::VectorStores | Self::CodeInterpreterSessions => &[D::ProjectId],
            Self::FileSearchCalls => &[D::ProjectId, D::UserId, D::ApiKeyId, D::VectorStoreId],
            Self::WebSearchCalls => &[
                D::ProjectId,
                D::UserId,
                D::ApiKeyId,
                D::Model,
                D::ContextLevel,
                D::ApiSource,
            ],
        }
    }
}

names! {
    /// The outcome of a metered request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Outcome {
        /// The model answered, and the client received the answer.
        Succeeded = "succeeded",
        /// The model server could not be reached, answered with an error, or broke off.
        UpstreamFailed = "upstream_failed",
        /// The model server took too long.
        TimedOut = "timed_out",
        /// The client disconnected before the end of the answer; usage until then is counted.
        ClientGone = "client_gone",
        /// The process that forwarded the request has died; usage is estimated.
        NodeLost = "node_lost",
        /// Reported by another gateway.
        Reported = "reported",
        /// Not a request: a correction of charges at other prices.
        Repriced = "repriced",
        /// Not a request: a reversal of a reported event, with its numbers negated.
        Corrected = "corrected",
    }
}

/// A usage event: the usage of one request, a row of the ledger. The JSON form is stored for events that are set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEvent {
    /// The id, unique within the organization and the UTC day of `timestamp`, separately for reported events and those
    /// of the gateway. A second event with the same id is a duplicate.
    pub id: String,
    /// The time of the usage.
    pub timestamp: UnixTime,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The kind of usage.
    #[serde(rename = "type")]
    pub kind: UsageKind,
    /// The project.
    pub project_id: ProjectId,
    /// The user, if the key is a user's.
    pub user_id: Option<UserId>,
    /// The key.
    pub api_key_id: Option<KeyId>,
    /// The model, as the upstream or the client named it.
    pub model: Option<String>,
    /// True if the request was part of a batch.
    pub batch: bool,
    /// The service tier.
    pub service_tier: Option<String>,
    /// The size of the images.
    pub size: Option<String>,
    /// `image.generation`, `image.edit` or `image.variation`.
    pub source: Option<String>,
    /// The vector store.
    pub vector_store_id: Option<String>,
    /// `low`, `medium` or `high`.
    pub context_level: Option<String>,
    /// The API that the usage comes from.
    #[serde(default, skip_serializing_if = "ApiSource::is_unlabeled")]
    pub api_source: ApiSource,
    /// The quantities.
    pub quantities: Quantities,
    /// True if the quantities are estimated, because the upstream did not report any.
    pub estimated: bool,
    /// The outcome.
    pub outcome: Outcome,
}

impl UsageEvent {
    /// Returns the event of a usage that succeeded and was measured, without any dimension but the project.
    #[must_use]
    pub fn new(
        id: String,
        timestamp: UnixTime,
        organization_id: OrganizationId,
        project_id: ProjectId,
        kind: UsageKind,
        quantities: Quantities,
    ) -> Self {
        Self {
            id,
            timestamp,
            organization_id,
            kind,
            project_id,
            user_id: None,
            api_key_id: None,
            model: None,
            batch: false,
            service_tier: None,
            size: None,
            source: None,
            vector_store_id: None,
            context_level: None,
            api_source: ApiSource::Unlabeled,
            quantities,
            estimated: false,
            outcome: Outcome::Succeeded,
        }
    }

    /// Returns the value of a dimension; `true` or `false` for `batch`, and `None` for usage that is unlabeled.
    #[must_use]
    pub fn dimension(&self, dimension: Dimension) -> Option<&str> {
        match dimension {
            Dimension::ProjectId => Some(self.project_id.as_str()),
            Dimension::UserId => self.user_id.as_ref().map(UserId::as_str),
            Dimension::ApiKeyId => self.api_key_id.as_ref().map(KeyId::as_str),
            Dimension::Model => self.model.as_deref(),
            Dimension::Batch => Some(if self.batch { "true" } else { "false" }),
            Dimension::ServiceTier => self.service_tier.as_deref(),
            Dimension::Size => self.size.as_deref(),
            Dimension::Source => self.source.as_deref(),
            Dimension::VectorStoreId => self.vector_store_id.as_deref(),
            Dimension::ContextLevel => self.context_level.as_deref(),
            Dimension::ApiSource => {
                let source = Some(self.api_source).filter(|source| !source.is_unlabeled());
                source.map(ApiSource::as_str)
            }
        }
    }

    /// Returns the dimensions whose texts come from outside.
    pub(crate) fn texts(&self) -> [Option<&String>; 6] {
        [
            self.model.as_ref(),
            self.service_tier.as_ref(),
            self.size.as_ref(),
            self.source.as_ref(),
            self.vector_store_id.as_ref(),
            self.context_level.as_ref(),
        ]
    }

    /// Returns the dimensions of [`UsageEvent::texts`], mutably.
    pub(crate) fn texts_mut(&mut self) -> [Option<&mut String>; 6] {
        [
            self.model.as_mut(),
            self.service_tier.as_mut(),
            self.size.as_mut(),
            self.source.as_mut(),
            self.vector_store_id.as_mut(),
            self.context_level.as_mut(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::parse(metric.as_str()), Some(*metric));
            assert_eq!(Metric::ALL[*metric as usize], *metric);
        }
        for kind in UsageKind::ALL {
            assert_eq!(UsageKind::parse(kind.as_str()), Some(*kind));
        }
    }

    #[test]
    fn stored_names_are_those_on_the_wire() {
        let stored = |name: serde_json::Result<String>| name.expect("JSON").replace('"', "");
        for metric in Metric::ALL {
            assert_eq!(stored(serde_json::to_string(metric)), metric.as_str());
        }
        for kind in UsageKind::ALL {
            assert_eq!(stored(serde_json::to_string(kind)), kind.as_str());
        }
        for outcome in Outcome::ALL {
            assert_eq!(stored(serde_json::to_string(outcome)), outcome.as_str());
        }
    }
}
