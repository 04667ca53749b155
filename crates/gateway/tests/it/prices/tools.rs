//! Prices of hosted tools by the size of the search context and by the memory of the container.

use super::*;

/// Prices of `real` by the level of its web searches, and of containers by their memory.
const BOOK: &str = "
[[price]]
model = 'real'
effective = '2025-01-01'
input = '0'
output = '0'
web_search = { low = '10', medium = '25', high = '35' }
[[price]]
model = '*'
effective = '2025-01-01'
file_search = '2.5'
code_interpreter = { 1g = '0.03', 4g = '0.12', 16g = '0.48' }
";

/// An answer with two web searches and a program in a container.
fn answer() -> Reply {
    let output = json!([
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call"},
        {"type": "code_interpreter_call", "container_id": "cntr_1"},
    ]);
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let answer = json!({"status": "completed", "output": output, "usage": usage});
    Reply::whole(200, &answer.to_string())
}

async fn world() -> World {
    let upstreams = |url| models(url, UpstreamBilling::default());
    World::bounded(answer(), upstreams, bounds(BOOK)).await
}

fn asks(tools: &Value) -> String {
    let body = json!({"model": "real", "input": "x", "tools": tools, "max_tool_calls": 2, "max_output_tokens": 9});
    body.to_string()
}

fn search(size: &str) -> Value {
    json!({"type": "web_search", "search_context_size": size})
}

fn container(memory: &str) -> Value {
    json!({"type": "code_interpreter", "container": {"type": "auto", "memory_limit": memory}})
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_containers_cost_what_the_variant_that_was_asked_for_costs() {
    for (tools, level, memory, searches, session) in [
        // 2 × 10, 25 or 35 thousandths of a dollar; 3, 12 or 48 cents.
        (json!([search("low")]), "low", None, 20, 30),
        (
            json!([{"type": "web_search_preview"}]),
            "medium",
            None,
            50,
            30,
        ),
        (json!([search("high"), search("low")]), "high", None, 70, 30),
        (
            json!([container("4g"), container("1g")]),
            "medium",
            Some("4g"),
            50,
            120,
        ),
        (
            json!([search("low"), container("16g")]),
            "low",
            Some("16g"),
            20,
            480,
        ),
        // The book has no price for these: they cost what the dearest does.
        (
            json!([search("huge"), container("64g")]),
            "huge",
            Some("64g"),
            70,
            480,
        ),
    ] {
        let world = world().await;
        let body = asks(&tools);
        let request = request(Method::POST, "/v1/responses", world.service(), &body);
        assert_eq!(world.send(request).await.status, 200, "{tools}");
        world.rows(3).await;
        let rows = world.entries().await;
        let found = |kind| {
            let row = rows.iter().find(|row| row.event.kind == kind);
            row.expect("a row of the tool")
        };
        let row = found(UsageKind::WebSearchCalls);
        assert_eq!(
            (row.event.context_level.as_deref(), row.amount.0),
            (Some(level), searches * 1_000_000),
            "{tools}"
        );
        let row = found(UsageKind::CodeInterpreterSessions);
        assert_eq!(
            (row.event.size.as_deref(), row.amount.0),
            (memory, session * 1_000_000),
            "{tools}"
        );
        let row = found(UsageKind::Completions);
        assert_eq!((&row.event.context_level, &row.event.size), (&None, &None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_containers_are_reserved_at_the_variant_that_is_asked_for() {
    let world = world().await;
    world.limit_spend(Some(1)).await;
    for (path, body, most) in [
        // Twice as much as in the table of prices.
        ("/v1/responses", asks(&json!([search("low")])), "$0.02"),
        (
            "/v1/responses",
            asks(&json!([{"type": "web_search"}])),
            "$0.05",
        ),
        ("/v1/responses", asks(&json!([search("high")])), "$0.07"),
        ("/v1/responses", asks(&json!([container("4g")])), "$0.24"),
        (
            "/v1/responses",
            asks(&json!([{"type": "code_interpreter"}])),
            "$0.06",
        ),
        // One search.
        (
            "/v1/chat/completions",
            r#"{"model":"real","messages":[],"max_tokens":9,"web_search_options":{"search_context_size":"high"}}"#.to_owned(),
            "$0.035",
        ),
    ] {
        let request = request(Method::POST, path, world.service(), &body);
        let refused = world.send(request).await;
        assert_eq!(refused.status, 429, "{body}");
        let expected = format!("may cost up to {most}.");
        assert!(refused.body.contains(&expected), "{body}: {}", refused.body);
    }
}
