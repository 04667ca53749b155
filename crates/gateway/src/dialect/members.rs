//! The members of a request by name: what each means, and which name a server could take for another.

use crate::object_kind::ObjectKind;
use access::HostedTool;
use base::{Error, Result};

/// The meaning of a member.
#[derive(Clone, Copy)]
pub(super) enum MemberKind {
    /// A member without a meaning of its own; its value is read.
    Plain,
    /// Data of the client, or output of a model, in which a model server looks nothing up; its value is skipped.
    Opaque,
    /// The type of its object.
    Type,
    /// A list of tools.
    Tools,
    /// A tool, a list of tools, or an object that has a model of its own.
    Tool,
    /// The name of a model.
    Model,
    /// The ids of objects that an upstream stores.
    ObjectRef(ObjectKind),
    /// The id of the response whose use of the prompt cache is compared.
    ComparedResponse,
    /// The conversation that a request continues: an id, or an object that has one.
    Conversation,
    /// The id of another object that a model server stores.
    UnownedRef,
    /// An object that has the id of such an object.
    UnownedObject,
    /// The container that programs run in: an id, or an object.
    Container,
    /// The container that programs run in: an object.
    Environment,
    /// The size of the context of a web search.
    ContextLevel,
    /// The memory of a container.
    ContainerMemory,
    /// An object that makes a model server keep the conversation, or names one that it keeps.
    Thread,
    /// An object with a file or the URL of one, or the origin of a text.
    Source,
    /// An object whose names are the client's own.
    Variables,
    Id,
    /// The author of a message.
    Role,
    /// An object with audio.
    Audio,
    /// The URL of a file, or an object that has one.
    FileUrl,
    /// A URL, of a file where a file is expected.
    Url,
    /// The content of a file.
    FileContent,
    /// The content of an item of an earlier answer that only model servers can read.
    EncryptedContent,
    /// The image of an item of an earlier answer; a file in some other objects.
    ToolResult,
    /// Content that is a file in some objects.
    Data,
}

/// The name of a member, if it is one of [`MemberKind::NAMED`], and its meaning.
pub(super) type Member = (&'static str, MemberKind);

impl MemberKind {
    /// The names that must be spelt exactly so, and given once, in every object that is not opaque, and their meanings.
    pub(super) const NAMED: [Member; 25] = [
        ("type", Self::Type),
        ("tools", Self::Tools),
        ("tool_choice", Self::Tool),
        ("file_id", Self::ObjectRef(ObjectKind::File)),
        ("file_ids", Self::ObjectRef(ObjectKind::File)),
        ("vector_store_id", Self::ObjectRef(ObjectKind::VectorStore)),
        ("vector_store_ids", Self::ObjectRef(ObjectKind::VectorStore)),
        ("container", Self::Container),
        ("container_id", Self::ObjectRef(ObjectKind::Container)),
        ("skill_id", Self::UnownedRef),
        (
            "previous_response_id",
            Self::ObjectRef(ObjectKind::Response),
        ),
        ("comparison_response_id", Self::ComparedResponse),
        ("continuation_id", Self::UnownedRef),
        ("conversation", Self::Conversation),
        ("prompt", Self::UnownedObject),
        ("audio", Self::UnownedObject),
        ("voice", Self::UnownedObject),
        ("environment", Self::Environment),
        ("variables", Self::Variables),
        ("id", Self::Id),
        ("stream_options", Self::Plain),
        ("allowed_tools", Self::Plain),
        ("model", Self::Model),
        ("search_context_size", Self::ContextLevel),
        ("memory_limit", Self::ContainerMemory),
    ];
}

impl MemberKind {
    /// The further names that must be spelt exactly so, and given once, in Anthropic's format, and their meanings.
    pub(super) const NAMED_IN_MESSAGES: [Member; 6] = [
        ("previous_message_id", Self::UnownedRef),
        ("thread", Self::Thread),
        ("source", Self::Source),
        ("definition", Self::Tool),
        ("input", Self::Opaque),
        ("max_uses", Self::Plain),
    ];
}

/// Returns the meaning of a member with another name. A name in another spelling has no meaning here, which is the stricter
/// reading: it exempts nothing from the checks.
pub(super) fn other(name: &str) -> MemberKind {
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
        | "structured_outputs" => MemberKind::Opaque,
        "role" => MemberKind::Role,
        "moderation" | "svg" => MemberKind::Tool,
        "input_audio" => MemberKind::Audio,
        "image_url" | "video_url" | "audio_url" | "file_url" => MemberKind::FileUrl,
        "url" => MemberKind::Url,
        "file_data" => MemberKind::FileContent,
        "encrypted_content" => MemberKind::EncryptedContent,
        "result" => MemberKind::ToolResult,
        "data" => MemberKind::Data,
        _ => MemberKind::Plain,
    }
}

