//! The settings of a project at `/v1/messages`: models, hosted tools, shared accounts and spend limits.

use serde_json::{Value, json};

use super::{BODY, MESSAGE, refusal, start, told};
use crate::upstream::Reply;
use crate::world::{Answer, World};

/// Returns the body of a request with these members.
fn body(members: &Value) -> String {
    let mut body =
        json!({"model": "real", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in members.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body.to_string()
}

fn user(block: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": [block]}]})
}

async fn sent(world: &World, members: &Value) -> Answer {
    world.message(&body(members)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn model_permissions_hold() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    world.list_models("deny_list", &["real"]).await;
    assert_eq!(
        refusal(&world.message(BODY).await),
        told(403, "permission_error")
    );
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosted_tools_that_are_off_are_refused_wherever_they_are_named() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    let web_search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 1});
    let addition = json!({"type": "tool_addition", "tool": {"type": "tool_definition", "definition": web_search}});
    let asking = [
        ("web_search", json!({"tools": [web_search]})),
        (
            "web_search",
            json!({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
        ),
        ("web_search", user(&addition)),
        (
            "code_interpreter",
            json!({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}),
        ),
        ("code_interpreter", json!({"container": {"skills": []}})),
        (
            "mcp",
            json!({"mcp_servers": [{"type": "url", "url": "https://h/mcp", "name": "h"}]}),
        ),
        (
            "mcp",
            json!({"tools": [{"type": "mcp_toolset", "mcp_server_name": "h"}]}),
        ),
        (
            "image_generation",
            json!({"tools": [{"type": "from_the_future_20300101", "name": "x"}]}),
        ),
    ];
    for (_, members) in &asking {
        assert_eq!(sent(&world, members).await.status, 200, "{members}");
    }
    let count = world.upstream.asked().len();
    for (tool, members) in &asking {
        world.enable_tools(&[*tool], false).await;
        let answer = sent(&world, members).await;
        assert_eq!(refusal(&answer), told(403, "permission_error"), "{members}");
        assert!(
            answer.body.contains(&format!("hosted tool {tool}")),
            "{}",
            answer.body
        );
        world.enable_tools(&[*tool], true).await;
    }
    assert_eq!(world.upstream.asked().len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_the_client_runs_need_no_permission() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    let all = [
        "file_search",
        "web_search",
        "image_generation",
        "mcp",
        "code_interpreter",
    ];
    world.enable_tools(&all, false).await;
    for tool in [
        "bash_20250124",
        "text_editor_20250728",
        "computer_20251124",
        "memory_20250818",
        "custom",
    ] {
        let members =
            json!({"tools": [{"type": tool, "name": "x"}], "tool_choice": {"type": "auto"}});
        assert_eq!(sent(&world, &members).await.status, 200, "{tool}");
    }
    assert_eq!(world.upstream.asked().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_that_asks_another_model_is_refused() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    let advisor =
        json!({"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "real"}]});
    assert_eq!(
        refusal(&sent(&world, &advisor).await),
        told(400, "invalid_request_error")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_state_of_the_shared_account_cannot_be_named() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    for (name, members) in [
        (
            "file_id",
            user(&json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
        ),
        (
            "file_id",
            user(
                &json!({"type": "tool_result", "tool_use_id": "t", "content":
            [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]}),
            ),
        ),
        (
            "file_id",
            user(&json!({"type": "container_upload", "file_id": "file_1"})),
        ),
        ("container", json!({"container": "container_1"})),
        ("container", json!({"container": {"id": "container_1"}})),
        (
            "skill_id",
            json!({"container": {"skills": [{"type": "custom", "skill_id": "skill_1"}]}}),
        ),
        ("thread", json!({"thread": {"type": "create"}})),
        (
            "previous_message_id",
            json!({"diagnostics": {"previous_message_id": "msg_1"}}),
        ),
    ] {
        let answer = sent(&world, &members).await;
        assert_eq!(
            refusal(&answer),
            told(400, "invalid_request_error"),
            "{members}"
        );
        assert!(
            answer.body.contains(&format!("{name} names something")),
            "{}",
            answer.body
        );
    }
    assert!(world.upstream.asked().is_empty());
    let none =
        json!({"container": null, "thread": null, "diagnostics": {"previous_message_id": null}});
    assert_eq!(sent(&world, &none).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_names_that_servers_could_read_differently_are_refused() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    for member in [
        r#""Max_Tokens":1"#,
        r#""Thread":{"type":"create"}"#,
        r#""messages":[{"content":[{"Source":{"type":"file"}}]}]"#,
        r#""messages":[{"content":[{"source":{"File_id":"f"}}]}]"#,
        r#""messages":[{"content":[{"type":"tool_use","Input":{}}]}]"#,
        r#""tools":[{"type":"custom","type":"web_search_20250305"}]"#,
    ] {
        let answer = world
            .message(&format!(r#"{{"model":"real",{member}}}"#))
            .await;
        assert_eq!(
            refusal(&answer),
            told(400, "invalid_request_error"),
            "{member}"
        );
    }
    let arguments = r#"{"model":"real","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f",
        "input":{"file_id":"x","Model":1,"type":7,"container":"c","tools":"none"}}]}]}"#;
    assert_eq!(
        world.message(arguments).await.status,
        200,
        "the input of a tool is the client's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn spend_limit_reserves_the_most_that_an_answer_may_cost() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    // A token costs a tenth of a cent, and 1,000 tokens may be added to the text of the request: it may cost more than a dollar.
    world.limit_project_spend(Some(100)).await;
    assert_eq!(
        refusal(&world.message(BODY).await),
        told(429, "rate_limit_error")
    );
    world.limit_project_spend(Some(1_000)).await;
    assert_eq!(world.message(BODY).await.status, 200);
    world.rows(1).await;
    // 77 tokens of a tenth of a cent.
    assert_eq!(world.entries().await[0].amount.0, 77_000_000);
    let search = json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]});
    let answer = sent(&world, &search).await;
    assert_eq!(refusal(&answer), told(400, "invalid_request_error"));
    assert!(
        answer.body.contains("max_uses is missing"),
        "{}",
        answer.body
    );
}
