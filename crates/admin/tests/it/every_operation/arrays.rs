//! Array parameters: all encodings give the same response, and each value counts.

use admin::operation::Operation;
use admin::operations;
use serde_json::{Map, Value, json};
use testkit::examples::{Examples, Ids, query_parameters, resolved};
use testkit::{NOW, Server, ServerOptions};
use usage::{Dimension, PriceBook, UsageKind};

use crate::reports::report;

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

/// An array parameter of an operation.
struct ArrayParameter<'a> {
    server: &'a Server,
    operation: &'a Operation,
    path: &'a str,
    name: &'a str,
    parameters: &'a Map<String, Value>,
    document: &'a Value,
}

impl ArrayParameter<'_> {
    /// Returns two values that give different responses: of fields of the items, or else words of the schema, which may
    /// have only one.
    async fn values(&self) -> Vec<String> {
        let schema = resolved(self.document, &self.parameters[self.name]["items"]);
        let words = schema["enum"].as_array().into_iter().flatten();
        let words = words.filter_map(|word| word.as_str().map(str::to_owned));
        let words: Vec<String> = words.collect();
        let mut candidates = self.candidates().await;
        candidates.retain(|value| words.is_empty() || words.contains(value));
        candidates.extend(words.iter().cloned());
        let mut told_apart: Vec<(String, Value)> = Vec::new();
        for value in candidates {
            let answer = self.ask(std::slice::from_ref(&value), ENCODINGS[0]).await;
            let is_new = told_apart.iter().all(|(_, other)| *other != answer);
            if !is_new || !has_items(&answer) || answer == self.ask(&[], ENCODINGS[0]).await {
                continue;
            }
            for (other, answer_of_other) in &told_apart {
                let pair = vec![other.clone(), value.clone()];
                let both = self.ask(&pair, ENCODINGS[0]).await;
                // The sum of two line items of which one costs nothing is that of the other.
                if both != answer && both != *answer_of_other {
                    return pair;
                }
            }
            told_apart.push((value, answer));
        }
        if let ([_], [(only, _)]) = (&words[..], &told_apart[..]) {
            return vec![only.clone()];
        }
        let (command, name) = (self.operation.command, self.name);
        panic!("no two values of `{name}` of `{command}` give different responses: {told_apart:?}")
    }

    /// Returns what the items have in the field that the parameter is named after, such as `email` for `actor_emails`. A
    /// report has the field if it is grouped by the field.
    async fn candidates(&self) -> Vec<String> {
        let singular = self.name.strip_suffix('s').unwrap_or(self.name);
        let groups = self
            .parameters
            .get("group_by")
            .map(|groups| &groups["items"]);
        let groups = groups.map(|items| &resolved(self.document, items)["enum"]);
        let is_group = groups.and_then(Value::as_array);
        let path = if is_group.is_some_and(|groups| groups.contains(&json!(singular))) {
            format!("{}&group_by={singular}", self.path)
        } else {
            self.path.to_owned()
        };
        let answer = self.server.admin().get(&path).await.ok();
        let (_, last) = singular.rsplit_once('_').unwrap_or(("", singular));
        let mut found = Vec::new();
        for name in [singular, last] {
            collect(&answer["data"], name, &mut found);
        }
        found
    }

    async fn ask(&self, values: &[String], encoding: Encoding) -> Value {
        let pairs = values.iter().enumerate();
        let pairs = pairs
            .map(|(place, value)| format!("{}={}", encoding(self.name, place), encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let separator = if self.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{separator}{query}", self.path);
        let answer = self.server.admin().get(&path).await;
        let command = self.operation.command;
        assert_eq!(answer.status, 200, "{command} {query}: {}", answer.json);
        answer.json
    }

    /// Returns the response for these values, and checks that all encodings give it.
    async fn ask_in_each(&self, values: &[String]) -> Value {
        let answer = self.ask(values, ENCODINGS[0]).await;
        for encoding in ENCODINGS {
            let again = self.ask(values, encoding).await;
            assert_eq!(again, answer, "{} {values:?}", self.operation.command);
        }
        answer
    }

    /// Checks that each value counts.
    async fn check(&self) {
        let (command, name, values) = (self.operation.command, self.name, self.values().await);
        let all = self.ask(&[], ENCODINGS[0]).await;
        let mut alone = Vec::new();
        for value in &values {
            let answer = self.ask_in_each(std::slice::from_ref(value)).await;
            assert_ne!(answer, all, "{command} {name}={value} changes nothing");
            // Addresses are compared regardless of case.
            if let Some((local, domain)) = value.split_once('@') {
                let shouted = format!("{}@{domain}", local.to_uppercase());
                assert_eq!(
                    self.ask(&[shouted], ENCODINGS[0]).await,
                    answer,
                    "{command}"
                );
            }
            alone.push(answer);
        }
        let both = self.ask_in_each(&values).await;
        // Names of models and line items may contain commas.
        let joined = self.ask(&[values.join(",")], ENCODINGS[0]).await;
        let is_split = !["models", "line_items"].contains(&name);
        assert_eq!(joined == both, is_split, "{command} {name} with a comma");
        if let [first, second] = &alone[..] {
            let differ = first != second && both != *first && both != *second;
            assert!(differ, "{command} {name}: {values:?} are not told apart");
        }
    }
}

/// Collects the different texts in fields of this name, at any depth.
fn collect(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
        Value::Object(fields) => {
            if let Some(text) = fields.get(name).and_then(Value::as_str)
                && !found.iter().any(|other| other == text)
            {
                found.push(text.to_owned());
            }
            fields
                .values()
                .for_each(|field| collect(field, name, found));
        }
        _ => {}
    }
}

/// Returns false if a list has no items, or a report no results.
fn has_items(answer: &Value) -> bool {
    let has_results = |one: &Value| {
        one.get("results")
            .is_none_or(|results| *results != json!([]))
    };
    let data = answer["data"].as_array();
    data.is_none_or(|data| data.iter().any(has_results))
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
    // Reports on own usage have the parameters of the organization's.
    let reports = operations().into_iter();
    for operation in reports.filter(|operation| operation.own.is_none()) {
        let parameters = query_parameters(&examples.document, &operation);
        for (name, schema) in &parameters {
            if schema["type"] == "array" {
                let mut path = examples.path(&operation, &ids);
                if parameters.contains_key("after") {
                    path = format!("{path}?limit=100");
                }
                let parameter = ArrayParameter {
                    server: &server,
                    operation: &operation,
                    path: &path,
                    name,
                    parameters: &parameters,
                    document: &examples.document,
                };
                parameter.check().await;
            }
        }
    }
}

/// Adds usage in another project, without a user.
async fn elsewhere(server: &Server, kind: UsageKind, ids: &Ids) {
    let mut event = json!({
        "id": format!("{} elsewhere", kind.as_str()), "timestamp": NOW.0, "type": kind.as_str(),
        "project_id": ids.at("/organization/projects/{project_id}").id,
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
