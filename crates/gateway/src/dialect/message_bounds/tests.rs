//! The bounds of requests in Anthropic's format, by their members.

use serde_json::{Value, json};

use super::*;

/// Returns the most that a request may consume.
fn most(members: Value) -> MaxUsage {
    let mut body = json!({"model": "m", "max_tokens": 50, "messages": []});
    let Value::Object(members) = members else {
        panic!("an object");
    };
    for (name, value) in members {
        body[name] = value;
    }
    MessageBounds::of(body.to_string().as_bytes())
        .expect("bounds")
        .max_usage()
}

fn user(block: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": [block]}]})
}

#[test]
fn every_byte_of_text_may_be_a_token_and_base64_is_none() {
    let text = "x".repeat(5_000);
    for members in [
        user(&json!({"type": "text", "text": text})),
        json!({"system": text}),
        json!({"tools": [{"name": "f", "description": text, "input_schema": {"type": "object"}}]}),
        user(&json!({"type": "tool_result", "tool_use_id": "t", "content": text})),
        user(
            &json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}),
        ),
        user(
            &json!({"type": "tool_use", "id": "t", "name": "f", "input": {"type": "document", "a": text}}),
        ),
    ] {
        let most = most(members.clone());
        assert!((5_000..7_000).contains(&most.input), "{most:?} {members}");
        assert_eq!(
            (most.unseen_windows, most.output, most.context_windows),
            (0, 50, 1)
        );
    }
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": text}});
    let nested = json!({"type": "tool_result", "tool_use_id": "t", "content": [image]});
    for block in [image, nested] {
        let most = most(user(&block));
        assert!(most.input < 2_000, "{most:?}");
        assert_eq!((most.input_images, most.unseen_windows), (1, 0));
    }
    let remote = json!({"type": "image", "source": {"type": "url", "url": "https://h/a.png"}});
    assert_eq!(most(user(&remote)).input_images, 1);
}

#[test]
fn content_of_unknown_length_fills_the_context_window() {
    for block in [
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}),
        json!({"source": {"type": "url", "url": "https://h/a.pdf"}, "type": "document"}),
        json!({"type": "document"}),
        json!({"type": "redacted_thinking", "data": "x"}),
        json!({"type": "web_search_tool_result", "tool_use_id": "t", "content": []}),
        json!({"type": "tool_result", "content": [{"type": "document", "source": {"type": "file"}}]}),
    ] {
        let most = most(user(&block));
        assert_eq!((most.unseen_windows, most.output), (1, 50), "{block}");
        assert_eq!(most.unseen.as_deref(), Some("messages"));
    }
}

#[test]
fn each_use_of_a_hosted_tool_reads_everything_again() {
    let search = |more: Value| {
        let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
        if let Some(uses) = more.as_i64() {
            tool["max_uses"] = uses.into();
        }
        json!({"tools": [tool, {"name": "f", "input_schema": {}}]})
    };
    let bounded = most(search(json!(3)));
    assert_eq!(
        (bounded.web_searches, bounded.unseen_windows, bounded.output),
        (3, 4, 200)
    );
    assert!(!bounded.has_unbounded_tools);
    assert!(most(search(Value::Null)).has_unbounded_tools);
    for tool in [
        "code_execution_20250825",
        "mcp_toolset",
        "from_the_future_20300101",
    ] {
        assert!(
            most(json!({"tools": [{"type": tool}]})).has_unbounded_tools,
            "{tool}"
        );
    }
    assert!(most(json!({"mcp_servers": [{"type": "url"}]})).has_unbounded_tools);
    for tool in [
        "bash_20250124",
        "computer_20251124",
        "text_editor_20250728",
        "memory_20250818",
    ] {
        let most = most(json!({"tools": [{"type": tool, "name": "x"}]}));
        assert_eq!(
            (most.unseen_windows, most.has_unbounded_tools),
            (0, false),
            "{tool}"
        );
        assert!(
            most.input > 2 * MAX_FRAME_TOKENS,
            "the server describes the tool"
        );
    }
    let searched = most(json!({"tools": [{"type": "tool_search_tool_regex_20251119"}]}));
    assert_eq!(
        (searched.unseen_windows, searched.has_unbounded_tools),
        (11, false)
    );
    let added = user(
        &json!({"type": "tool_addition", "tool": {"type": "tool_definition",
        "definition": {"type": "code_execution_20250825"}}}),
    );
    assert!(most(added).has_unbounded_tools);
}

#[test]
fn answer_has_at_most_its_tokens_and_a_compaction_beside() {
    assert_eq!(most(json!({"max_tokens": 0})).output, 0);
    let unbounded = most(json!({"max_tokens": null}));
    assert_eq!((unbounded.output, unbounded.unbounded_answers), (0, 1));
    let edits = json!({"edits": [{"type": "compact_20260112"}]});
    let compacted = most(json!({"context_management": edits}));
    assert_eq!(
        (compacted.unseen_windows, compacted.unbounded_answers),
        (2, 1)
    );
    let cleared =
        most(json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}));
    assert_eq!((cleared.unseen_windows, cleared.unbounded_answers), (0, 0));
}
