//! The requests before they are altered: one for each route of the server, as its documents have it.

use serde_json::{Value, json};

use super::example::Examples;
use super::parts::Part;
use crate::dice::Dice;

/// The owner of a request's key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Administrator,
    Application,
    Nobody,
}

/// A request in its parts.
pub(super) struct Draft {
    pub(super) caller: Caller,
    pub(super) method: String,
    /// From the root, percent-encoded.
    pub(super) path: String,
    /// Percent-encoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) content: Content,
}

pub(super) enum Content {
    Nothing,
    Json(Value),
    Parts(Vec<Part>),
}

/// An operation of the gateway: method, path, and what it is sent.
type GatewayRoute = (&'static str, &'static str, fn() -> Content);

const GATEWAY: [GatewayRoute; 54] = [
    ("POST", "/chat/completions", chat),
    ("POST", "/completions", completion),
    ("POST", "/responses", response),
    ("POST", "/responses/compact", response),
    ("POST", "/responses/input_tokens", response),
    ("POST", "/embeddings", embedding),
    ("POST", "/moderations", embedding),
    ("POST", "/decisions", decision),
    ("POST", "/images/generations", image),
    ("POST", "/images/edits", upload),
    ("POST", "/images/variations", upload),
    ("POST", "/audio/speech", speech),
    ("POST", "/audio/transcriptions", upload),
    ("POST", "/audio/translations", upload),
    ("GET", "/models", nothing),
    ("GET", "/models/cheap", nothing),
    ("POST", "/responses", stored_response),
    ("GET", "/responses/{response_id}", nothing),
    ("DELETE", "/responses/{response_id}", nothing),
    ("POST", "/responses/{response_id}/cancel", nothing),
    ("GET", "/responses/{response_id}/input_items", nothing),
    ("POST", "/conversations", items),
    ("GET", "/conversations/{conversation_id}", nothing),
    ("POST", "/conversations/{conversation_id}", metadata),
    ("DELETE", "/conversations/{conversation_id}", nothing),
    ("GET", "/conversations/{conversation_id}/items", nothing),
    ("POST", "/conversations/{conversation_id}/items", items),
    (
        "GET",
        "/conversations/{conversation_id}/items/msg_1",
        nothing,
    ),
    ("POST", "/chat/completions", stored_chat),
    ("GET", "/chat/completions", nothing),
    ("GET", "/chat/completions/{completion_id}", nothing),
    ("POST", "/chat/completions/{completion_id}", metadata),
    ("DELETE", "/chat/completions/{completion_id}", nothing),
    ("GET", "/chat/completions/{completion_id}/messages", nothing),
    ("GET", "/files", nothing),
    ("POST", "/files", file),
    ("GET", "/files/{file_id}", nothing),
    ("GET", "/files/{file_id}/content", nothing),
    ("DELETE", "/files/{file_id}", nothing),
    ("GET", "/batches", nothing),
    ("POST", "/batches", batch),
    ("GET", "/batches/{batch_id}", nothing),
    ("POST", "/batches/{batch_id}/cancel", nothing),
    ("GET", "/vector_stores", nothing),
    ("POST", "/vector_stores", vector_store),
    ("GET", "/vector_stores/{vector_store_id}", nothing),
    ("POST", "/vector_stores/{vector_store_id}", vector_store),
    ("DELETE", "/vector_stores/{vector_store_id}", nothing),
    ("POST", "/vector_stores/{vector_store_id}/search", search),
    ("GET", "/vector_stores/{vector_store_id}/files", nothing),
    ("POST", "/vector_stores/{vector_store_id}/files", attach),
    (
        "POST",
        "/vector_stores/{vector_store_id}/file_batches",
        vector_store,
    ),
    (
        "GET",
        "/vector_stores/{vector_store_id}/files/{file_id}/content",
        nothing,
    ),
    (
        "DELETE",
        "/vector_stores/{vector_store_id}/files/{file_id}",
        nothing,
    ),
];

/// Paths that need no key.
const PUBLIC: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/openapi.json"];

fn nothing() -> Content {
    Content::Nothing
}

fn chat() -> Content {
    Content::Json(json!({
        "model": "cheap", "stream": false, "max_completion_tokens": 9, "n": 1, "service_tier": "auto", "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "file", "file": {"file_id": "file-1"}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "metadata": {"a": "b"},
    }))
}

fn completion() -> Content {
    Content::Json(json!({"model": "cheap", "prompt": ["a", "b"], "max_tokens": 9, "stream": true}))
}

fn response() -> Content {
    Content::Json(json!({
        "model": "cheap", "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}], "store": false,
        "max_output_tokens": 9, "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}], "prompt": {"id": "pmpt_1"},
    }))
}

fn stored_response() -> Content {
    Content::Json(json!({
        "model": "cheap", "input": [{"role": "user", "content": "Hello"}], "store": true, "max_output_tokens": 9,
    }))
}

fn stored_chat() -> Content {
    Content::Json(json!({
        "model": "cheap", "messages": [], "store": true, "max_completion_tokens": 9, "metadata": {"a": "b"},
    }))
}

fn items() -> Content {
    Content::Json(json!({
        "items": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        "metadata": {"a": "b"},
    }))
}

fn metadata() -> Content {
    Content::Json(json!({"metadata": {"a": "b"}}))
}

