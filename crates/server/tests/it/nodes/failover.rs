//! Sessions when PostgreSQL fails over, and when a node is paused.

use std::process::Command;

use reqwest::Method;
use serde_json::json;
use testkit::Cluster;

use super::World;
use crate::api::{Api, http};
use crate::installation::{Installation, Server};
use crate::model_stub::ModelStub;

const MODEL: &str = "stub-model";

async fn chat(api: &Api) -> u16 {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]});
    let request = api.request(Method::POST, "/chat/completions").json(&body);
    request.send().await.expect("an answer").status().as_u16()
}

/// The value of a metric without labels.
async fn metric(server: &Server, name: &str) -> i64 {
    let answer = http().get(format!("{}/metrics", server.address)).send();
    let text = answer.await.expect("an answer").text().await.expect("text");
    let line = text.lines().find_map(|line| {
        let (metric, value) = line.split_once(' ')?;
        (metric == name).then(|| value.to_owned())
    });
    line.expect("a metric").parse().expect("a number")
}

/// Runs a command that must succeed.
fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{program} {words:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_agree_with_a_database_that_has_lost_commits() {
    let stub = ModelStub::start().await;
    // A server that recovers from its own log ends on a timeline of its own, as a standby that was promoted.
    let Some(cluster) = Cluster::start("restore_command = 'false'\n", "", &[]) else {
        return;
    };
    let world = World {
        cluster,
        installation: Installation::new(&stub.setting(&[MODEL])),
    };
    let (one, admin) = world.first_node();
    let other = Server::from(world.node(&world.url()));
    let (project, key) = admin.application("App").await;
    let clients = [one.api(&key), other.api(&key)];
    let generation = metric(&one, "orgplane_generation").await;

    // A copy of the server, which commits after it do not reach.
    let data = world.cluster.data().display().to_string();
    let copy = format!("{data}-copy");
    world.cluster.stop();
    run("cp", &["-a", &data, &copy]);
    world.cluster.restart();
    poll::until("the nodes recover", async || {
        chat(&clients[1]).await == 200 && metric(&other, "orgplane_directory_fresh").await == 1
    })
    .await;
    let path = format!("/organization/projects/{project}/service_accounts");
    let id = poll::value("an account", async || {
        let accounts = admin.request(Method::GET, &path).send().await.ok()?;
        let accounts: serde_json::Value = accounts.json().await.ok()?;
        accounts["data"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let deleted = admin.request(Method::DELETE, &format!("{path}/{id}"));
    assert_eq!(deleted.send().await.expect("an answer").status(), 200);
    for client in &clients {
        poll::until("the key is refused", async || chat(client).await == 401).await;
    }
    assert_eq!(metric(&one, "orgplane_generation").await, generation);

    world.cluster.stop();
    run("rm", &["-rf", &data]);
    run("mv", &[&copy, &data]);
    std::fs::write(world.cluster.data().join("recovery.signal"), "").expect("a file");
    world.cluster.restart();
    for (client, node) in clients.iter().zip([&one, &other]) {
        poll::until("the key is as in the database", async || {
            chat(client).await == 200
        })
        .await;
        poll::until("a generation has begun", async || {
            metric(node, "orgplane_generation").await == generation + 1
        })
        .await;
        poll::until("the session goes on", async || {
            metric(node, "orgplane_session_over").await == 0
        })
        .await;
    }
    other.stop();
    one.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_paused_comes_back_as_another_session() {
    let Some(world) = World::start("") else {
        return;
    };
    let (one, _admin) = world.first_node();
    let other = Server::from(world.node(&world.url()));
    let living = "SELECT MAX(epoch) FROM nodes WHERE ended_at IS NULL";
    let epoch: i64 = world.ask(living).parse().expect("an epoch");
    other.process.signal("STOP");
    let ended =
        format!("SELECT COUNT(*) FROM nodes WHERE epoch = {epoch} AND ended_at IS NOT NULL");
    poll::until("the session is over", async || world.ask(&ended) == "1").await;
    other.process.signal("CONT");
    poll::until("another session", async || {
        world
            .ask(living)
            .parse::<i64>()
            .is_ok_and(|newest| newest > epoch)
    })
    .await;
    assert_eq!(world.ask(&ended), "1", "the session that was over stays so");
    poll::until("the node is ready", async || {
        metric(&other, "orgplane_session_over").await == 0
            && metric(&other, "orgplane_nodes").await == 2
    })
    .await;
    // The clock of the database was not set, only asked late.
    assert_eq!(
        metric(&one, "orgplane_generation").await,
        metric(&other, "orgplane_generation").await
    );
    other.stop();
    one.stop();
}