/// Returns the hosted tool that a top-level member enables, in any provider's API.
pub(super) fn enabled_tool(name: &str) -> Option<HostedTool> {
    let is_taken_for = folding(name);
    let mut all = TOOL_SWITCHES.iter();
    all.find(|(switch, _)| is_taken_for(switch))
        .map(|(_, tool)| *tool)
}

/// The members that enable a hosted tool.
const TOOL_SWITCHES: [(&str, HostedTool); 6] = [
    ("web_search_options", HostedTool::WebSearch),
    ("search_parameters", HostedTool::WebSearch),
    ("enable_search", HostedTool::WebSearch),
    ("plugins", HostedTool::WebSearch),
    ("data_sources", HostedTool::FileSearch),
    ("mcp_servers", HostedTool::Mcp),
];

/// Top-level members that make proxies ask another model, or use other credentials, than was checked.
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

/// Refuses a top-level member that would route the request past the checks.
///
/// # Errors
/// 400.
pub(super) fn check_routing(name: &str) -> Result<()> {
    let is_taken_for = folding(name);
    if !ROUTING.iter().any(|routing| is_taken_for(routing)) {
        return Ok(());
    }
    let message = format!(
        "{name} is not taken: a request is for one model, named by model, and which server answers is for the gateway \
         to choose."
    );
    Err(Error::invalid(name, message))
}

/// The longest setting.
const MAX_SETTING_BYTES: usize = 256;

/// Top-level members that no model reads as long as they are short strings.
const SETTINGS: [&str; 26] = [
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
    "type",
    "stream_id",
];

/// True if a top-level member counts as text: every value that can hold some, except the name of the model and settings.
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

/// True if a top-level member is a short string that no model reads.
pub(super) fn is_setting(name: &str, value: &[u8]) -> bool {
    value.len() <= MAX_SETTING_BYTES && SETTINGS.contains(&name)
}

/// True if a form field that an endpoint reads counts as text.
pub(super) fn is_form_text(name: &str) -> bool {
    matches!(name, "prompt" | "input" | "instructions")
}

/// Returns the index of a name among those that are known.
///
/// # Errors
/// 400: a server that ignores case would take the name for a known one, but the spelling differs.
pub(super) fn find<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a &'static str>,
) -> Result<Option<usize>> {
    let is_taken_for = folding(name);
    for (index, known) in known.into_iter().enumerate() {
        if is_taken_for(known) {
            return match name == *known {
                true => Ok(Some(index)),
                false => Err(misspelt(name, known)),
            };
        }
    }
    Ok(None)
}

/// Returns [`folds_to`] for `name`. Names as clients write them are compared as they are, which takes a fraction of the time.
fn folding(name: &str) -> impl Fn(&str) -> bool {
    let folds_to_itself = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    let is_plain = name.bytes().all(folds_to_itself);
    move |known| match is_plain {
        true => name == known,
        false => folds_to(name, known),
    }
}

/// True if a server could take `name` for `known`, which is lower-case ASCII. Go folds case, and two characters beyond ASCII;
/// Java and .NET fold two others to an i; C ends a name at its first NUL.
pub(super) fn folds_to(name: &str, known: &str) -> bool {
    let mut known = known.chars();
    for character in name.chars() {
        match known.next() {
            Some(expected) if expected == folded(character) => {}
            Some(_) => return false,
            None => return character == '\0',
        }
    }
    known.next().is_none()
}

fn folded(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        _ => character.to_ascii_lowercase(),
    }
}

fn misspelt(name: &str, known: &str) -> Error {
    let message = format!(
        "{name} must be written {known}: some model servers read names without regard to case, and others do not."
    );
    Error::invalid(name, message)
}

/// Returns the refusal of a member that is given twice.
pub(super) fn duplicate(name: &str) -> Error {
    Error::invalid(name, format!("{name} is given more than once."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_folding_finds_every_spelling_that_a_server_could_accept() {
        let known = ["model", "tools", "stream_options", "file_id", "skill_id"];
        for (name, index) in [
            ("model", Some(0)),
            ("file_id", Some(3)),
            ("models", None),
            ("mode", None),
            ("", None),
            ("m\u{f6}del", None),
            ("file-id", None),
        ] {
            assert_eq!(find(name, &known).ok(), Some(index), "{name}");
        }
        for name in [
            "Model",
            "MODEL",
            "tool\u{17f}",
            "\u{17f}tream_optionS",
            "f\u{131}le_id",
            "F\u{130}LE_ID",
            "s\u{212a}ill_id",
            "model\0",
            "Model\0s",
        ] {
            let error = find(name, &known).expect_err(name);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some(name))
            );
        }
    }
}
