//! A database, or the way to it, that hangs: connections stay open and nothing is answered.

use std::time::Duration;

use base::Clock;
use poll::ScenarioDelay;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::World;
use super::proxy::Proxy;
use crate::api::{Api, http};
use crate::installation::Server;
use crate::model_stub::ModelStub;

/// The time within which a hung database must show.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// A machine that does other things may delay a round.
const ROUND_COUNT: usize = 3;
/// Time between two requests while the database hangs.
const REQUEST_INTERVAL: Duration = Duration::from_millis(50);
const MODEL: &str = "stub-model";

async fn text(server: &Server, path: &str) -> (u16, String) {
    let answer = http().get(format!("{}{path}", server.address)).send().await;
    let answer = answer.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn is_ready(server: &Server) -> bool {
    text(server, "/readyz").await.0 == 200
}

async fn until_ready(server: &Server) {
    poll::until("the server is ready", async || is_ready(server).await).await;
}

/// The status of a request to the model that the stub serves.
async fn chat(api: &Api) -> u16 {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]});
    let request = api.request(Method::POST, "/chat/completions").json(&body);
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_a_hung_database_shows_within_two_seconds() {
    let Some(world) = World::start("") else {
        return;
    };
    let (server, _admin) = world.first_node();
    let mut times = Vec::new();
    for _ in 0..ROUND_COUNT {
        until_ready(&server).await;
        world.cluster.pause();
        let started = Instant::now();
        poll::until("the server is not ready", async || !is_ready(&server).await).await;
        let ready = started.elapsed();
        poll::until("the directory is not fresh", async || {
            let (_, metrics) = text(&server, "/metrics").await;
            metrics.contains("orgplane_directory_fresh 0")
        })
        .await;
        times.push((ready, started.elapsed()));
        world.cluster.resume();
        if times
            .iter()
            .any(|(ready, metric)| *ready.max(metric) < MAX_DELAY)
        {
            until_ready(&server).await;
            server.stop();
            return;
        }
    }
    panic!("not ready, and in the metrics, after {times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_keys_are_not_believed_for_longer_than_is_configured_while_the_database_hangs() {
    let stub = ModelStub::start().await;
    let settings = format!(
        "[cluster]\nstale_keys_seconds = 3\n{}",
        stub.setting(&[MODEL])
    );
    let Some(world) = World::start(&settings) else {
        return;
    };
    let (server, admin) = world.first_node();
    let (_, key) = admin.application("App").await;
    let application = server.api(&key);
    assert_eq!(chat(&application).await, 200);
    world.cluster.pause();
    let hung = Instant::now();
    let mut last_taken = Duration::ZERO;
    while hung.elapsed() < Duration::from_secs(8) {
        let asked = hung.elapsed();
        match chat(&application).await {
            200 => last_taken = asked,
            status => assert_eq!(status, 503),
        }
        ScenarioDelay(REQUEST_INTERVAL).elapse().await;
    }
    assert!(
        last_taken <= Duration::from_millis(3_500),
        "taken after {last_taken:?}"
    );
    world.cluster.resume();
    until_ready(&server).await;
    assert_eq!(chat(&application).await, 200);
    server.stop();
}

/// Makes a project, or tries to.
async fn write(admin: &Api) -> u16 {
    let request = admin.request(Method::POST, "/organization/projects");
    let request = request.json(&json!({"name": "P"}));
    request.send().await.expect("an answer").status().as_u16()
}

async fn counted(admin: &Api) -> i64 {
    let yesterday = Clock::system().now().plus(-86_400).0;
    let path = format!("/organization/usage/completions?start_time={yesterday}&bucket_width=1d");
    let page = admin.get(&path).await;
    let buckets = page["data"].as_array().cloned().unwrap_or_default();
    let results = buckets
        .iter()
        .flat_map(|bucket| bucket["results"].as_array().cloned().unwrap_or_default());
    results
        .map(|result: Value| result["num_model_requests"].as_i64().unwrap_or(0))
        .sum()
}

/// Two nodes: one has a way of its own to the database, and the other one that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_connections_that_hang_are_given_up_and_a_revocation_is_seen_soon() {
    let stub = ModelStub::start().await;
    let Some(world) = World::start(&stub.setting(&[MODEL])) else {
        return;
    };
    let (near, admin) = world.first_node();
    let proxy = Proxy::start(world.cluster.port()).await;
    let url = world.url().replace("localhost", "127.0.0.1");
    let url = url.replace(
        &world.cluster.port().to_string(),
        &proxy.address.port().to_string(),
    );
    let far = Server::from(world.node(&url));
    let (project, key) = admin.application("App").await;
    let (application, there) = (far.api(&key), far.api(&admin.key));
    poll::until("the key is known", async || chat(&application).await == 200).await;
    assert_eq!(write(&there).await, 200);
    proxy.hang();
    let path = format!("/organization/projects/{project}/service_accounts");
    let accounts = admin.get(&path).await;
    let id = accounts["data"][0]["id"]
        .as_str()
        .expect("an account")
        .to_owned();
    let deleted = admin.request(Method::DELETE, &format!("{path}/{id}"));
    assert_eq!(deleted.send().await.expect("an answer").status(), 200);
    let revoked = Instant::now();
    poll::until("the revoked key is refused", async || {
        chat(&application).await != 200
    })
    .await;
    let taken = revoked.elapsed();
    // The ledger's writer and the Administration API have given up their connections, too.
    let (_, key) = admin.application("Another").await;
    let application = far.api(&key);
    poll::until("the node recovers", async || {
        chat(&application).await == 200 && write(&there).await == 200
    })
    .await;
    poll::until("usage is written", async || counted(&admin).await >= 2).await;
    far.stop();
    near.stop();
    assert!(
        taken < Duration::from_secs(4),
        "revoked and taken for {taken:?}"
    );
}
