//! Clients that are generated from the OpenAPI document: requests and responses survive them without loss.

use std::collections::BTreeSet;
use std::process::Command;

use admin::operation::{Effect, document};
use admin::operations;
use serde_json::{Map, Value, json};
use testkit::examples::entry;

use super::answers::{Exchange, asked, changed};

/// The script that generates and runs the clients.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/generators/run.py");

/// Returns the description of an exchange for the script.
fn told(document: &Value, exchange: &Exchange) -> Value {
    let mut operations = operations().into_iter();
    let operation = operations.find(|operation| operation.command == exchange.command);
    let operation = operation.expect(exchange.command);
    let ids = exchange.parameters.iter();
    let ids = ids.map(|(name, id)| ((*name).to_owned(), json!(id)));
    let query = exchange.path.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| {
        let number: i64 = value.parse().expect("the examples' queries have numbers");
        (name.to_owned(), json!(number))
    });
    json!({
        "operation": entry(document, &operation)["operationId"],
        "method": operation.method.as_str(),
        "path": exchange.path,
        "parameters": ids.chain(query).collect::<Map<_, _>>(),
        "body": exchange.body,
        "answer": exchange.answer,
        "needs_key": operation.effect != Effect::Open,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_clients_send_every_request_and_parse_every_response() {
    let python = std::env::var("ORGPLANE_TEST_GENERATORS").unwrap_or_else(|_| {
        panic!("ORGPLANE_TEST_GENERATORS is not set: run these tests with `cargo xtask test`")
    });
    let (asked, changed) = (asked().await, changed().await);
    let exchanges = asked.exchanges.iter().chain(&changed.exchanges);
    let document = document(&operations());
    let walked: BTreeSet<_> = exchanges.clone().map(|exchange| exchange.command).collect();
    let all = operations().into_iter().map(|operation| operation.command);
    assert_eq!(walked, all.collect(), "every operation has an answer");
    let exchanges: Vec<_> = exchanges
        .map(|exchange| told(&document, exchange))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("document.json", &document),
        ("exchanges.json", &json!(exchanges)),
    ] {
        let written = std::fs::write(folder.path().join(name), content.to_string());
        written.expect("the folder can be written");
    }
    let done = Command::new(python)
        .arg(SCRIPT)
        .arg(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("a Python with tests/generators/requirements.txt");
    let [said, failed] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(done.status.success(), "{said}\n{failed}");
    let counted = format!(": {} exchanges\n", exchanges.len());
    assert_eq!(said.matches(&counted).count(), 2, "{said}");
}
