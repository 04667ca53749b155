//! `orgplane org create`: another organization beside those that are there, also while a server runs.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Api;
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

#[tokio::test]
async fn a_new_organization_works_on_a_running_server_and_sees_only_itself() {
    let model_server = ModelServer::start();
    let installation = Installation::new(&model_server.settings());
    let (server, first) = installation.first_serve();
    first.application("Of the first").await;

    let words = [
        "org",
        "create",
        "--name",
        "Beta",
        "--owner-email",
        "bea@beta.example",
    ];
    let ended = installation.run(&words);
    let created = Instant::now();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let key = key_in(&ended.stdout);
    assert_eq!(ended.stdout.matches(key).count(), 1, "{ended:?}");
    assert!(!ended.stderr.contains(key), "{ended:?}");

    let beta = server.api(key);
    let projects = beta.all("/organization/projects?").await;
    assert_eq!(projects.len(), 1, "{projects:?}");
    let (project, application) = beta.application("Of the second").await;
    assert_eq!(call(&server.api(&application)).await, 200);
    assert!(
        created.elapsed() < Duration::from_secs(1),
        "{:?}",
        created.elapsed()
    );

    let path = format!("/organization/projects/{project}");
    let foreign = first.request(Method::GET, &path).send().await;
    assert_eq!(foreign.expect("an answer").status(), 404);
    let changes = beta.all("/organization/audit_logs?").await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    server.stop();
}

#[tokio::test]
async fn an_organization_may_be_created_before_the_first_start() {
    let installation = Installation::new("");
    let words = [
        "org",
        "create",
        "--name",
        "Alpha",
        "--owner-email",
        "al@alpha.example",
    ];
    let ended = installation.run(&words);
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let server = installation.serve();
    let alpha = server.api(key_in(&ended.stdout));
    assert_eq!(alpha.all("/organization/projects?").await.len(), 1);
    assert!(
        !server.process.stdout().contains("First start"),
        "there is one already"
    );
    server.stop();
}

#[track_caller]
fn key_in(stdout: &str) -> &str {
    let start = stdout.find("sk-admin-").expect("a key is printed");
    stdout[start..]
        .split_whitespace()
        .next()
        .unwrap_or_default()
}

async fn call(application: &Api) -> u16 {
    let body = json!({
        "model": PRICES[0].model, "messages": [{"role": "user", "content": "Say hello."}],
    });
    let (status, _) = application
        .try_post("/chat/completions", &body)
        .await
        .expect("an answer");
    status
}
