//! The paths to the values of an answer that matter for its usage.

use super::message_path::MessagePath;
use super::reported_usage::UsageField;

/// The path to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonPath {
    Root,
    /// The response of an event.
    Response,
    /// A line of the output of a batch.
    BatchLine,
    BatchResponse,
    StatusCode,
    Usage,
    InputDetails,
    /// The kinds of the cached tokens.
    CachedDetails,
    /// The lifetimes of the tokens written to the cache.
    CacheWriteDetails,
    OutputDetails,
    /// The cost in US dollars.
    Cost,
    Tokens(UsageField),
    Seconds,
    /// An extension object of a server that has the usage.
    Extension,
    ExtensionUsage,
    Error,
    /// The code, type or status of an error, which shows if it is the client's.
    ErrorCode,
    Choices,
    Choice,
    FinishReason,
    /// Content of a choice.
    Content,
    /// Content of a choice in which no text is generated text.
    OtherContent,
    /// Generated text of a choice.
    Text,
    Output,
    Item,
    /// The item of an event.
    EventItem,
    /// A part of an item's content.
    ItemPart,
    /// Generated text of an item.
    ItemText,
    Action,
    /// Generated text that an event adds.
    Delta,
    Data,
    Results,
    Duration,
    /// A value of an answer in Anthropic's format.
    Message(MessagePath),
    /// A short text that is kept.
    Field(TextField),
    /// A member without a known meaning.
    Unknown,
    /// A value that does not matter.
    Skipped,
}

/// A member whose short text is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextField {
    Type,
    Object,
    Status,
    ServiceTier,
    /// The speed of a sampling.
    Speed,
    Size,
    ItemType,
    ActionType,
    /// The container that the program of an item ran in.
    Container,
}

impl JsonPath {
    /// Returns the path to the member `key` of the object at this path.
    pub(crate) fn member(self, key: &[u8]) -> Self {
        match self {
            Self::Root => of_document(key),
            Self::Message(path) => path.member(key),
            Self::Response => of_response(key),
            Self::BatchLine if key == b"response" => Self::BatchResponse,
            Self::BatchResponse => match key {
                b"status_code" => Self::StatusCode,
                b"body" => Self::Root,
                _ => Self::Skipped,
            },
            Self::Usage | Self::ExtensionUsage => of_usage(key),
            Self::InputDetails => of_input_details(key),
            Self::CachedDetails => UsageField::of_cached(key).map_or(Self::Skipped, Self::Tokens),
            Self::CacheWriteDetails => {
                UsageField::of_cache_write(key).map_or(Self::Skipped, Self::Tokens)
            }
            Self::OutputDetails => UsageField::of_output(key).map_or(Self::Skipped, Self::Tokens),
            Self::Extension if key == b"usage" => Self::ExtensionUsage,
            Self::Error if matches!(key, b"code" | b"type" | b"status") => Self::ErrorCode,
            Self::Choice => of_choice(key),
            Self::Content => match key {
                b"content" | b"reasoning_content" | b"reasoning" | b"refusal" | b"arguments"
                | b"text" | b"transcript" => Self::Text,
                b"reasoning_details" | b"annotations" => Self::OtherContent,
                _ => Self::Content,
            },
            // A list of parts instead of a text.
            Self::Text => Self::Content.member(key),
            Self::OtherContent => Self::OtherContent,
            Self::Item | Self::EventItem => of_item(key),
            Self::ItemPart | Self::ItemText => match key {
                b"text" | b"refusal" | b"transcript" => Self::ItemText,
                _ => Self::Skipped,
            },
            Self::Action if key == b"type" => Self::Field(TextField::ActionType),
            _ => Self::Skipped,
        }
    }

    /// Returns the path to an element of the array at this path.
    pub(crate) fn element(self) -> Self {
        match self {
            Self::Message(path) => path.element(),
            Self::Choices => Self::Choice,
            Self::Output => Self::Item,
            Self::Content | Self::OtherContent | Self::ItemPart => self,
            Self::Text => Self::Content,
            Self::ItemText => Self::ItemPart,
            _ => Self::Skipped,
        }
    }

    /// True if a string at this path is generated text.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::ItemText | Self::Delta | Self::Message(MessagePath::Input)
        )
    }

    /// True if a string at this path is short and is kept as a whole.
    pub(crate) fn is_short_text(self) -> bool {
        matches!(
            self,
            Self::Tokens(_)
                | Self::Seconds
                | Self::Duration
                | Self::ErrorCode
                | Self::FinishReason
                | Self::Field(_)
                | Self::Message(MessagePath::IterationTokens(_) | MessagePath::TokenCount)
        )
    }
}

fn of_document(key: &[u8]) -> JsonPath {
    match key {
        b"response" => JsonPath::Response,
        b"choices" => JsonPath::Choices,
        b"data" => JsonPath::Data,
        b"results" | b"answers" => JsonPath::Results,
        b"item" => JsonPath::EventItem,
        b"delta" => JsonPath::Delta,
        b"duration" => JsonPath::Duration,
        b"size" => JsonPath::Field(TextField::Size),
        b"type" => JsonPath::Field(TextField::Type),
        b"object" => JsonPath::Field(TextField::Object),
        b"code" => JsonPath::ErrorCode,
        b"x_groq" => JsonPath::Extension,
        b"id" | b"model" | b"created" | b"system_fingerprint" => JsonPath::Skipped,
        key => match of_response(key) {
            JsonPath::Skipped => JsonPath::Unknown,
            known => known,
        },
    }
}

fn of_response(key: &[u8]) -> JsonPath {
    match key {
        b"usage" => JsonPath::Usage,
        b"error" => JsonPath::Error,
        b"output" => JsonPath::Output,
        b"status" => JsonPath::Field(TextField::Status),
        b"service_tier" => JsonPath::Field(TextField::ServiceTier),
        _ => JsonPath::Skipped,
    }
}

fn of_usage(key: &[u8]) -> JsonPath {
    match key {
        b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
            JsonPath::InputDetails
        }
        b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
            JsonPath::OutputDetails
        }
        b"seconds" => JsonPath::Seconds,
        b"cost" => JsonPath::Cost,
        key => UsageField::of_usage(key).map_or(JsonPath::Skipped, JsonPath::Tokens),
    }
}

fn of_input_details(key: &[u8]) -> JsonPath {
    match key {
        b"cached_tokens_details" => JsonPath::CachedDetails,
        b"cache_write_tokens_details" => JsonPath::CacheWriteDetails,
        key => UsageField::of_input(key).map_or(JsonPath::Skipped, JsonPath::Tokens),
    }
}

fn of_choice(key: &[u8]) -> JsonPath {
    match key {
        b"index" => JsonPath::Skipped,
        b"finish_reason" => JsonPath::FinishReason,
        b"error" => JsonPath::Error,
        b"text" => JsonPath::Text,
        b"delta" | b"message" => JsonPath::Content,
        _ => JsonPath::OtherContent,
    }
}

fn of_item(key: &[u8]) -> JsonPath {
    match key {
        b"type" => JsonPath::Field(TextField::ItemType),
        b"container_id" => JsonPath::Field(TextField::Container),
        b"action" => JsonPath::Action,
        b"text" | b"arguments" | b"code" | b"input" | b"refusal" => JsonPath::ItemText,
        b"content" | b"summary" => JsonPath::ItemPart,
        _ => JsonPath::Skipped,
    }
}
