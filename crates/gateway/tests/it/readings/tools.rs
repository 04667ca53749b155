//! Hosted tools in every member that can carry one.

use http::Method;
use serde_json::{Value, json};

use super::{refusal, world};
use crate::world::{Answer, World, request};

const HOSTED_TOOLS: [&str; 5] = [
    "file_search",
    "web_search",
    "image_generation",
    "mcp",
    "code_interpreter",
];

/// Every member of the published types (openai-python 3.54) that can carry a tool, or enables one.
fn places(tool: &Value) -> Vec<(&'static str, Value)> {
    let responses = |member: &str, value: Value| {
        let mut body = json!({"model": "real", "input": "x"});
        body[member] = value;
        ("/v1/responses", body)
    };
    let chat = |member: &str, value: Value| {
        let mut body = json!({"model": "real", "messages": []});
        body[member] = value;
        ("/v1/chat/completions", body)
    };
    let namespace = json!({"type": "namespace", "name": "n", "description": "d", "tools": [tool]});
    vec![
        responses("tools", json!([tool])),
        responses("tools", json!([{"type": "function", "name": "f"}, tool])),
        responses("tools", json!([namespace])),
        responses("tool_choice", tool.clone()),
        responses(
            "tool_choice",
            json!({"type": "allowed_tools", "mode": "auto", "tools": [tool]}),
        ),
        responses(
            "input",
            json!([{"type": "additional_tools", "role": "developer", "tools": [tool]}]),
        ),
        responses(
            "input",
            json!([{"type": "tool_search_output", "tools": [tool]}]),
        ),
        responses(
            "input",
            json!([{"type": "tool_search_output", "tools": [namespace]}]),
        ),
        responses(
            "input",
            json!([{"role": "user", "content": [{"type": "x", "y": [{"tools": [tool]}]}]}]),
        ),
        responses("text", json!({"tools": [tool]})),
        chat("tools", json!([tool])),
        chat(
            "tool_choice",
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool]}}),
        ),
        chat(
            "messages",
            json!([{"role": "developer", "content": "x", "tools": [tool]}]),
        ),
    ]
}

/// Returns a world in which no hosted tool is enabled.
async fn without_tools() -> World {
    let world = world().await;
    world.enable_tools(&HOSTED_TOOLS, false).await;
    world
}

async fn ask(world: &World, path: &str, body: &Value) -> Answer {
    let request = request(Method::POST, path, world.service(), &body.to_string());
    world.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_hosted_tool_is_found_in_every_member_of_the_contract() {
    let world = without_tools().await;
    let container = json!({"type": "container_auto"});
    for (tool, name) in [
        (json!({"type": "mcp", "server_label": "l"}), "mcp"),
        (
            json!({"type": "web_search_preview_2025_03_11"}),
            "web_search",
        ),
        (
            json!({"type": "code_interpreter", "container": {"type": "auto"}}),
            "code_interpreter",
        ),
        (
            json!({"type": "shell", "environment": container}),
            "code_interpreter",
        ),
        (
            json!({"type": "programmatic_tool_calling"}),
            "code_interpreter",
        ),
        (json!({"type": "image_generation"}), "image_generation"),
        (
            json!({"type": "file_search", "vector_store_ids": []}),
            "file_search",
        ),
    ] {
        for (path, body) in places(&tool) {
            let answer = ask(&world, path, &body).await;
            assert_eq!(answer.status, 403, "{body}: {}", answer.body);
            assert_eq!(answer.error()[3], "hosted_tool_not_enabled", "{body}");
            let message = answer.error()[0].to_string();
            let words = format!("tool {name} ");
            assert!(message.contains(&words), "{body}: {message}");
        }
    }
    assert!(world.upstream.asked().is_empty(), "nothing is forwarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_request_that_may_bring_a_hosted_tool_is_refused() {
    let world = without_tools().await;
    let prompt = json!({"model": "real", "prompt": {"id": "pmpt_1", "version": "2"}});
    let answer = ask(&world, "/v1/responses", &prompt).await;
    assert_eq!(refusal(&answer), (403, json!("prompt")));
    for member in [
        "search_parameters",
        "plugins",
        "mcp_servers",
        "data_sources",
    ] {
        let body = json!({"model": "real", member: [{"x": 1}]});
        let answer = ask(&world, "/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 403, "{member}");
    }
    let text = "[{\"type\":\"mcp\"}]";
    let unclear = json!({"model": "real", "input": [{"type": "additional_tools", "tools": text}]});
    let answer = ask(&world, "/v1/responses", &unclear).await;
    assert_eq!(refusal(&answer), (400, json!("tools")));
    assert!(world.upstream.asked().is_empty(), "nothing is forwarded");
    world.enable_tools(&HOSTED_TOOLS, true).await;
    assert_eq!(ask(&world, "/v1/responses", &prompt).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_request_without_hosted_tools_is_forwarded() {
    let world = without_tools().await;
    let local = json!({"type": "shell", "environment": {"type": "local"}});
    let custom = json!({"type": "custom", "name": "mcp"});
    for (path, body) in places(&local).into_iter().chain(places(&custom)) {
        assert_eq!(ask(&world, path, &body).await.status, 200, "{body}");
    }
    let called = json!({"model": "real", "input": [
        {"type": "mcp_call", "id": "m", "arguments": "{}", "name": "n", "server_label": "l"},
        {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "q"}, "status": "completed"},
        {"type": "mcp_list_tools", "id": "l", "server_label": "l", "tools": [{"name": "n", "input_schema": {"type": "mcp"}}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": []}]});
    let answer = ask(&world, "/v1/responses", &called).await;
    assert_eq!(answer.status, 200, "what was called asks for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_model_of_a_tool_must_be_allowed_for_the_project() {
    let world = world().await;
    world.list_models("allow_list", &["real", "image"]).await;
    for (body, status) in [
        (
            json!({"tools": [{"type": "image_generation", "model": "image"}]}),
            200,
        ),
        (
            json!({"tools": [{"type": "image_generation", "model": null}]}),
            200,
        ),
        (
            json!({"input": [{"role": "assistant", "content": "x", "model": "dear"}]}),
            200,
        ),
        (
            json!({"tools": [{"type": "image_generation", "model": "dear"}]}),
            403,
        ),
        (
            json!({"tools": [{"type": "image_generation", "svg": {"model": "dear"}}]}),
            403,
        ),
        (
            json!({"input": [{"type": "additional_tools", "tools": [{"type": "x", "model": "dear"}]}]}),
            403,
        ),
        (json!({"moderation": {"model": "dear"}}), 403),
        (
            json!({"tools": [{"type": "image_generation", "model": ["dear"]}]}),
            400,
        ),
        (
            json!({"tools": [{"type": "image_generation", "Model": "dear"}]}),
            400,
        ),
    ] {
        let mut body = body;
        body["model"] = json!("real");
        let answer = ask(&world, "/v1/responses", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
}
