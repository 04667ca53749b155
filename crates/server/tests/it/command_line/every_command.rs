//! Every command of the registry is run with its request as flags and as a pipe, and shows what the server answered.

use std::collections::BTreeMap;

use admin::operation::Operation;
use serde_json::{Map, Value};
use testkit::examples::{Examples, Fill, Ids, in_order};

use crate::authority::Authority;

use super::recording_server::{RecordingServer, id, words};

/// Commands that show how flags can be written.
const NOTATIONS: &str = include_str!("notations.txt");

#[tokio::test(flavor = "multi_thread")]
async fn every_command_sends_its_request_and_shows_the_answer() {
    let server = RecordingServer::start().await;
    let ids = Ids::make(&server.server).await;
    let examples = Examples::new(&server.server);
    for operation in in_order() {
        let run = Run {
            server: &server,
            operation: &operation,
            ids: &ids,
        };
        for query in examples.queries(&operation, &ids).await {
            let body = examples.body(&operation, &ids, Fill::Everything).await;
            let fields = query.iter().chain(body.as_object().into_iter().flatten());
            let flags: Vec<String> = fields
                .flat_map(|(name, value)| flags(name, value))
                .collect();
            run.check(&flags, None, &body);
        }
        let fill = examples.fills(&operation)[0];
        let body = examples.body(&operation, &ids, fill).await;
        if body.is_object() {
            run.check(&[], Some(&body), &body);
        }
    }
}

/// Runs of one command.
struct Run<'a> {
    server: &'a RecordingServer,
    operation: &'a Operation,
    ids: &'a Ids,
}

impl Run<'_> {
    /// Runs the command with these flags, piping `piped` into it. The server must be asked with `body`.
    fn check(&self, flags: &[String], piped: Option<&Value>, body: &Value) {
        let operation = self.operation;
        let mut words: Vec<&str> = operation.command.split(' ').collect();
        let names = operation.path_parameters();
        words.extend(names.map(|name| self.ids.id(operation, name)));
        words.extend(flags.iter().map(String::as_str));
        words.extend(["--format", "raw"]);
        let ended = match piped {
            Some(piped) => self.server.piped(&words, &piped.to_string()),
            None => self.server.done(&words),
        };
        let call = self.server.last_call();
        let answered = String::from_utf8_lossy(&call.answered);
        let shown = (ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(shown, (format!("{answered}\n").as_str(), ""), "{words:?}");
        let path = call.address.split('?').next();
        let expected = format!("/v1{}", self.ids.path(operation));
        assert_eq!(
            (call.method.as_str(), path),
            (operation.method.as_str(), Some(&*expected))
        );
        let sent: Value = serde_json::from_slice(&call.sent).unwrap_or_default();
        let is_empty = |value: &Value| value.is_null() || *value == Value::Object(Map::new());
        assert!(
            sent == *body || is_empty(&sent) && is_empty(body),
            "{words:?}: {sent}"
        );
    }
}

/// Returns the flags that give a field a value: a list's flag is in the singular, once for each item.
fn flags(name: &str, value: &Value) -> Vec<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let flag = |name: &str, value| format!("--{}={}", name.replace('_', "-"), text(value));
    match value {
        Value::Array(items) => {
            let singular = name.strip_suffix('s').unwrap_or(name);
            items.iter().map(|item| flag(singular, item)).collect()
        }
        _ => vec![flag(name, value)],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_are_understood_in_every_notation() {
    let server = RecordingServer::start().await;
    std::fs::write(
        server.directory().join("ca.pem"),
        Authority::new("Acme").pem(),
    )
    .expect("a file in our directory");
    let mut ids = BTreeMap::from([("default".to_owned(), server.default_project())]);
    let lines = NOTATIONS.lines();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (line, expected) = line.split_once(" => ").expect(line);
        let (name, line) = match line.split_once(" = ") {
            Some((name, line)) => (Some(name), line),
            None => (None, line),
        };
        let replaced = |text: &str| {
            ids.iter().fold(text.to_owned(), |text, (name, id)| {
                text.replace(&format!("{{{name}}}"), id)
            })
        };
        let (line, expected) = (replaced(line), replaced(expected));
        let words = words(&line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = server.done(&[&words[..], &["--format", "raw"]].concat());
        let call = server.last_call();
        let answered = String::from_utf8_lossy(&call.answered);
        assert_eq!(ended.stdout, format!("{answered}\n"), "{line}");
        let sent = String::from_utf8_lossy(&call.sent);
        let asked = call
            .address
            .split_once('?')
            .map_or(&*sent, |(_, query)| query);
        assert!(asked.contains(&expected), "{line}: {asked}");
        if let Some(name) = name {
            ids.insert(name.to_owned(), id(&answered));
        }
    }
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
