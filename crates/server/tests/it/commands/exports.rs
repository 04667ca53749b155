//! `orgplane usage export`: the ledger in every format, and back.

use std::fs;

use serde_json::{Value, json};

use crate::api::Api;
use crate::client_script::python;
use crate::installation::{Installation, Server};

/// Time of the first event: 2026-01-15, 12:00 UTC.
const FIRST_SECONDS: i64 = 1_768_478_400;
const DAY_SECONDS: i64 = 86_400;
/// Settings of a server that takes events of any age that these tests reach.
const SETTINGS: &str = "[usage]\nmax_event_age_days = 36_500\n";

/// A server that has three events: one that costs something, one whose texts need care, one of another report.
async fn serving() -> (Installation, Server, Vec<Value>) {
    let installation = Installation::new(SETTINGS);
    let (server, admin) = installation.first_serve();
    let project = project(&admin).await;
    let events = vec![
        json!({"id": "a", "timestamp": FIRST_SECONDS, "type": "completions", "project_id": project, "model": "gpt-4o",
               "batch": false, "input_tokens": 1_000_000, "output_tokens": 0, "num_model_requests": 1}),
        json!({"id": "=b", "timestamp": FIRST_SECONDS + DAY_SECONDS, "type": "completions", "project_id": project,
               "user_id": "'-1", "model": "say \"1, 2\"", "batch": true, "service_tier": "@flex",
               "input_tokens": 7, "output_tokens": 8, "num_model_requests": 2, "input_cached_tokens": 3}),
        json!({"id": "c", "timestamp": FIRST_SECONDS + 2 * DAY_SECONDS, "type": "vector_stores", "project_id": project,
               "batch": false, "usage_bytes": 9}),
    ];
    let path = "/organization/usage/events";
    let answer = admin.post(path, &json!(events)).await;
    assert_eq!(answer["accepted"], 3, "{answer}");
    (installation, server, events)
}

async fn project(admin: &Api) -> Value {
    let projects = admin.get("/organization/projects").await;
    projects["data"][0]["id"].clone()
}

/// Exports the ledger and returns the lines of NDJSON.
fn exported(installation: &Installation, words: &[&str]) -> Vec<Value> {
    let ended = installation.run(&[&["usage", "export"], words].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

#[tokio::test]
async fn a_line_has_the_event_and_what_the_ledger_says_of_it() {
    let (installation, server, events) = serving().await;
    let lines = exported(&installation, &[]);
    assert_eq!(lines.len(), 3);
    for (line, event) in lines.iter().zip(&events) {
        let (mut line, event) = (line.clone(), event.as_object().expect("an event"));
        let line = line.as_object_mut().expect("an object");
        let organization = line.remove("organization_id").expect("an organization");
        assert!(
            organization
                .as_str()
                .is_some_and(|id| id.starts_with("org-"))
        );
        assert!(line.remove("recorded_at").and_then(|at| at.as_i64()) > Some(FIRST_SECONDS));
        // A million tokens at $2.50; a model without a price; 9 bytes at $0.10 for a gigabyte, rounded.
        let (amount, is_unpriced) = match event["id"].as_str() {
            Some("a") => (json!(2.5), false),
            Some("c") => (json!(0.000_000_001), false),
            _ => (json!(0), true),
        };
        assert_eq!(line.remove("amount"), Some(amount), "{event:?}");
        assert_eq!(line.remove("unpriced"), Some(json!(is_unpriced)));
        assert_eq!(line.remove("estimated"), Some(json!(false)));
        assert_eq!(line.remove("outcome"), Some(json!("reported")));
        assert_eq!(line, event);
    }
    let ids = |words: &[&str]| -> Vec<Value> {
        let lines = exported(&installation, words).into_iter();
        lines.map(|line| line["id"].clone()).collect()
    };
    assert_eq!(ids(&["--from", "2026-01-16"]), ["=b", "c"]);
    assert_eq!(ids(&["--to", "2026-01-16T12:00:00Z"]), ["a"]);
    let organization = lines[0]["organization_id"].as_str().expect("an id");
    assert_eq!(ids(&["--organization", organization]).len(), 3);
    let ended = installation.run(&["usage", "export", "--organization", "org-none"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("org-none"), "{ended:?}");
    server.stop();
}

#[tokio::test]
async fn what_was_exported_is_imported_again() {
    let (installation, server, _) = serving().await;
    let csv = installation.directory().join("all.csv");
    for name in ["all.ndjson", "all.csv", "all.parquet"] {
        assert!(exported(&installation, &["--output", name]).is_empty());
        let ended = installation.run(&["usage", "import", name]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        // The log, which has a thread of its own, may write its lines before or after this one.
        let mut lines = ended.stderr.lines();
        let is_summary = |line: &str| line.ends_with(": 0 new events, 3 known, 0 refused");
        assert!(lines.any(is_summary), "{name}: {ended:?}");
    }
    let csv = fs::read_to_string(csv).expect("a file");
    let head = "id,timestamp,type,project_id,user_id,api_key_id,model,batch,";
    assert!(csv.starts_with(head), "{csv}");
    assert!(
        csv.contains("\r\n'=b,2026-01-16T12:00:00Z,completions,"),
        "{csv}"
    );
    assert!(
        csv.contains(",''-1,,\"say \"\"1, 2\"\"\",true,'@flex,"),
        "{csv}"
    );
    let files = fs::read_dir(installation.directory()).expect("a folder");
    let mut names = files.map(|file| file.expect("a file").file_name());
    assert!(!names.any(|name| name.to_string_lossy().ends_with(".part")));
    server.stop();
}

#[tokio::test]
async fn another_library_reads_what_was_exported() {
    let (installation, server, _) = serving().await;
    let lines = exported(&installation, &[]);
    assert!(exported(&installation, &["--output", "all.parquet"]).is_empty());
    let file = installation.directory().join("all.parquet");
    let read = python(&["read_parquet.py", file.to_str().expect("a path")]).output();
    let read = read.expect("Python runs");
    assert!(read.status.success(), "{read:?}");
    let read: Value = serde_json::from_slice(&read.stdout).expect("JSON");
    assert_eq!(read["types"]["timestamp"], "timestamp[ms, tz=UTC]");
    assert_eq!(read["types"]["amount"], "decimal128(38, 9)");
    assert_eq!(read["types"]["input_tokens"], "int64");
    assert_eq!(read["types"]["model"], "string");
    assert_eq!(read["types"]["batch"], "bool");
    assert_eq!(read["rows"], json!(lines));
    server.stop();
}
