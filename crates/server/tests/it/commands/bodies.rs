//! `orgplane bodies`: what a running server keeps, read on its machine.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

const KEEP: &str = "[bodies]\nkeep_days = 30\n";

/// Asks a model a question; the request's body, its id, and the answer's body.
async fn ask(application: &Api, question: &str) -> (String, String, String) {
    let body =
        json!({"model": PRICES[0].model, "messages": [{"role": "user", "content": question}]});
    let request = application.request(Method::POST, "/chat/completions");
    let response = request.json(&body).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let id = response.headers()["x-request-id"].to_str().expect("text");
    let id = id.to_owned();
    (body.to_string(), id, response.text().await.expect("text"))
}

/// The lines of the list of a project's bodies, once there are so many and the ledger has their requests.
#[track_caller]
fn listed(installation: &Installation, project: &str, count: usize) -> Vec<String> {
    poll::value_blocking("all bodies are listed", || {
        let ended = installation.run(&["bodies", "list", "--project", project]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let lines: Vec<_> = ended.stdout.lines().map(str::to_owned).collect();
        let are_settled = lines.iter().all(|line| line.contains("succeeded"));
        (lines.len() == count && are_settled).then_some(lines)
    })
}

/// Returns the reads of bodies in the audit log, oldest first, once there are as many as expected. Entries by another
/// process take a moment to appear.
async fn readings(admin: &Api, contents: usize) -> Vec<Value> {
    let path = "/organization/audit_logs?event_types[]=x.bodies.read";
    poll::value("every read is in the audit log", async || {
        let mut entries = admin.all(path).await;
        entries.reverse();
        let reads = entries.iter().filter(|entry| is_of_contents(entry));
        (reads.count() == contents).then_some(entries)
    })
    .await
}

fn is_of_contents(entry: &Value) -> bool {
    entry["x.bodies.read"]["read"] == "contents"
}

#[tokio::test]
async fn what_is_kept_is_read_with_an_entry_in_the_audit_log_and_goes_when_that_is_set() {
    let model_server = ModelServer::start();
    // The model has prompt caches of 24 hours only, which zero data retention refuses elsewhere.
    let settings = model_server.settings();
    let settings = settings.replace("base_url", "zero_data_retention = true\nbase_url");
    let installation = Installation::new(&(KEEP.to_owned() + &settings));
    let (server, admin) = installation.first_serve();
    let (project, key) = admin.application("Kept").await;
    let (asked, id, answered) = ask(&server.api(&key), "Say hello.").await;

    let lines = listed(&installation, &project, 2);
    assert!(
        lines[0].contains("request") && lines[1].contains("answer"),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| line.contains(&id)), "{lines:?}");

    let ended = installation.run(&["bodies", "show", &id]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for text in [
        &asked,
        &answered,
        "/v1/chat/completions",
        PRICES[0].model,
        "succeeded",
    ] {
        assert!(ended.stdout.contains(text), "{text}: {ended:?}");
    }
    for (side, text) in [("request", &asked), ("answer", &answered)] {
        let ended = installation.run(&["bodies", "show", &id, "--only", side]);
        assert_eq!(&ended.stdout, text);
    }
    let entries = readings(&admin, 3).await;
    let counts: Vec<_> = entries
        .iter()
        .filter(|entry| is_of_contents(entry))
        .map(|entry| {
            assert_eq!(entry["project"]["id"], project, "{entry}");
            entry["x.bodies.read"].clone()
        })
        .collect();
    let reading = |count| json!({"id": id, "read": "contents", "count": count});
    assert_eq!(counts, [reading(2), reading(1), reading(1)]);
    let first = &entries[0]["x.bodies.read"];
    assert_eq!(
        (&first["id"], &first["read"]),
        (&json!(project), &json!("list"))
    );

    let path = format!("/organization/projects/{project}/data_retention");
    let set = json!({"retention_type": "zero_data_retention"});
    admin.post(&path, &set).await;
    listed(&installation, &project, 0);
    ask(&server.api(&key), "Say hello.").await;
    let ended = installation.run(&["bodies", "show", &id]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&id), "{ended:?}");
    server.stop();
    listed(&installation, &project, 0);
    let ended = installation.run(&["audit", "verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn nothing_is_kept_unless_it_is_configured_and_nothing_stays_when_it_is_not_any_more() {
    let model_server = ModelServer::start();
    let installation = Installation::new(&model_server.settings());
    let (server, admin) = installation.first_serve();
    let (project, key) = admin.application("Kept").await;
    ask(&server.api(&key), "Say hello.").await;
    server.stop();
    listed(&installation, &project, 0);

    installation.configure(&(KEEP.to_owned() + &model_server.settings()));
    let server = installation.serve();
    ask(&server.api(&key), "Say hello.").await;
    server.stop();
    listed(&installation, &project, 2);
    let server = installation.serve();
    server.stop();
    listed(&installation, &project, 2);
    let later = [
        "bodies",
        "list",
        "--project",
        &project,
        "--since",
        "2100-01-01",
    ];
    assert_eq!(installation.run(&later).stdout, "");

    installation.configure(&model_server.settings());
    let server = installation.serve();
    listed(&installation, &project, 0);
    server.stop();
}

#[test]
fn what_cannot_be_is_said() {
    let installation = Installation::new("[bodies]\nkeep_days = 31\n");
    let ended = installation.run(&["config", "show"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("at most 30"), "{ended:?}");
    installation.configure(KEEP);
    let ended = installation.run(&["config", "show"]);
    assert!(ended.stdout.contains("keep_days = 30"), "{ended:?}");
    let ended = installation.run(&["bodies", "list", "--project", "proj_0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("proj_0"), "{ended:?}");
    let words = ["bodies", "list", "--project", "proj_0", "--since", "then"];
    let ended = installation.run(&words);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("2026-11-22"), "{ended:?}");
}
