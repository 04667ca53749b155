//! Array parameters: all encodings give the same response, and each value counts.

use admin::operation::Operation;
use admin::operations;
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use usage::{Dimension, PriceBook, UsageKind};

use super::example::Examples;
use super::ids::Ids;
use super::schemas::{query_parameters, resolved};
use crate::reports::{FILTERS, report, value};

/// Returns the name of an array's item in a query string, from the array's name and the item's index.
type Encoding = fn(&str, usize) -> String;

/// Encodings of arrays that clients use.
const ENCODINGS: [Encoding; 4] = [
    |name, _| name.to_owned(),
    |name, _| format!("{name}[]"),
    |name, _| format!("{name}%5B%5D"),
    |name, place| format!("{name}[{place}]"),
];

/// Prices that make line items differ.
const PRICES: &str = "\
[[price]]
model = 'a'
effective = '2025-01-01'
input = '1'
[[price]]
model = 'b'
effective = '2025-01-01'
input = '2'
";

/// Returns one or two values that give different responses.
fn values(server: &Server, ids: &Ids, name: &str, schema: &Value) -> Vec<String> {
    if let Some((dimension, _)) = FILTERS.iter().find(|(_, filter)| *filter == name) {
        return [false, true]
            .map(|second| value(*dimension, second).to_owned())
            .into();
    }
    let two = |values: [&str; 2]| values.map(str::to_owned).into();
    match name {
        "project_ids" => two([&server.default_project_id().to_string(), &ids.project]),
        "line_items" => two(["a, input_tokens", "b, input_tokens"]),
        "event_types" => two(["project.created", "x.spend_limit.updated"]),
        "actor_ids" => two([&ids.owners_key, &ids.user]),
        "actor_emails" => two(["ADA@acme.example", "ids@other.example"]),
        "resource_ids" => two([&ids.project, &ids.certificate]),
        "emails" => two(["ada@acme.example", "RITA@acme.example"]),
        _ => {
            let words = schema["enum"].as_array();
            let words = words.unwrap_or_else(|| {
                panic!("say in every_operation/arrays.rs what `{name}` can be: {schema}")
            });
            let text = |word: &Value| word.as_str().expect("a word").to_owned();
            words.iter().take(2).map(text).collect()
        }
    }
}

fn encoded(text: &str) -> String {
    text.replace(' ', "%20")
        .replace(',', "%2C")
        .replace('@', "%40")
}

#[tokio::test]
async fn every_encoding_of_every_array_gives_the_same_and_each_value_counts() {
    let options = ServerOptions {
        prices: PriceBook::parse(PRICES).expect("prices"),
        ..ServerOptions::default()
    };
    let server = Server::with(options).await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    for kind in UsageKind::ALL {
        report(&server, *kind).await;
        elsewhere(&server, *kind, &ids).await;
    }
    for operation in operations() {
        let parameters = query_parameters(&examples.document, &operation);
        for (name, schema) in parameters {
            if schema["type"] == "array" {
                let items = resolved(&examples.document, &schema["items"]);
                let values = values(&server, &ids, &name, items);
                let path = examples.path(&operation, &ids);
                counts(&server, &operation, &path, (&name, &values)).await;
            }
        }
    }
}

/// Adds usage in another project, without a user.
async fn elsewhere(server: &Server, kind: UsageKind, ids: &Ids) {
    let mut event = json!({
        "id": format!("{} elsewhere", kind.as_str()), "timestamp": NOW.0, "type": kind.as_str(),
        "project_id": ids.project,
    });
    if kind.dimensions().contains(&Dimension::Model) {
        event["model"] = json!("a");
    }
    for metric in kind.required_metrics() {
        event[metric.as_str()] = json!(1);
    }
    let answer = server
        .admin()
        .post("/organization/usage/events", event)
        .await
        .ok();
    assert_eq!(answer["accepted"], 1, "{answer}");
}

async fn counts(
    server: &Server,
    operation: &Operation,
    path: &str,
    (name, values): (&str, &[String]),
) {
    let ask = async |values: &[String], encoding: Encoding| {
        let pairs = values.iter().enumerate();
        let pairs =
            pairs.map(|(place, value)| format!("{}={}", encoding(name, place), encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = server
            .admin()
            .get(&format!("{path}{separator}{query}"))
            .await;
        assert_eq!(
            answer.status, 200,
            "{} {query}: {}",
            operation.command, answer.json
        );
        answer.json
    };
    let command = operation.command;
    let all = ask(&[], ENCODINGS[0]).await;
    let mut alone = Vec::new();
    for value in values {
        let answer = same_in_each(&ask, command, std::slice::from_ref(value)).await;
        assert_ne!(answer, all, "{command} {name}={value} changes nothing");
        alone.push(answer);
    }
    let both = same_in_each(&ask, command, values).await;
    // Names of models and line items may contain commas.
    let joined = ask(&[values.join(",")], ENCODINGS[0]).await;
    let is_split = !["models", "line_items"].contains(&name);
    assert_eq!(joined == both, is_split, "{command} {name} with a comma");
    if let [first, second] = &alone[..] {
        let differ = first != second && both != *first && both != *second;
        assert!(differ, "{command} {name}: {values:?} are not told apart");
    }
}

/// Returns the response for these values, and checks that all encodings give it.
async fn same_in_each(
    ask: &impl AsyncFn(&[String], Encoding) -> Value,
    command: &str,
    values: &[String],
) -> Value {
    let answer = ask(values, ENCODINGS[0]).await;
    for encoding in ENCODINGS {
        assert_eq!(ask(values, encoding).await, answer, "{command} {values:?}");
    }
    answer
}
