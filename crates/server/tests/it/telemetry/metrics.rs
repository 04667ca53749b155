//! `/metrics`, as Prometheus reads it and as the documentation lists it.

use std::path::Path;

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use super::collector::Collector;
use super::upstream::Upstream;
use crate::api::{Api, http};
use crate::client_script::python;
use crate::installation::{Installation, Server};

/// Everything that makes metrics move.
async fn traffic(server: &Server, admin: &Api) -> Api {
    let (_, key) = admin.application("Application").await;
    let application = server.api(&key);
    for (model, status) in [("real", 200), ("nick", 200), ("unheard-of", 404)] {
        let body = json!({"model": model, "messages": []});
        let (answered, _) = application
            .try_post("/chat/completions", &body)
            .await
            .expect("an answer");
        assert_eq!(answered, status);
    }
    application
}

async fn scrape(address: &str) -> (StatusCode, String) {
    let response = http().get(format!("{address}/metrics")).send().await;
    let response = response.expect("an answer");
    let status = response.status();
    if status.is_success() {
        let kind = &response.headers()["content-type"];
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    }
    (status, response.text().await.expect("text"))
}

/// Metrics as parsed by Prometheus' own parser: name, type, help and samples.
fn parsed(text: &str) -> Vec<Value> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    let path = file.path().to_str().expect("text");
    let done = python(&["metrics.py", path]).output().expect("Python runs");
    let complained = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{complained}\n{text}");
    serde_json::from_slice(&done.stdout).expect("JSON")
}

/// The value of a sample with these labels.
fn value(families: &[Value], name: &str, labels: &Value) -> f64 {
    let samples = families
        .iter()
        .flat_map(|family| family["samples"].as_array().expect("samples"));
    let mut found = samples.filter(|sample| sample["name"] == name && sample["labels"] == *labels);
    let sample = found.next().unwrap_or_else(|| panic!("no {name} {labels}"));
    sample["value"].as_f64().expect("a number")
}

/// The rows of the documentation's table that these metrics come to.
fn rows(families: &[Value]) -> Vec<String> {
    let row = |family: &Value| {
        let text = |key: &str| family[key].as_str().expect("text").to_owned();
        let labels = family["label_names"].as_array().expect("labels").iter();
        let labels: Vec<String> = labels
            .map(|label| format!("`{}`", label.as_str().expect("text")))
            .collect();
        let (name, kind, help) = (text("name"), text("type"), text("help"));
        format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
    };
    families.iter().map(row).collect()
}

/// The text has no id, name or key.
fn assert_no_tenant(text: &str, keys: &[&str]) {
    for part in [
        "org-",
        "proj_",
        "key_",
        "user-",
        "svc_acct_",
        "sk-",
        "Application",
        "req_",
    ] {
        assert!(!text.contains(part), "{part} is in\n{text}");
    }
    assert!(!keys.iter().any(|key| text.contains(*key)));
}

/// The documentation lists just these metrics.
fn assert_documented(families: &[Value]) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring.md");
    let page = std::fs::read_to_string(page).expect("the documentation");
    let documented = page.lines().filter(|line| {
        let name = line.strip_prefix("| `").unwrap_or_default();
        ["orgplane_", "gen_ai_", "http_", "process_"]
            .iter()
            .any(|it| name.starts_with(it))
    });
    let documented: Vec<&str> = documented.collect();
    let rows = rows(families);
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let missing: Vec<_> = rows
        .iter()
        .filter(|row| !documented.contains(row))
        .collect();
    let surplus: Vec<_> = documented
        .iter()
        .filter(|row| !rows.contains(row))
        .collect();
    assert!(
        documented == rows,
        "docs/monitoring.md lacks {missing:#?} and has in vain {surplus:#?}, or another order"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_valid_complete_and_tell_of_no_tenant() {
    let (upstream, collector) = (
        Upstream::start().await,
        Collector::start(StatusCode::OK).await,
    );
    let installation = Installation::new(&(collector.setting() + &upstream.setting()));
    let (server, admin) = installation.first_serve();
    let application = traffic(&server, &admin).await;
    let (status, text) = scrape(&server.address).await;
    assert_eq!(status, 200, "nobody needs a key");
    let families = parsed(&text);

    let chat = "/v1/chat/completions";
    let labels = json!({"endpoint": chat, "outcome": "succeeded", "status": "2xx"});
    assert_eq!(value(&families, "orgplane_requests_total", &labels), 2.0);
    let labels = json!({"model": "real", "token_type": "input"});
    assert_eq!(value(&families, "orgplane_tokens_total", &labels), 22.0);
    let labels = json!({"operation": "projects create", "status": "2xx"});
    assert_eq!(
        value(&families, "orgplane_admin_requests_total", &labels),
        1.0
    );
    for (name, least) in [
        ("process_resident_memory_bytes", 1e6),
        ("process_start_time_seconds", 1.7e9),
        ("orgplane_directory_fresh", 1.0),
        ("orgplane_recorder_queue_capacity", 1.0),
    ] {
        assert!(value(&families, name, &json!({})) >= least, "{name}");
    }
    assert_no_tenant(&text, &[&application.key, &admin.key]);
    assert_documented(&families);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_can_have_an_address_of_their_own() {
    let installation = Installation::new("[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let (server, admin) = installation.first_serve();
    let line = server.process.line("Metrics on ").expect("it says where");
    let address = line.strip_suffix("/metrics").expect("the path");
    let (status, text) = scrape(address).await;
    assert_eq!(status, 200);
    assert!(!parsed(&text).is_empty());
    assert_eq!(scrape(&server.address).await.0, 404);
    let elsewhere = Api::new(address, &admin.key);
    let request = elsewhere.request(Method::GET, "/organization/projects");
    assert_eq!(request.send().await.expect("an answer").status(), 404);
    server.stop();
}
