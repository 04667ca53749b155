//! Meanings of the members of a request, by their names.

use crate::object_kind::ObjectKind;
use access::HostedTool;
use base::{Error, Result};

use super::names::folds_to;

/// The meaning of a member.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// Nothing by itself; what is in it may.
    Plain,
    /// The client's own, or what a model said: no model server looks anything up in it.
    Own,
    /// The type of its object.
    Kind,
    /// A list of tools.
    Tools,
    /// A tool, or a list of tools; or the subject of a model of its own.
    Choice,
    /// The name of a model.
    Model,
    /// The ids of files or vector stores.
    Mention(&'static str, ObjectKind),
    /// The id of something else that a model server keeps.
    Reference(&'static str),
    /// An object with such an id.
    Holder(&'static str),
    /// The place where programs run: an id, or an object.
    Container,
    /// The place where programs run: an object.
    Environment,
    /// An object whose names are the client's own.
    Variables,
    Id,
    /// The author of a message.
    Author,
    /// An object with sound.
    Sound,
    /// A file, or its address.
    File,
    /// An address, of a file where one is expected.
    Address,
    /// The content of a file.
    Content,
    /// A file in some objects.
    Data,
}

/// The names that must be spelt so, and given once, in every object that is not the client's own.
pub(super) const NAMES: [&str; 23] = [
    "type",
    "tools",
    "tool_choice",
    "file_id",
    "file_ids",
    "vector_store_id",
    "vector_store_ids",
    "container",
    "container_id",
    "skill_id",
    "previous_response_id",
    "comparison_response_id",
    "continuation_id",
    "conversation",
    "prompt",
    "audio",
    "voice",
    "environment",
    "variables",
    "id",
    "stream_options",
    "allowed_tools",
    "model",
];

/// The meaning of each of [`NAMES`].
pub(super) const MEANINGS: [Meaning; 23] = [
    Meaning::Kind,
    Meaning::Tools,
    Meaning::Choice,
    Meaning::Mention("file_id", ObjectKind::File),
    Meaning::Mention("file_ids", ObjectKind::File),
    Meaning::Mention("vector_store_id", ObjectKind::VectorStore),
    Meaning::Mention("vector_store_ids", ObjectKind::VectorStore),
    Meaning::Container,
    Meaning::Reference("container_id"),
    Meaning::Reference("skill_id"),
    Meaning::Reference("previous_response_id"),
    Meaning::Reference("comparison_response_id"),
    Meaning::Reference("continuation_id"),
    Meaning::Holder("conversation"),
    Meaning::Holder("prompt"),
    Meaning::Holder("audio"),
    Meaning::Holder("voice"),
    Meaning::Environment,
    Meaning::Variables,
    Meaning::Id,
    Meaning::Plain,
    Meaning::Plain,
    Meaning::Model,
];

/// Returns the meaning of a member with another name. A name that is spelt otherwise means less, which is never less
/// strict.
pub(super) fn of_other(name: &str) -> Meaning {
    match name {
        "annotations"
        | "arguments"
        | "attributes"
        | "chat_template_kwargs"
        | "env"
        | "guided_json"
        | "headers"
        | "input_schema"
        | "logit_bias"
        | "metadata"
        | "output_schema"
        | "parameters"
        | "results"
        | "schema"
        | "structured_outputs" => Meaning::Own,
        "role" => Meaning::Author,
        "moderation" | "svg" => Meaning::Choice,
        "input_audio" => Meaning::Sound,
        "image_url" | "video_url" | "audio_url" | "file_url" => Meaning::File,
        "url" => Meaning::Address,
        "file_data" => Meaning::Content,
        "data" | "result" => Meaning::Data,
        _ => Meaning::Plain,
    }
}

/// The hosted tool that a member of the body itself asks for: here, or in the dialects of other providers.
pub(super) fn search(name: &str) -> Option<HostedTool> {
    let mut all = SEARCHES.iter();
    all.find(|(search, _)| folds_to(name, search))
        .map(|(_, tool)| *tool)
}

const SEARCHES: [(&str, HostedTool); 6] = [
    ("web_search_options", HostedTool::WebSearch),
    ("search_parameters", HostedTool::WebSearch),
    ("enable_search", HostedTool::WebSearch),
    ("plugins", HostedTool::WebSearch),
    ("data_sources", HostedTool::FileSearch),
    ("mcp_servers", HostedTool::Mcp),
];

/// Members of the body itself with which proxies are told to ask another model, or with other credentials, than was checked.
const ROUTING: [&str; 19] = [
    "headers",
    "deployment_id",
    "preset",
    "target_model_names",
    "custom_llm_provider",
    "models",
    "model_list",
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "extra_body",
    "extra_headers",
    "extra_query",
    "api_base",
    "base_url",
    "api_key",
    "user_config",
    "litellm_params",
    "specific_deployment",
];

/// # Errors
/// 400: the member would lead the request past the checks.
pub(super) fn check_routing(name: &str) -> Result<()> {
    if !ROUTING.iter().any(|routing| folds_to(name, routing)) {
        return Ok(());
    }
    let message = format!(
        "{name} is not taken: a request is for one model, named by model, and which server answers is for the gateway \
         to choose."
    );
    Err(Error::invalid(name, message))
}

/// The longest setting, in bytes.
const MAX_SETTING_BYTES: usize = 256;

/// Members that no model reads as long as they are short strings.
const SETTINGS: [&str; 24] = [
    "encoding_format",
    "function_call",
    "background",
    "conversation",
    "moderation",
    "output_format",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "quality",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "service_tier",
    "size",
    "store",
    "stream_format",
    "style",
    "tool_choice",
    "truncation",
    "user",
    "verbosity",
    "voice",
    "input_fidelity",
];

/// True if a member of the body itself counts as text: all that can hold some, except the model's name and settings.
pub(super) fn is_text(name: &str, value: &[u8]) -> bool {
    if name == "model" || name == "stream_options" {
        return false;
    }
    match value.first() {
        Some(b'"') => !is_setting(name, value),
        Some(b'{' | b'[') => true,
        _ => false,
    }
}

/// True if a member is a short string that no model reads.
pub(super) fn is_setting(name: &str, value: &[u8]) -> bool {
    value.len() <= MAX_SETTING_BYTES && SETTINGS.contains(&name)
}

/// True if a field of a form that is looked at counts as text.
pub(super) fn is_form_text(name: &str) -> bool {
    matches!(name, "prompt" | "input" | "instructions")
}
