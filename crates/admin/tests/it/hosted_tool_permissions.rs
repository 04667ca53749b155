//! Permissions for hosted tools: all tools are allowed until set otherwise, each independently.

use serde_json::{Value, json};
use testkit::Server;

fn tools(disabled: &[&str]) -> Value {
    let names = [
        "file_search",
        "web_search",
        "image_generation",
        "mcp",
        "code_interpreter",
    ];
    let tool = |name: &&str| {
        (
            (*name).to_owned(),
            json!({"enabled": !disabled.contains(name)}),
        )
    };
    names
        .iter()
        .map(tool)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let server = Server::start().await;
    let path = format!(
        "/organization/projects/{}/hosted_tool_permissions",
        server.default_project_id()
    );
    assert_eq!(server.admin().get(&path).await.ok(), tools(&[]));
    let off = json!({"enabled": false});
    let body = json!({"mcp": off, "web_search": off, "file_search": null});
    let expected = tools(&["mcp", "web_search"]);
    assert_eq!(
        server.admin().post(&path, body.clone()).await.ok(),
        expected
    );
    assert_eq!(server.admin().post(&path, body).await.ok(), expected);
    assert_eq!(server.admin().post(&path, json!({})).await.ok(), expected);
    let body = json!({"mcp": {"enabled": true}});
    assert_eq!(
        server.admin().post(&path, body).await.ok(),
        tools(&["web_search"])
    );
    assert_eq!(server.admin().get(&path).await.ok(), tools(&["web_search"]));
    let log = "/organization/audit_logs?event_types[]=x.hosted_tool_permissions.updated";
    let log = server.admin().get(log).await.ok();
    assert_eq!(log["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        log["data"][0]["x.hosted_tool_permissions.updated"]["changes_requested"],
        json!({"mcp": {"enabled": true}})
    );
}

#[tokio::test]
async fn a_bad_update_is_refused_by_name() {
    let server = Server::start().await;
    let path = format!(
        "/organization/projects/{}/hosted_tool_permissions",
        server.default_project_id()
    );
    for (body, param) in [
        (json!({"mcp": {}}), "mcp.enabled"),
        (json!({"mcp": {"enabled": "no"}}), "mcp.enabled"),
        (json!({"mcp": {"enabled": true, "x": 1}}), "mcp.x"),
        (json!({"shell": {"enabled": true}}), "shell"),
    ] {
        assert_eq!(
            server.admin().post(&path, body).await.refused(400).1,
            Some(param)
        );
    }
}
