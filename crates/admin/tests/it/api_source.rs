//! The source of usage: reports and costs by `api_source`.

use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use usage::{PriceBook, UsageKind};

const PRICES: &str = "\
[[price]]
model = 'm'
effective = '2025-01-01'
input = '1'
output = '10'
[[price]]
model = '*'
effective = '2025-01-01'
web_search = '10'
";

/// Kinds of usage that have a source.
const KINDS: [UsageKind; 3] = [
    UsageKind::Completions,
    UsageKind::WebSearchCalls,
    UsageKind::Decisions,
];

/// Starts a server with an event of each kind and source. The events without a source say so, or leave it out.
async fn start() -> Server {
    let prices = PriceBook::parse(PRICES).expect("prices");
    let server = Server::with(ServerOptions {
        prices,
        ..ServerOptions::default()
    })
    .await;
    let mut events = Vec::new();
    for kind in KINDS {
        for (source, amount) in [
            (None, 1_000),
            (Some("unlabeled"), 2_000),
            (Some("agents_api"), 4_000),
        ] {
            let mut event = json!({
                "id": format!("{}-{amount}", kind.as_str()), "timestamp": NOW.0, "type": kind.as_str(),
                "project_id": server.default_project_id(), "model": "m",
            });
            if let Some(source) = source {
                event["api_source"] = json!(source);
            }
            for metric in kind.required_metrics() {
                event[metric.as_str()] = json!(amount);
            }
            events.push(event);
        }
    }
    let count = events.len();
    let admin = server.admin();
    let answer = admin.post("/organization/usage/events", events.into());
    assert_eq!(answer.await.ok()["accepted"], count);
    server
}

/// Returns the results of a report for the day of the events.
async fn results(server: &Server, report: &str, query: &str) -> Vec<Value> {
    let start = NOW.0 - 43_200;
    let path = format!("/organization/{report}?start_time={start}&{query}");
    let page = server.admin().get(&path).await.ok();
    page["data"][0]["results"]
        .as_array()
        .expect("results")
        .clone()
}

/// Returns the results of a report by source, each with this number.
fn by_source(results: &[Value], number: impl Fn(&Value) -> Value) -> Vec<(Value, Value)> {
    let each = results.iter();
    each.map(|result| (result["api_source"].clone(), number(result)))
        .collect()
}

#[tokio::test]
async fn usage_by_source_adds_up_to_all_usage() {
    let server = start().await;
    for kind in KINDS {
        let report = format!("usage/{}", kind.as_str());
        for metric in kind.required_metrics() {
            let number = |result: &Value| result[metric.as_str()].clone();
            let grouped = results(&server, &report, "group_by=api_source").await;
            let expected = [
                (json!("agents_api"), json!(4_000)),
                (json!("unlabeled"), json!(3_000)),
            ];
            assert_eq!(by_source(&grouped, number), expected, "{report}");
            let all = results(&server, &report, "group_by=project_id").await;
            assert_eq!(by_source(&all, number), [(Value::Null, json!(7_000))]);
        }
    }
}

#[tokio::test]
async fn costs_by_source_add_up_to_all_costs() {
    let server = start().await;
    // A thousand tokens in and out cost 1.1 cents, for completions and decisions; a thousand searches cost 10 dollars.
    let dollars = |result: &Value| result["amount"]["value"].clone();
    let grouped = results(&server, "costs", "group_by=api_source").await;
    let expected = [
        (json!("agents_api"), json!(40.088)),
        (json!("unlabeled"), json!(30.066)),
    ];
    assert_eq!(by_source(&grouped, dollars), expected);
    let all = results(&server, "costs", "").await;
    assert_eq!(by_source(&all, dollars), [(Value::Null, json!(70.154))]);
    let items = results(&server, "costs", "group_by=line_item,api_source").await;
    let mut quantities: Vec<_> = items
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap_or_default();
            format!(
                "{} {} {}",
                text("line_item"),
                text("api_source"),
                item["quantity"]
            )
        })
        .collect();
    quantities.sort();
    let expected = [
        "m, input_tokens agents_api 8000",
        "m, input_tokens unlabeled 6000",
        "m, output_tokens agents_api 8000",
        "m, output_tokens unlabeled 6000",
        "m, web_search_calls agents_api 4000",
        "m, web_search_calls unlabeled 3000",
    ];
    assert_eq!(quantities, expected);
}

#[tokio::test]
async fn tables_have_a_column_for_the_source() {
    let server = start().await;
    for report in ["usage/decisions", "usage/completions", "costs"] {
        let path = format!(
            "/organization/{report}?start_time={}&group_by=api_source&format=csv",
            NOW.0 - 43_200
        );
        let table = server.admin().get(&path).await.bytes;
        let table = String::from_utf8(table).expect("text");
        let mut lines = table.lines();
        let columns: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
        let column = columns.iter().position(|column| *column == "api_source");
        let column = column.unwrap_or_else(|| panic!("{columns:?}"));
        let values: Vec<_> = lines.map(|line| line.split(',').nth(column)).collect();
        assert_eq!(values, [Some("agents_api"), Some("unlabeled")], "{report}");
    }
}

#[tokio::test]
async fn source_that_is_unknown_or_does_not_apply_is_refused_by_index() {
    let server = start().await;
    let event = |kind: &str, source: &str| {
        json!({"id": format!("{kind}-{source}"), "timestamp": NOW.0, "type": kind, "model": "m",
               "project_id": server.default_project_id(), "input_tokens": 1, "output_tokens": 1, "api_source": source})
    };
    let mut embeddings = event("embeddings", "agents_api");
    embeddings
        .as_object_mut()
        .expect("an object")
        .remove("output_tokens");
    let events = json!([
        event("completions", "agents"),
        event("decisions", "agents_api"),
        embeddings
    ]);
    let answer = server
        .admin()
        .post("/organization/usage/events", events)
        .await
        .ok();
    assert_eq!(answer["accepted"], 1, "{answer}");
    let rejected = answer["rejected"].to_string();
    for reason in [
        "api_source must be one of agents_api, unlabeled",
        "embeddings has no api_source",
    ] {
        assert!(rejected.contains(reason), "{answer}");
    }
    for report in ["embeddings", "images"] {
        let path = format!(
            "/organization/usage/{report}?start_time={}&group_by=api_source",
            NOW.0
        );
        let answer = server.admin().get(&path).await;
        assert_eq!(answer.refused(400).1, Some("group_by[0]"));
    }
}
