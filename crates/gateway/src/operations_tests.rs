//! Every operation of the official client, and what becomes of it here: `docs/operations.md`. The operations come from the
//! installed client, the status of each from the routers.

use std::collections::HashMap;
use std::fmt::Write;
use std::process::Command;

use base::{NOT_OFFERED, NotOffered};
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::generated_docs;
use crate::permission_rules::permission_at;

/// An operation of the client.
#[derive(Deserialize)]
struct ClientOperation {
    method: String,
    path: String,
    /// True if the client opens a WebSocket.
    websocket: bool,
    /// The methods of the client that ask for it.
    calls: Vec<String>,
}

#[derive(Deserialize)]
struct Client {
    version: String,
    operations: Vec<ClientOperation>,
}

/// The permission that each operation of the Administration API requires, by its method and path.
struct Administration(HashMap<(String, String), String>);

/// Status of an operation, with the required permission, or the name of what is not offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status<'a> {
    Served(&'a str),
    Passed(&'a str),
    NotOffered(&'a str),
}

impl Client {
    fn installed() -> Self {
        let python = std::env::var("ORGPLANE_TEST_PYTHON")
            .expect("ORGPLANE_TEST_PYTHON is not set: run these tests with `cargo xtask test`");
        let script = generated_docs::in_repository("tests/clients/python/routes.py");
        let printed = Command::new(python).arg(script).output().expect("Python");
        let errors = String::from_utf8_lossy(&printed.stderr);
        assert!(printed.status.success(), "{errors}");
        serde_json::from_slice(&printed.stdout).expect("JSON")
    }
}

impl Administration {
    fn published() -> Self {
        let document = generated_docs::in_repository("openapi.json");
        let document = std::fs::read(document).expect("openapi.json");
        let document: Value = serde_json::from_slice(&document).expect("JSON");
        let mut operations = HashMap::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let needs = operation["x-permission"].as_str().unwrap_or_default();
                operations.insert((method.to_uppercase(), shape(path)), needs.to_owned());
            }
        }
        Self(operations)
    }
}

impl ClientOperation {
    fn is_administration(&self) -> bool {
        ["/organization", "/projects"]
            .iter()
            .any(|prefix| base::is_at_or_below(&self.path, prefix))
    }

    fn status<'a>(&self, administration: &'a Administration) -> Status<'a> {
        let served = administration
            .0
            .get(&(self.method.clone(), shape(&self.path)));
        if let Some(needs) = served {
            return Status::Served(needs);
        }
        let path = shape(&self.path).replace("{}", "x_1");
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let needs = permission_at(&method, &path).map(|needs| needs.as_str());
        match (Endpoint::at(&method, &format!("/v1{path}")), needs) {
            (Some(_), Some(needs)) if self.websocket => Status::Passed(needs),
            (Some((methods, endpoint)), Some(needs)) if methods.contains(&method) => match endpoint
            {
                Endpoint::Object(route) if route.is_passthrough() => Status::Passed(needs),
                _ => Status::Served(needs),
            },
            (found, _) => match NotOffered::find(&self.method, &path) {
                Some(entry) => Status::NotOffered(entry.name),
                None if found.is_some() => Status::NotOffered("this method"),
                None => panic!("{method} {path}: add it to base::NOT_OFFERED"),
            },
        }
    }

    fn row(&self, status: Status<'_>) -> String {
        let (word, detail) = match status {
            Status::Served(needs) => ("served", format!("`{needs}`")),
            Status::Passed(needs) => ("passed", format!("`{needs}`")),
            Status::NotOffered(name) => ("not offered", name.to_owned()),
        };
        let method = match self.websocket {
            true => "WebSocket",
            false => &self.method,
        };
        let (path, call) = (&self.path, self.calls.join("`, `"));
        format!("| {method} | `{path}` | `{call}` | {word} | {detail} |")
    }
}

/// Returns a path without the names of its parameters.
fn shape(path: &str) -> String {
    let segments = path.split('/');
    let segments = segments.map(|one| if one.starts_with('{') { "{}" } else { one });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn the_published_operations_are_those_of_the_official_client() {
    let (client, administration) = (Client::installed(), Administration::published());
    let statuses: Vec<_> = client
        .operations
        .iter()
        .map(|it| it.status(&administration))
        .collect();
    let count = |is: fn(&Status<'_>) -> bool| statuses.iter().filter(|it| is(it)).count();
    for (operation, status) in client.operations.iter().zip(&statuses) {
        let (method, path) = (&operation.method, &operation.path);
        let entry = NotOffered::find(method, path);
        assert!(
            matches!(status, Status::NotOffered(_)) || entry.is_none(),
            "{method} {path} is served: remove {entry:?} from base::NOT_OFFERED"
        );
    }
    let mut text = format!(
        "The Python client openai {} has {} operations, WebSockets included: {} are served, {} passed, {} not offered.\n",
        client.version,
        statuses.len(),
        count(|it| matches!(it, Status::Served(_))),
        count(|it| matches!(it, Status::Passed(_))),
        count(|it| matches!(it, Status::NotOffered(_))),
    );
    for (heading, of_administration) in [("Gateway", false), ("Administration API", true)] {
        text += &format!(
            "\n## {heading}\n\n| method | path below `/v1` | method of the client | status | scope, or what it is |\n|---|---|---|---|---|\n"
        );
        for (operation, status) in client.operations.iter().zip(&statuses) {
            if operation.is_administration() == of_administration {
                writeln!(text, "{}", operation.row(*status)).expect("a string");
            }
        }
    }
    text += "\n## What is not offered\n\n| what | paths below `/v1` | instead |\n|---|---|---|\n";
    for entry in NOT_OFFERED {
        let method = entry
            .method
            .map(|method| format!("{method} "))
            .unwrap_or_default();
        let (name, path, advice) = (entry.name, entry.path, entry.advice);
        writeln!(text, "| {name} | `{method}{path}` | {advice} |").expect("a string");
    }
    generated_docs::check("docs/operations.md", "operations", &text);
}
