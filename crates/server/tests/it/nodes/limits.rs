//! Rate limits that nodes share, and what is left of them after a restart.

use std::time::Duration;

use poll::ScenarioDelay;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::Cluster;

use super::World;
use super::listing::metrics;
use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::model_stub::ModelStub;

const MODEL: &str = "stub-model";
/// More than any limit of these tests.
const REQUEST_COUNT: usize = 90;
/// Number of requests that an only node serves while its database is away: for longer than a slice may be used.
const LOOK_COUNT: usize = 10;
/// Time between two of them.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);

/// The status of a request, its error's code, and the time after which it may be sent again.
async fn chat(api: &Api) -> (u16, Value, Option<String>) {
    let (status, code, retry, _) = told(api).await;
    (status, code, retry)
}

/// Returns status, code, `retry-after` and error of a request for a completion.
async fn told(api: &Api) -> (u16, Value, Option<String>, Value) {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]});
    let request = api.request(Method::POST, "/chat/completions").json(&body);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let retry = answer.headers().get("retry-after");
    let retry = retry.map(|value| value.to_str().expect("text").to_owned());
    let body: Value = answer.json().await.expect("JSON");
    let error = &body["error"];
    (
        status,
        error["code"].clone(),
        retry,
        error["message"].clone(),
    )
}

/// Sends requests to the nodes in turn, some at the same time, and returns the number of those that were admitted. All
/// others must be refused by the limit.
async fn admitted(clients: &[Api], count: usize) -> usize {
    let sent = (0..count).map(|number| {
        let client = clients[number % clients.len()].clone();
        tokio::spawn(async move { chat(&client).await })
    });
    let sent: Vec<_> = sent.collect();
    let mut admitted = 0;
    for answer in sent {
        match answer.await.expect("an answer") {
            (200, _, _) => admitted += 1,
            (status, code, retry) => {
                assert_eq!((status, code), (429, json!("rate_limit_exceeded")));
                assert!(retry.is_some());
            }
        }
    }
    admitted
}

async fn limited_project(admin: &Api, limits: &Value) -> String {
    let (project, key) = admin.application("App").await;
    let path = format!("/organization/projects/{project}/rate_limits/rl-{MODEL}");
    admin.post(&path, limits).await;
    key
}

async fn world() -> Option<(World, ModelStub)> {
    let stub = ModelStub::start().await;
    let cluster = Cluster::start("", "", &[])?;
    // A change is answered once all nodes act on it.
    let settings = format!("{}[cluster]\nsettle = \"all\"\n", stub.setting(&[MODEL]));
    let installation = Installation::new(&settings);
    Some((
        World {
            cluster,
            installation,
        },
        stub,
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_limit_of_a_minute_holds_for_three_nodes_together() {
    let Some((world, _stub)) = world().await else {
        return;
    };
    let (one, admin) = world.first_node();
    let others = [(); 2].map(|()| Server::from(world.node(&world.url())));
    for limit in [50, 1] {
        let key = limited_project(&admin, &json!({"max_requests_per_1_minute": limit})).await;
        let clients = [&one, &others[0], &others[1]].map(|node| node.api(&key));
        // What a node has not spent of its slice goes back within a second.
        let mut sum = admitted(&clients, REQUEST_COUNT).await;
        poll::until("all of the limit is used", async || {
            sum += admitted(&clients, clients.len()).await;
            sum >= limit
        })
        .await;
        assert_eq!(sum + admitted(&clients, REQUEST_COUNT).await, limit);
    }
    for node in others {
        node.stop();
    }
    one.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_limit_of_a_day_holds_for_nodes_that_start_one_after_the_other() {
    let Some((world, _stub)) = world().await else {
        return;
    };
    let (one, admin) = world.first_node();
    let key = limited_project(&admin, &json!({"max_requests_per_1_day": 20})).await;
    let clients = [one.api(&key)];
    assert_eq!(admitted(&clients, 12).await, 12);
    let second = Server::from(world.node(&world.url()));
    one.stop();
    assert_eq!(admitted(&[second.api(&key)], 12).await, 8);
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_limit_of_a_day_is_kept_over_a_restart() {
    let stub = ModelStub::start().await;
    let installation = Installation::new(&stub.setting(&[MODEL]));
    let (server, admin) = installation.first_serve();
    let key = limited_project(&admin, &json!({"max_requests_per_1_day": 20})).await;
    assert_eq!(admitted(&[server.api(&key)], 25).await, 20);
    server.stop();
    let server = installation.serve();
    assert_eq!(admitted(&[server.api(&key)], 5).await, 0);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_nodes_refuses_limited_requests_while_the_database_is_away_and_an_only_node_goes_on()
 {
    let Some((world, _stub)) = world().await else {
        return;
    };
    let (one, admin) = world.first_node();
    let key = limited_project(&admin, &json!({"max_requests_per_1_minute": 10_000})).await;
    let client = one.api(&key);
    assert_eq!(chat(&client).await.0, 200);
    world.cluster.stop();
    for _ in 0..LOOK_COUNT {
        assert_eq!(chat(&client).await.0, 200);
        ScenarioDelay(LOOK_INTERVAL).elapse().await;
    }
    world.cluster.restart();
    let other = Server::from(world.node(&world.url()));
    for node in [&one, &other] {
        poll::until("each knows of the other", async || {
            metrics(node).await.contains("orgplane_nodes 2\n")
        })
        .await;
    }
    poll::until("both serve", async || {
        chat(&client).await.0 == 200 && chat(&other.api(&key)).await.0 == 200
    })
    .await;
    world.cluster.stop();
    for node in [&one, &other] {
        let client = node.api(&key);
        poll::until("the limit cannot be checked", async || {
            let (status, code, retry, message) = told(&client).await;
            assert!(matches!(status, 200 | 503), "{status} {code} {message}");
            status == 503 && code == "limits_unavailable" && retry.is_some()
        })
        .await;
    }
    world.cluster.restart();
    for node in [&one, &other] {
        let client = node.api(&key);
        poll::until("the node serves again", async || {
            chat(&client).await.0 == 200
        })
        .await;
    }
    other.stop();
    one.stop();
}
