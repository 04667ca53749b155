//! The eleven usage reports with their filters and groupings.

use ::usage::{Dimension, UsageKind, UsageQuery};
use base::ids::OrganizationId;
use base::{Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Format, OTHER_TYPES};
use super::own;
use super::report::{ReportQuery, Reported, report};
use super::window::{BucketWidth, MAX_TIME_SECONDS, Window};
use super::{BucketPage, distinct};
use crate::operation::{Operation, Separated, stream};

/// Declares the query string of a report: common parameters, `filters` by dimensions, `flags`, and `groups`.
macro_rules! report_query {
    (
        $kind:ident: $query:ident by $(#[$group_attribute:meta])* $group:ident { $($dimension:ident),* }
        filters { $($(#[$doc:meta])* $filter:ident: $value:ty => $of:ident,)* }
        $(flags { $($(#[$flag_doc:meta])* $flag:ident,)* })?
    ) => {
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $query {
            /// Start of the period, in Unix seconds, inclusive.
            #[schemars(range(min = 0, max = MAX_TIME_SECONDS))]
            start_time: i64,
            /// End of the period, in Unix seconds, exclusive; now if absent.
            #[schemars(range(min = 1, max = MAX_TIME_SECONDS))]
            end_time: Option<i64>,
            /// Width of a bucket.
            #[serde(default)]
            bucket_width: BucketWidth,
            /// Maximum number of buckets on the page. By day: 7 by default, at most 31; by hour: 24, 168; by minute: 60, 1440.
            #[schemars(range(min = 1, max = 1440))]
            limit: Option<i64>,
            /// The `next_page` of the previous page.
            page: Option<String>,
            $($(#[$doc])* #[serde(default)] $filter: $value,)*
            $($($(#[$flag_doc])* $flag: Option<bool>,)*)?
            /// Dimensions to group results by.
            #[serde(default)]
            group_by: Separated<$group>,
            /// Format of the response.
            #[serde(default)]
            #[schemars(extend("x-orgplane" = true))]
            format: Format,
        }

        #[derive(Clone, Copy, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[schemars(inline)]
        $(#[$group_attribute])*
        enum $group { $($dimension,)* }

        impl From<$group> for Dimension {
            fn from(group: $group) -> Self {
                match group { $($group::$dimension => Self::$dimension,)* }
            }
        }

        impl ReportQuery for $query {
            const KIND: UsageKind = UsageKind::$kind;

            fn ask(self, organization_id: OrganizationId, now: UnixTime) -> Result<UsageQuery> {
                let Self { start_time, end_time, bucket_width, limit, page, .. } = self;
                let window = Window::new(start_time, end_time, bucket_width, limit, page, now)?;
                let filters = [$((Dimension::$of, words(self.$filter)),)*];
                let query = UsageQuery {
                    organization_id,
                    kind: Self::KIND,
                    start: window.start,
                    end: window.end,
                    width: window.width,
                    limit: window.limit,
                    group_by: distinct(self.group_by),
                    filters: filters.into_iter().filter(|(_, values)| !values.is_empty()).collect(),
                    batch: None,
                };
                Ok(UsageQuery { $($($flag: self.$flag,)*)? ..query })
            }

            fn format(&self) -> Format {
                self.format
            }
        }
    };
}

/// Declares the values of a filter.
macro_rules! values {
    ($name:ident { $($variant:ident = $word:literal,)* }) => {
        #[derive(Clone, Copy, Deserialize, JsonSchema)]
        #[schemars(inline)]
        enum $name { $(#[serde(rename = $word)] $variant,)* }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => $word.to_owned(),)* }
            }
        }
    };
}

fn words<V: Into<String>>(values: impl IntoIterator<Item = V>) -> Vec<String> {
    values.into_iter().map(Into::into).collect()
}

values! { ImageSource {
    Generation = "image.generation",
    Edit = "image.edit",
    Variation = "image.variation",
}}

values! { ImageSize {
    Square256 = "256x256",
    Square512 = "512x512",
    Square1024 = "1024x1024",
    Square1792 = "1792x1792",
    Tall1792 = "1024x1792",
}}

values! { ContextLevel {
    Low = "low",
    Medium = "medium",
    High = "high",
}}

/// Returns a list of operations, a line each.
macro_rules! reports {
    ($($query:ty: $command:literal, $path:literal, $about:literal;)*) => {
        vec![$(of::<$query>($command, $path, $about)),*]
    };
}

/// Returns a list of operations on the caller's own usage, a line each.
macro_rules! own_reports {
    ($($query:ty: $command:literal, $path:literal, $about:literal;)*) => {
        vec![$(own::report::<$query>($command, $path, $about)),*]
    };
}

pub(super) fn operations() -> Vec<Operation> {
    reports! {
        CompletionsQuery: "usage completions", "/organization/usage/completions",
            "Reports tokens and requests of completions.";
        EmbeddingsQuery: "usage embeddings", "/organization/usage/embeddings",
            "Reports tokens and requests of embeddings.";
        ModerationsQuery: "usage moderations", "/organization/usage/moderations",
            "Reports tokens and requests of moderations.";
        ImagesQuery: "usage images", "/organization/usage/images", "Reports images and requests.";
        AudioSpeechesQuery: "usage audio-speeches", "/organization/usage/audio_speeches",
            "Reports characters of generated speech and requests.";
        AudioTranscriptionsQuery: "usage audio-transcriptions", "/organization/usage/audio_transcriptions",
            "Reports transcribed seconds and requests.";
        VectorStoresQuery: "usage vector-stores", "/organization/usage/vector_stores",
            "Reports bytes in vector stores.";
        CodeInterpreterSessionsQuery: "usage code-interpreter-sessions", "/organization/usage/code_interpreter_sessions",
            "Reports sessions of the code interpreter.";
        FileSearchCallsQuery: "usage file-search-calls", "/organization/usage/file_search_calls",
            "Reports calls of file search.";
        WebSearchCallsQuery: "usage web-search-calls", "/organization/usage/web_search_calls",
            "Reports calls of web search.";
        DecisionsQuery: "usage decisions", "/organization/usage/decisions",
            "Reports tokens and requests of decisions.";
    }
}

/// Returns the reports on the caller's own usage: of the kinds of usage that have a user.
pub(super) fn own_operations() -> Vec<Operation> {
    own_reports! {
        CompletionsQuery: "me:usage completions", "/organization/me/usage/completions",
            "Reports tokens and requests of the caller's completions.";
        EmbeddingsQuery: "me:usage embeddings", "/organization/me/usage/embeddings",
            "Reports tokens and requests of the caller's embeddings.";
        ModerationsQuery: "me:usage moderations", "/organization/me/usage/moderations",
            "Reports tokens and requests of the caller's moderations.";
        ImagesQuery: "me:usage images", "/organization/me/usage/images",
            "Reports the caller's images and requests.";
        AudioSpeechesQuery: "me:usage audio-speeches", "/organization/me/usage/audio_speeches",
            "Reports characters of speech generated for the caller, and requests.";
        AudioTranscriptionsQuery: "me:usage audio-transcriptions", "/organization/me/usage/audio_transcriptions",
            "Reports seconds transcribed for the caller, and requests.";
        FileSearchCallsQuery: "me:usage file-search-calls", "/organization/me/usage/file_search_calls",
            "Reports the caller's calls of file search.";
        WebSearchCallsQuery: "me:usage web-search-calls", "/organization/me/usage/web_search_calls",
            "Reports the caller's calls of web search.";
        DecisionsQuery: "me:usage decisions", "/organization/me/usage/decisions",
            "Reports tokens and requests of the caller's decisions.";
    }
}

fn of<Q: ReportQuery>(command: &'static str, path: &'static str, about: &'static str) -> Operation {
    let needs = Permission::UsageRead;
    stream::<BucketPage<Reported<Q>>, _, _, _, _>(
        command,
        path,
        needs,
        about,
        OTHER_TYPES,
        report::<Q>,
    )
}

/// Declares the query strings of reports of models that read text and answer it.
macro_rules! answer_report_queries {
    ($($kind:ident: $query:ident by $group:ident;)*) => {$(
        report_query! {
            $kind: $query by $group { ProjectId, UserId, ApiKeyId, Model, Batch, ServiceTier, ApiSource }
            filters {
                /// Only usage of these projects.
                project_ids: Separated<String> => ProjectId,
                /// Only usage of these users.
                user_ids: Separated<String> => UserId,
                /// Only usage of these API keys.
                api_key_ids: Separated<String> => ApiKeyId,
                /// Only usage of these models.
                models: Vec<String> => Model,
            }
            flags {
                /// Only usage by batches (`true`), or only usage by other requests (`false`).
                batch,
            }
        }
    )*};
}

answer_report_queries! {
    Completions: CompletionsQuery by CompletionsGroup;
    Decisions: DecisionsQuery by DecisionsGroup;
}

/// Declares the query strings of reports by project, user, API key and model.
macro_rules! model_report_queries {
    ($($kind:ident: $query:ident by $group:ident;)*) => {$(
        report_query! {
            $kind: $query by $group { ProjectId, UserId, ApiKeyId, Model }
            filters {
                /// Only usage of these projects.
                project_ids: Separated<String> => ProjectId,
                /// Only usage of these users.
                user_ids: Separated<String> => UserId,
                /// Only usage of these API keys.
                api_key_ids: Separated<String> => ApiKeyId,
                /// Only usage of these models.
                models: Vec<String> => Model,
            }
        }
    )*};
}

model_report_queries! {
    Embeddings: EmbeddingsQuery by EmbeddingsGroup;
    Moderations: ModerationsQuery by ModerationsGroup;
    AudioSpeeches: AudioSpeechesQuery by AudioSpeechesGroup;
    AudioTranscriptions: AudioTranscriptionsQuery by AudioTranscriptionsGroup;
}

report_query! {
    Images: ImagesQuery by ImagesGroup { ProjectId, UserId, ApiKeyId, Model, Size, Source }
    filters {
        /// Only usage of these projects.
        project_ids: Separated<String> => ProjectId,
        /// Only usage of these users.
        user_ids: Separated<String> => UserId,
        /// Only usage of these API keys.
        api_key_ids: Separated<String> => ApiKeyId,
        /// Only usage of these models.
        models: Vec<String> => Model,
        /// Only images that were made in these ways.
        sources: Separated<ImageSource> => Source,
        /// Only images of these sizes.
        sizes: Separated<ImageSize> => Size,
    }
}

report_query! {
    VectorStores: VectorStoresQuery by VectorStoresGroup { ProjectId }
    filters {
        /// Only usage of these projects.
        project_ids: Separated<String> => ProjectId,
    }
}

report_query! {
    CodeInterpreterSessions: CodeInterpreterSessionsQuery by CodeInterpreterSessionsGroup { ProjectId }
    filters {
        /// Only usage of these projects.
        project_ids: Separated<String> => ProjectId,
    }
}

report_query! {
    FileSearchCalls: FileSearchCallsQuery by
    #[expect(clippy::enum_variant_names, reason = "the names are the contract's own")]
    FileSearchCallsGroup { ProjectId, UserId, ApiKeyId, VectorStoreId }
    filters {
        /// Only usage of these projects.
        project_ids: Separated<String> => ProjectId,
        /// Only usage of these users.
        user_ids: Separated<String> => UserId,
        /// Only usage of these API keys.
        api_key_ids: Separated<String> => ApiKeyId,
        /// Only usage of these vector stores.
        vector_store_ids: Separated<String> => VectorStoreId,
    }
}

report_query! {
    WebSearchCalls: WebSearchCallsQuery by WebSearchCallsGroup {
        ProjectId, UserId, ApiKeyId, Model, ContextLevel, ApiSource
    }
    filters {
        /// Only usage of these projects.
        project_ids: Separated<String> => ProjectId,
        /// Only usage of these users.
        user_ids: Separated<String> => UserId,
        /// Only usage of these API keys.
        api_key_ids: Separated<String> => ApiKeyId,
        /// Only usage of these models.
        models: Vec<String> => Model,
        /// Only searches with these context sizes.
        context_levels: Separated<ContextLevel> => ContextLevel,
    }
}