fn embedding() -> Content {
    Content::Json(json!({"model": "cheap", "input": ["a", "b"], "user": "u"}))
}

fn decision() -> Content {
    let part = json!({"type": "input_json", "data": {"a": [1]}});
    Content::Json(json!({
        "model": "cheap", "input": [{"role": "user", "content": [part]}],
        "questions": [{"type": "predicate", "name": "n", "instructions": "Is it true?"}],
    }))
}

fn image() -> Content {
    Content::Json(json!({"model": "cheap", "prompt": "a", "n": 2, "size": "1024x1024"}))
}

fn speech() -> Content {
    Content::Json(json!({"model": "cheap", "input": "Hello", "voice": "alloy"}))
}

fn upload() -> Content {
    let parts = [
        ("file", "a.mp3"),
        ("image", "a.png"),
        ("model", ""),
        ("n", ""),
    ];
    Content::Parts(
        parts
            .iter()
            .map(|(name, file)| Part::new(name, file))
            .collect(),
    )
}

fn file() -> Content {
    let mut lines = Part::new("file", "a.jsonl");
    lines.content = br#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"cheap","max_tokens":5,"messages":[]}}"#.to_vec();
    let mut purpose = Part::new("purpose", "");
    purpose.content = b"batch".to_vec();
    Content::Parts(vec![purpose, lines])
}

fn batch() -> Content {
    Content::Json(
        json!({"input_file_id": "file_id", "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
    )
}

fn vector_store() -> Content {
    Content::Json(json!({"file_ids": ["file_id"], "name": "a"}))
}

fn search() -> Content {
    Content::Json(json!({"query": "a"}))
}

fn attach() -> Content {
    Content::Json(json!({"file_id": "file_id"}))
}

/// All routes: operations of the document, those of the gateway, and what anybody may ask for.
pub(super) fn count(document: &Value) -> usize {
    operations(document).count() + GATEWAY.len() + PUBLIC.len()
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path, method, operation))
    })
}

/// The request for the route of this number.
pub(super) fn draft(number: usize, examples: &Examples<'_>) -> Draft {
    let administrative = operations(examples.document).count();
    if let Some((path, method, operation)) = operations(examples.document).nth(number) {
        return administration(path, method, operation, examples);
    }
    let (caller, method, path, content) = match GATEWAY.get(number - administrative) {
        Some((method, path, content)) => (Caller::Application, *method, *path, content()),
        None => {
            let path = PUBLIC[number - administrative - GATEWAY.len()];
            (Caller::Nobody, "GET", path, Content::Nothing)
        }
    };
    let mut draft = Draft {
        caller,
        method: method.to_owned(),
        path: filled(path, method == "DELETE", examples),
        query: Vec::new(),
        headers: Vec::new(),
        content,
    };
    if caller == Caller::Application {
        draft.path = format!("/v1{}", draft.path);
        fill(&mut draft.content, examples);
    }
    draft
}

fn administration(path: &str, method: &str, operation: &Value, examples: &Examples<'_>) -> Draft {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let content = match schema {
        Value::Null => Content::Nothing,
        schema => Content::Json(examples.of("", schema, 0)),
    };
    let deletes = method == "delete" || path.ends_with("/archive");
    Draft {
        caller: Caller::Administrator,
        method: method.to_uppercase(),
        path: format!("/v1{}", filled(path, deletes, examples)),
        query: query(operation, examples),
        headers: Vec::new(),
        content,
    }
}

fn query(operation: &Value, examples: &Examples<'_>) -> Vec<(String, String)> {
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let is_needed = parameter["required"] == true || examples.dice.one_in(4);
        if parameter["in"] != "query" || !is_needed {
            continue;
        }
        let name = parameter["name"].as_str().unwrap_or_default();
        let value = examples.of(name, &parameter["schema"], 0);
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), encoded);
            query.push((name.to_owned(), text));
        }
    }
    query
}

/// The last parameter is what a deletion deletes; what it lies in stays.
fn filled(path: &str, deletes: bool, examples: &Examples<'_>) -> String {
    let archive = "/archive";
    let (path, end) = match path.strip_suffix(archive) {
        Some(path) => (path, archive),
        None => (path, ""),
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    let segments = path.split('/').map(|segment| {
        let Some(name) = segment.strip_prefix('{') else {
            return segment.to_owned();
        };
        let name = name.trim_end_matches('}');
        let id = examples
            .ids
            .pick(name, deletes && segment == last, examples.dice);
        id.map_or_else(|| format!("{name}-none"), |id| encoded(&id))
    });
    segments.collect::<Vec<_>>().join("/") + end
}

/// Puts ids where a body names their parameter.
fn fill(content: &mut Content, examples: &Examples<'_>) {
    if let Content::Json(Value::Object(members)) = content {
        for value in members.values_mut() {
            let inner = match value {
                Value::Array(items) => items.first_mut(),
                other => Some(other),
            };
            if let Some(inner) = inner
                && *inner == "file_id"
                && let Some(id) = examples.ids.pick("file_id", false, examples.dice)
            {
                *inner = json!(id);
            }
        }
    }
}

/// Percent-encoded, all but letters and digits and what ids have.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let each = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(each).collect()
}

/// A route at random.
pub(super) fn any(document: &Value, dice: &Dice) -> usize {
    dice.below(count(document) as u64) as usize
}
