//! The connections that a node keeps to PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::json;
use testkit::Cluster;

use super::World;
use crate::api::Api;
use crate::installation::Installation;
use crate::model_stub::ModelStub;
use crate::process::Process;

const MODEL: &str = "stub-model";
const COUNT: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'orgplane'";

/// Asks a node for everything at once that needs a connection.
async fn busy(admin: Api, key: String, is_over: Arc<AtomicBool>) {
    let mut application = admin.clone();
    application.key = key;
    let chat = json!({"model": MODEL, "messages": []});
    let usage = "/organization/usage/completions?start_time=1767225600&bucket_width=1d";
    while !is_over.load(Ordering::Relaxed) {
        let requests = [
            admin
                .request(Method::POST, "/organization/projects")
                .json(&json!({"name": "P"})),
            admin.request(Method::GET, "/organization/projects"),
            admin.request(Method::GET, usage),
            application
                .request(Method::POST, "/chat/completions")
                .json(&chat),
            application.request(Method::GET, "/files"),
        ];
        for request in requests {
            let status = request.send().await.expect("an answer").status();
            assert!(status.as_u16() < 500 || status == 503, "{status}");
        }
    }
}

/// The most connections of a node at once, as PostgreSQL counts them while the node is busy.
async fn most(settings: &str) -> Option<i64> {
    let stub = ModelStub::start().await;
    let world = World::start(&format!("{settings}{}", stub.setting(&[MODEL])))?;
    let (server, admin) = world.first_node();
    let (_, key) = admin.application("App").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..48)
        .map(|_| tokio::spawn(busy(admin.clone(), key.clone(), Arc::clone(&is_over))))
        .collect();
    let mut most = 0;
    for _ in 0..40 {
        let count: i64 = world.ask(COUNT).parse().expect("a number");
        most = most.max(count);
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client");
    }
    server.stop();
    Some(most)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_a_node_keeps_twelve_connections_at_the_most() {
    let Some(most) = most("").await else { return };
    assert!((6..=12).contains(&most), "{most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_the_number_of_connections_can_be_set() {
    let Some(most) = most("database_connections = 8\n").await else {
        return;
    };
    assert!((4..=8).contains(&most), "{most}");
}

#[test]
fn b14_a_node_that_wants_more_connections_than_postgres_takes_is_refused() {
    let Some(cluster) = Cluster::start("max_connections = 13\nmax_wal_senders = 0\n", "", &[])
    else {
        return;
    };
    let installation = Installation::new("");
    let url = cluster.url("orgplane", "localhost");
    let ended = Process::start(installation.command(&["serve", "--database", &url])).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in ["database_connections", "12", "max_connections", "10"] {
        assert!(ended.stderr.contains(word), "{word}: {ended:?}");
    }
}
