//! Requests that are under way when the server is killed have a row, and their money stays spent.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::text;
use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::model_stub::{ModelStub, WORK};
use crate::reports::{Sums, now};

const MODEL: &str = "stub-model";
const REQUEST_COUNT: usize = 20;
/// Output tokens of a request: each costs a tenth of a cent, so that a request costs a dollar.
const TOKEN_COUNT: u64 = 1_000;
const PRICE: &str = r#"
[[price]]
model = "stub-model"
effective = "2026-01-01"
input = "0"
output = "1000"
"#;

/// Returns the status of a request that costs at most a dollar; `None` if the connection broke.
pub(crate) async fn spend_dollar(application: Api) -> Option<u16> {
    let content = format!("{WORK}{TOKEN_COUNT}.");
    let body = json!({"model": MODEL, "max_tokens": TOKEN_COUNT, "messages": [{"role": "user", "content": content}]});
    let sent = application.try_post("/chat/completions", &body).await;
    sent.ok().map(|(status, _)| status)
}

/// Returns the settings of a server that forwards to a stub at the price of a dollar for a request.
pub(crate) fn settings(stub: &ModelStub) -> String {
    format!("{}{PRICE}", stub.setting(&[MODEL]))
}

/// Sets the spend limit of the organization, in dollars.
pub(crate) async fn limit(admin: &Api, dollars: usize) {
    let limit = json!({"threshold_amount": 100 * dollars, "currency": "USD", "interval": "month"});
    admin.post("/organization/spend_limit", &limit).await;
}

/// Returns the rows of the last hour.
pub(crate) fn rows(installation: &Installation, more: &[&str]) -> Vec<Value> {
    let since = (now() - 3_600).to_string();
    let words = [&["usage", "export", "--from", &since], more].concat();
    let exported = installation.run(&words);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let rows = exported.stdout.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("lines of JSON")
}

/// Checks that so many of the rows are of lost requests, and that no request has two.
pub(crate) fn are_lost(rows: &[Value], count: usize) {
    let mut ids: Vec<String> = rows.iter().map(|row| text(&row["id"])).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), rows.len(), "one row for each request");
    let lost: Vec<_> = (rows.iter())
        .filter(|row| row["outcome"] == "node_lost")
        .collect();
    assert_eq!(lost.len(), count, "{rows:?}");
    assert!(lost.iter().all(|row| row["estimated"] == true), "{lost:?}");
}

/// Returns the sums of the rows of lost requests.
pub(super) fn lost_sums(installation: &Installation) -> Sums {
    let rows = rows(installation, &[]).into_iter();
    let rows = rows.filter(|row| row["outcome"] == "node_lost");
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap_or_default();
    rows.map(|row| Sums {
        requests: 1,
        input: number(&row, "input_tokens"),
        cached: 0,
        output: number(&row, "output_tokens"),
    })
    .sum()
}

/// Waits until the database has so many requests under way.
pub(crate) async fn until_under_way(url: &str, count: usize) {
    let count = i64::try_from(count).expect("few");
    poll::until("the requests are durable", async || {
        testkit::row_counts(url)["under_way"] == count
    })
    .await;
}

fn verify(installation: &Installation) {
    let verified = installation.run(&["usage", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// Spends a dollar at a time until that is refused.
async fn spend_all(server: &Server, key: &str) -> usize {
    let mut spent = 0;
    while spend_dollar(server.api(key)).await == Some(200) {
        spent += 1;
    }
    spent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_have_a_row_after_kill_9_and_stay_spent() {
    let stub = ModelStub::start().await;
    // On PostgreSQL another node may still be asking: rows come when the session and these seconds are over.
    let settings = settings(&stub).replace("stores = true", "timeout_seconds = 3");
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    limit(&admin, REQUEST_COUNT + 2).await;
    let (_, key) = admin.application("App").await;
    let mut requests = JoinSet::new();
    for _ in 0..REQUEST_COUNT {
        requests.spawn(spend_dollar(server.api(&key)));
    }
    until_under_way(&installation.database_url(), REQUEST_COUNT).await;
    server.process.kill();
    assert!(requests.join_all().await.iter().all(Option::is_none));

    let server = installation.serve();
    poll::until("the lost requests have rows", async || {
        rows(&installation, &[]).len() == REQUEST_COUNT
    })
    .await;
    are_lost(&rows(&installation, &[]), REQUEST_COUNT);
    assert_eq!(spend_all(&server, &key).await, 2, "what is left");
    assert_eq!(stub.made_tokens(), TOKEN_COUNT * (REQUEST_COUNT as u64 + 2));
    server.stop();
    verify(&installation);
    let rows = rows(&installation, &[]);
    assert_eq!(rows.len(), REQUEST_COUNT + 2);
    are_lost(&rows, REQUEST_COUNT);
}
