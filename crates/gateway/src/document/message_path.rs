//! The paths to the values of an answer in Anthropic's format: a message, or an event of its stream.

use super::json_path::{JsonPath, TextField};
use super::reported_usage::UsageField;

/// The path to a value of an answer in Anthropic's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessagePath {
    /// A message, an event, or a number of tokens.
    Root,
    /// The message of an event.
    Message,
    /// The blocks of a message.
    Content,
    Block,
    /// An addition of an event to a block or to the message.
    Delta,
    /// The input of a tool, each string of which is generated text.
    Input,
    Usage,
    /// The tokens written to the cache, by lifetime.
    CacheCreation,
    ServerToolUse,
    /// The samplings that a request took.
    Iterations,
    Iteration,
    /// The tokens that one sampling wrote to the cache, by lifetime.
    IterationCacheCreation,
    /// Tokens of one sampling.
    IterationTokens(UsageField),
    /// The tokens of an input that was only counted.
    TokenCount,
}

impl MessagePath {
    /// Returns the path to the member `key` of the object at this path.
    pub(super) fn member(self, key: &[u8]) -> JsonPath {
        match self {
            Self::Root => match key {
                b"type" => JsonPath::Field(TextField::Type),
                b"message" => Self::Message.into(),
                b"content_block" => Self::Block.into(),
                b"delta" => Self::Delta.into(),
                b"error" => JsonPath::Error,
                b"input_tokens" => Self::TokenCount.into(),
                key => Self::Message.member(key),
            },
            Self::Message => match key {
                b"content" => Self::Content.into(),
                b"stop_reason" => JsonPath::FinishReason,
                b"usage" => Self::Usage.into(),
                _ => JsonPath::Skipped,
            },
            Self::Block => match key {
                b"text" | b"thinking" => JsonPath::Delta,
                b"input" => Self::Input.into(),
                _ => JsonPath::Skipped,
            },
            Self::Delta => match key {
                b"text" | b"thinking" | b"partial_json" => JsonPath::Delta,
                b"stop_reason" => JsonPath::FinishReason,
                _ => JsonPath::Skipped,
            },
            Self::Input => self.into(),
            Self::Usage => match key {
                b"cache_creation" => Self::CacheCreation.into(),
                b"server_tool_use" => Self::ServerToolUse.into(),
                b"iterations" => Self::Iterations.into(),
                b"service_tier" => JsonPath::Field(TextField::ServiceTier),
                b"speed" => JsonPath::Field(TextField::Speed),
                key => UsageField::of_message(key).map_or(JsonPath::Skipped, JsonPath::Tokens),
            },
            Self::CacheCreation => {
                UsageField::of_cache_creation(key).map_or(JsonPath::Skipped, JsonPath::Tokens)
            }
            Self::ServerToolUse if key == b"web_search_requests" => {
                JsonPath::Tokens(UsageField::WebSearches)
            }
            Self::Iteration => match key {
                b"type" => JsonPath::Field(TextField::ItemType),
                b"cache_creation" => Self::IterationCacheCreation.into(),
                key => UsageField::of_message(key).map_or(JsonPath::Skipped, of_iteration),
            },
            Self::IterationCacheCreation => {
                UsageField::of_cache_creation(key).map_or(JsonPath::Skipped, of_iteration)
            }
            _ => JsonPath::Skipped,
        }
    }

    /// Returns the path to an element of the array at this path.
    pub(super) fn element(self) -> JsonPath {
        match self {
            Self::Content => Self::Block.into(),
            Self::Iterations => Self::Iteration.into(),
            Self::Input => self.into(),
            _ => JsonPath::Skipped,
        }
    }
}

fn of_iteration(field: UsageField) -> JsonPath {
    MessagePath::IterationTokens(field).into()
}

impl From<MessagePath> for JsonPath {
    fn from(path: MessagePath) -> Self {
        Self::Message(path)
    }
}
