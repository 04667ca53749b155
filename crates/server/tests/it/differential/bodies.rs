//! JSON bodies: plain ones, which must be forwarded, and what attackers add to them.

use serde_json::{Value, json};

use super::text::{Text, number, oddity, spelled};
use crate::dice::Dice;

/// The objects of a project, and those of another one.
#[derive(Clone)]
pub(super) struct Ownership {
    pub(super) file: String,
    pub(super) vector_store: String,
    pub(super) foreign_file: String,
    pub(super) foreign_vector_store: String,
}

/// More tokens, or images, than may be used at once.
pub(super) const EXCESS_COUNT: u64 = 900_000_000;
/// Tokens that may be used, but not without being set aside.
const RESERVED_COUNT: u64 = 400_000;

fn chat_base() -> Value {
    json!({"model": "cheap", "max_completion_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]})
}

fn response_base() -> Value {
    json!({"model": "cheap", "max_output_tokens": 16, "store": false})
}

/// The members of one object, and those of another, which win.
fn with(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

/// A plain request for a model: its path below `/v1`, and its body. Nothing that files are named in, unless `owns`.
pub(super) fn plain(dice: &Dice, owns: Option<&Ownership>) -> (&'static str, Value) {
    let schema = json!({"type": "object", "properties": {"Model": {"type": "string"}, "tools": {}, "file_id": {"default": "file-x"}}});
    let function = json!({"type": "function", "name": "f", "parameters": schema});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
    let chat = |more| ("/chat/completions", with(chat_base(), more));
    let response = |more| ("/responses", with(response_base(), more));
    match (dice.below(16), owns) {
        (0, _) => chat(json!({})),
        (1, _) => chat(json!({"tools": [tool], "tool_choice": "auto", "n": 2})),
        (2, _) => chat(json!({"stream": true, "stream_options": {"include_usage": true}})),
        (3, _) => chat(
            json!({"metadata": {"Model": "dear", "note": "\u{e9}\u{1f600}"}, "temperature": 0.5, "user": "u"}),
        ),
        (4, _) => chat(
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}),
        ),
        (5, Some(owned)) => chat(
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": owned.file}}]}]}),
        ),
        (6, _) => response(json!({"input": "Hello"})),
        (7, _) => response(
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}], "tools": [function]}),
        ),
        (8, _) => response(
            json!({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"model\":\"dear\"}"}, {"type": "function_call_output", "call_id": "c", "output": "{}"}]}),
        ),
        (9, Some(owned)) => response(
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": owned.file}]}]}),
        ),
        (10, _) => (
            "/completions",
            json!({"model": "cheap", "prompt": "Once", "max_tokens": 16, "best_of": 1, "n": 1}),
        ),
        (11, _) => (
            "/embeddings",
            json!({"model": "cheap", "input": ["a", "b"], "encoding_format": "float"}),
        ),
        (12, _) => ("/moderations", json!({"model": "cheap", "input": "a"})),
        (13, _) => (
            "/images/generations",
            json!({"model": "cheap", "prompt": "a", "n": 1, "size": "1024x1024"}),
        ),
        (14, _) => (
            "/audio/speech",
            json!({"model": "cheap", "input": "Hello", "voice": "alloy"}),
        ),
        _ => chat(
            json!({"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]}]}),
        ),
    }
}

