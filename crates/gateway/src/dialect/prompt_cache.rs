//! The field `prompt_cache_retention` of a request: the time for which a model server keeps the prompt cache, and the edit that
//! asks for one in memory.

use super::edits::Edit;
use super::{Dialect, Fields};

/// Name of the field.
pub(crate) const PROMPT_CACHE_RETENTION: &str = "prompt_cache_retention";
/// The value for a prompt cache in memory.
const IN_MEMORY: &str = "in_memory";
/// Spelling of [`IN_MEMORY`] in earlier versions of official clients; servers could take it for no value.
const EARLIER_IN_MEMORY: &str = "in-memory";

/// The prompt cache that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedPromptCache {
    /// Any prompt cache: the model server chooses.
    Default,
    InMemory,
    /// A prompt cache that outlives the memory of the model server, or a value that only the model server knows.
    Other,
}

/// The field in the body of a request.
pub(super) struct PromptCacheField {
    pub(super) requested: RequestedPromptCache,
    /// The edit that asks for a prompt cache in memory; `None` if the request does.
    pub(super) in_memory: Option<Edit>,
}

impl PromptCacheField {
    /// Reads the field; `None` if the endpoint has none, or if no model works on its requests.
    pub(super) fn of(dialect: &Dialect, fields: &Fields<'_>) -> Option<Self> {
        if dialect.is_free || !fields.names.contains(&PROMPT_CACHE_RETENTION) {
            return None;
        }
        let Some(value) = fields.get(PROMPT_CACHE_RETENTION) else {
            let end = fields.range(fields.get("model")?).end;
            return Some(Self {
                requested: RequestedPromptCache::Default,
                in_memory: Some(Edit {
                    range: end..end,
                    text: r#","prompt_cache_retention":"in_memory""#,
                }),
            });
        };
        let text: Option<String> = serde_json::from_slice(value).ok();
        let requested = match text.as_deref() {
            Some(IN_MEMORY) => RequestedPromptCache::InMemory,
            Some(EARLIER_IN_MEMORY) => RequestedPromptCache::Default,
            None if value == b"null" => RequestedPromptCache::Default,
            _ => RequestedPromptCache::Other,
        };
        let replacement = Edit {
            range: fields.range(value),
            text: r#""in_memory""#,
        };
        let is_default = requested == RequestedPromptCache::Default;
        Some(Self {
            requested,
            in_memory: is_default.then_some(replacement),
        })
    }
}
