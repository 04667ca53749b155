//! Spend limits of several nodes: together they spend no more than one does, also when one of them dies.

use poll::DEFAULT_TIMEOUT;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::World;
use crate::api::Api;
use crate::installation::Server;
use crate::kill::lost::{are_lost, limit, rows, settings, spend_dollar, until_under_way};
use crate::model_stub::ModelStub;

/// The output tokens of a request, which costs a dollar.
const TOKENS_PER_DOLLAR: u64 = 1_000;
const CLIENT_COUNT: usize = 12;

/// Spends a dollar at a time until the upstream has made so many tokens, and fails if that takes too long.
async fn spend_until(application: Api, stub_tokens: impl Fn() -> u64, tokens: u64) {
    let started = Instant::now();
    while stub_tokens() < tokens {
        assert!(started.elapsed() < DEFAULT_TIMEOUT, "the limit is not used");
        spend_dollar(application.clone()).await;
    }
}

fn verify(world: &World) {
    let url = world.url();
    let verified = (world.installation).run(&["usage", "verify", "--database", &url]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// B3: 9, 18 and 27 dollars on one, two and three nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_three_nodes_spend_a_limit_once() {
    const MAX_DOLLARS: usize = 10;
    let stub = ModelStub::start().await;
    let Some(world) = World::start(&settings(&stub)) else {
        return;
    };
    let (one, admin) = world.first_node();
    let others = [0, 1].map(|_| Server::from(world.node(&world.url())));
    limit(&admin, MAX_DOLLARS).await;
    let (_, key) = admin.application("App").await;
    let all = TOKENS_PER_DOLLAR * MAX_DOLLARS as u64;
    let mut clients = JoinSet::new();
    for server in [&one, &others[0], &others[1]] {
        let application = server.api(&key);
        poll::until("the key is known", async || {
            application
                .request(reqwest::Method::GET, "/models")
                .send()
                .await
                .expect("an answer")
                .status()
                == 200
        })
        .await;
        for _ in 0..CLIENT_COUNT {
            let memory = stub.clone();
            let made = move || memory.made_tokens();
            clients.spawn(spend_until(application.clone(), made, all));
        }
    }
    clients.join_all().await;
    for server in [&one, &others[0], &others[1]] {
        assert_eq!(spend_dollar(server.api(&key)).await, Some(429));
    }
    assert_eq!(stub.made_tokens(), all, "the whole limit, and no more");
    one.stop();
    for server in others {
        server.stop();
    }
    verify(&world);
}

/// B5: 149 dollars of a limit of 100, and no row of the requests that the node had under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_a_node_that_is_killed_leaves_rows_and_no_room() {
    const REQUEST_COUNT: usize = 50;
    const MAX_DOLLARS: usize = 60;
    let stub = ModelStub::start().await;
    // Sessions end after eight seconds, and requests after three more at the latest.
    let settings = settings(&stub).replace("stores = true", "timeout_seconds = 3");
    let Some(world) = World::start(&settings) else {
        return;
    };
    let (near, admin) = world.first_node();
    let lost = Server::from(world.node(&world.url()));
    limit(&admin, MAX_DOLLARS).await;
    let (_, key) = admin.application("App").await;
    let mut requests = JoinSet::new();
    for _ in 0..REQUEST_COUNT {
        requests.spawn(spend_dollar(lost.api(&key)));
    }
    until_under_way(&world.url(), REQUEST_COUNT).await;
    lost.process.kill();
    assert!(requests.join_all().await.iter().all(Option::is_none));

    let mut clients = JoinSet::new();
    for _ in 0..CLIENT_COUNT {
        let (application, memory) = (near.api(&key), stub.clone());
        let made = move || memory.made_tokens();
        clients.spawn(spend_until(
            application,
            made,
            TOKENS_PER_DOLLAR * MAX_DOLLARS as u64,
        ));
    }
    clients.join_all().await;
    until_under_way(&world.url(), 0).await;
    assert_eq!(spend_dollar(near.api(&key)).await, Some(429));
    let all = TOKENS_PER_DOLLAR * MAX_DOLLARS as u64;
    assert_eq!(stub.made_tokens(), all, "the whole limit, and no more");
    near.stop();
    let rows: Vec<Value> = rows(&world.installation, &["--database", &world.url()]);
    assert_eq!(
        rows.len(),
        MAX_DOLLARS,
        "one row for each request that the upstream got"
    );
    are_lost(&rows, REQUEST_COUNT);
    verify(&world);
}