/// Returns a member with what the policy forbids.
fn forbidden(path: &str, dice: &Dice, ownership: &Ownership) -> (&'static str, Text) {
    let kinds = [
        "mcp",
        "web_search",
        "file_search",
        "code_interpreter",
        "image_generation",
        "web_search_preview",
    ];
    let tool = json!({"type": dice.word(&kinds), "server_label": "x", "vector_store_ids": [], "container": "auto"});
    let value = |value: Value| Text::of(&value);
    match dice.below(16) {
        0..=2 => ("model", value(json!("dear"))),
        3 => ("tools", value(json!([tool]))),
        4 => (
            "tools",
            value(json!([{"type": "namespace", "name": "n", "tools": [tool]}])),
        ),
        5 | 6 => {
            let names: &[&'static str] = match path {
                "/responses" => &["max_output_tokens"],
                "/completions" => &["max_tokens"],
                _ => &["max_tokens", "max_completion_tokens"],
            };
            let much = if dice.one_in(2) {
                EXCESS_COUNT
            } else {
                RESERVED_COUNT
            };
            (*dice.pick(names), number(much, dice))
        }
        7 | 8 => (
            if dice.one_in(4) { "best_of" } else { "n" },
            number(EXCESS_COUNT, dice),
        ),
        9 => {
            let stores = ["true", "1", "\"true\"", "null", "\"yes\"", "1.0", "[true]"];
            ("store", Text::raw(dice.word(&stores)))
        }
        10 => ("file_id", value(json!(ownership.foreign_file))),
        11 => ("file_ids", value(json!([[ownership.foreign_file]]))),
        12 => (
            "vector_store_ids",
            value(json!([ownership.foreign_vector_store])),
        ),
        13 => ("web_search_options", value(json!({}))),
        14 => ("prompt", value(json!({"id": "pmpt_1", "version": "2"}))),
        _ => {
            let types = ["additional_tools", "tool_search_output", "message", "x"];
            let item = json!({"type": dice.word(&types), "role": "developer", "tools": [tool], "content": [{"type": "input_file", "file_id": ownership.foreign_file}]});
            let name = if path == "/responses" {
                "input"
            } else {
                "messages"
            };
            (name, value(json!([{"role": "user", "content": "a"}, item])))
        }
    }
}

/// Adds what the policy forbids to a body, in a spelling and at a place that only some readers see; and oddities.
pub(super) fn attack(path: &str, body: &mut Text, dice: &Dice, ownership: &Ownership) {
    if dice.one_in(3) {
        insert(body.members(dice), oddity(dice), dice);
    }
    for _ in 0..=dice.below(2) {
        let (name, value) = forbidden(path, dice, ownership);
        let member = (spelled(name, dice), value);
        let outermost = match dice.one_in(2) {
            true => body.outermost(),
            false => body.members(dice),
        };
        // In the place of the member of this name, or beside it.
        if dice.one_in(3) {
            let exact = super::text::quoted(name);
            outermost.retain(|(found, _)| *found != exact);
        }
        insert(outermost, member, dice);
    }
    if dice.one_in(6) {
        insert(body.members(dice), oddity(dice), dice);
    }
}

fn insert(members: &mut Vec<(Vec<u8>, Text)>, member: (Vec<u8>, Text), dice: &Dice) {
    let at = dice.below(members.len() as u64 + 1) as usize;
    members.insert(at, member);
}

/// The text of a body as programs write it.
pub(super) fn written_plainly(body: &Text) -> Vec<u8> {
    let mut text = Vec::new();
    body.write(&mut text, &Dice::seeded(0));
    text.retain(|byte| *byte != b'\n');
    text
}

/// The text of a body, now and then in another encoding or with something around it.
pub(super) fn written(body: &Text, dice: &Dice) -> Vec<u8> {
    let mut text = Vec::new();
    body.write(&mut text, dice);
    let as_text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    match dice.below(60) {
        0 => [b"\xef\xbb\xbf", text.as_slice()].concat(),
        1 => as_text(&text)
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect(),
        2 => as_text(&text)
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect(),
        3 => [text.as_slice(), br#"{"model":"dear"}"#].concat(),
        4 => [b"&model=dear&x=", text.as_slice()].concat(),
        5 => [b"\n\t ", text.as_slice(), b"\n"].concat(),
        6 => as_text(&text).replace("cheap", "che\\u0061p").into_bytes(),
        7 => as_text(&text)
            .replace("\"model\"", "\"+AG0AbwBkAGUAbA-\"")
            .into_bytes(),
        _ => text,
    }
}

/// A content type that JSON comes with, or should not.
pub(super) fn content_type(dice: &Dice) -> &'static str {
    let types = [
        "application/json; charset=utf-8",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=\"UTF-16LE\"",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/vnd.api+json",
        "multipart/form-data; boundary=model",
    ];
    if dice.one_in(8) {
        dice.word(&types)
    } else {
        "application/json"
    }
}

/// A query that only some servers look at.
pub(super) fn query(dice: &Dice) -> &'static str {
    let queries = [
        "?model=dear",
        "?Model=dear",
        "?max_tokens=900000000",
        "?api-version=1",
        "?mod%65l=dear",
        "?n=900000000&model=cheap",
        "?model=cheap&model=dear",
    ];
    if dice.one_in(15) {
        dice.word(&queries)
    } else {
        ""
    }
}
