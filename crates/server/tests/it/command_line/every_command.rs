//! Every command of the registry is run once, and shows what the server answered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::authority::Authority;

use super::recording_server::{RecordingServer, id, words};

const SCRIPT: &str = include_str!("every_command.txt");

#[tokio::test(flavor = "multi_thread")]
async fn every_command_sends_its_request_and_shows_the_answer() {
    let server = RecordingServer::start().await;
    std::fs::write(
        server.directory().join("ca.pem"),
        Authority::new("Acme").pem(),
    )
    .expect("a file in our directory");
    let mut ids = BTreeMap::from([
        ("default".to_owned(), server.default_project()),
        ("owner".to_owned(), server.server.owner_id().to_string()),
    ]);
    let known: BTreeMap<&str, _> = admin::operations()
        .into_iter()
        .map(|operation| {
            (
                operation.command,
                (operation.method.to_string(), operation.path),
            )
        })
        .collect();
    let mut left: BTreeSet<&str> = known.keys().copied().collect();
    for line in SCRIPT
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, line) = match line.split_once(" = ") {
            Some((name, line)) => (Some(name), line),
            None => (None, line),
        };
        if line.contains("{token}") {
            ids.insert(
                "token".to_owned(),
                server.server.token("grace@acme.example").await,
            );
        }
        let line = ids.iter().fold(line.to_owned(), |line, (name, id)| {
            line.replace(&format!("{{{name}}}"), id)
        });
        let words = words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = server.done(&[&words[..], &["--format", "raw"]].concat());
        let call = server.last_call();
        let answered = String::from_utf8_lossy(&call.answered);
        assert_eq!(ended.stdout, format!("{answered}\n"), "{line}");
        let command = format!("{} {}", words[0], words[1]);
        let (method, path) = &known[command.as_str()];
        left.remove(command.as_str());
        assert_eq!(&call.method, method, "{line}");
        assert!(
            is_at(&call.address, path),
            "{line}: {} is not at {path}",
            call.address
        );
        if let Some(name) = name {
            ids.insert(name.to_owned(), id(&answered));
        }
    }
    assert!(
        left.is_empty(),
        "give the script a line for each of these: {left:?}"
    );
}

#[test]
fn document_that_commands_are_made_from_is_current() {
    let registry = admin::operation::document(&admin::operations());
    let committed: Value = serde_json::from_str(include_str!("../../../../../openapi.json"))
        .expect("the document is JSON");
    assert!(
        registry == committed,
        "openapi.json is out of date: cargo run -- openapi > openapi.json"
    );
}

/// True if the address matches the pattern of the path.
fn is_at(address: &str, pattern: &str) -> bool {
    let path = address.split('?').next().unwrap_or_default();
    let (is, should) = (path.split('/'), format!("/v1{pattern}"));
    let should: Vec<&str> = should.split('/').collect();
    let is: Vec<&str> = is.collect();
    is.len() == should.len()
        && is
            .iter()
            .zip(should)
            .all(|(is, should)| *is == should || should.starts_with('{'))
}
