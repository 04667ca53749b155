//! Consistency of reads: each sees everything committed before it, by this process and by others.

use std::time::Duration;

use base::time::{SECONDS_PER_DAY, Stopwatch};
use serde_json::json;
use store::sql;
use testkit::{Client, Server};

const PROJECTS: &str = "/organization/projects";

/// Renames every project in the database, as another process does.
async fn rename(server: &Server, name: &'static str) {
    let other = server.database.store().await;
    let mut transaction = other.begin_untracked().await.expect("a transaction");
    let update = sql!("UPDATE projects SET name = $1", name);
    transaction.execute(update).await.expect("the projects");
    transaction.commit().await.expect("a commit");
}

async fn first_name(server: &Server) -> String {
    let projects = server.admin().get(PROJECTS).await.ok();
    projects["data"][0]["name"]
        .as_str()
        .expect("a name")
        .to_owned()
}

#[tokio::test]
async fn repeated_read_sees_the_commit_of_another_process_at_once() {
    let server = Server::start().await;
    assert_ne!(first_name(&server).await, "Renamed");
    rename(&server, "Renamed").await;
    assert_eq!(first_name(&server).await, "Renamed");
}

#[tokio::test]
async fn different_reads_see_the_commit_of_another_process_within_a_second() {
    let server = Server::start().await;
    first_name(&server).await;
    rename(&server, "Renamed").await;
    let begun = Stopwatch::start();
    for limit in 1..=100 {
        let path = format!("{PROJECTS}?limit={limit}");
        let projects = server.admin().get(&path).await.ok();
        if projects["data"][0]["name"] == "Renamed" {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{projects}");
    }
    panic!("the commit was not seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_is_seen_by_every_later_read_beneath_concurrent_reads() {
    let server = Server::start().await;
    let admin = server.admin();
    let project = admin.post(PROJECTS, json!({"name": "0"})).await.ok();
    let path = format!("{PROJECTS}/{}", project["id"].as_str().expect("an id"));
    let others: Vec<_> = (0..4)
        .map(|_| {
            let (admin, path) = (admin.clone(), path.clone());
            tokio::spawn(async move {
                loop {
                    admin.get(&path).await.ok();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=200 {
        let name = number.to_string();
        admin.post(&path, json!({"name": name})).await.ok();
        for _ in 0..3 {
            assert_eq!(admin.get(&path).await.ok()["name"], name);
        }
    }
    for other in others {
        other.abort();
    }
}

#[tokio::test]
async fn key_from_another_process_sees_what_that_process_committed_before() {
    let server = Server::start().await;
    first_name(&server).await;
    let elsewhere = Client::new(server.another().await.http_service(), server.admin().key);
    let project = elsewhere.post(PROJECTS, json!({"name": "New"})).await.ok();
    let key = elsewhere
        .post("/organization/admin_api_keys", json!({"name": "x"}))
        .await
        .ok();
    let client = server.with_key(key["value"].as_str().expect("a secret"));
    let projects = client.get(PROJECTS).await.ok();
    assert_eq!(projects["last_id"], project["id"]);
}

#[tokio::test]
async fn answer_to_one_caller_is_not_shown_to_another_without_permission() {
    let server = Server::start().await;
    let path = "/organization/admin_api_keys";
    server.admin().get(path).await.ok();
    assert_eq!(server.anonymous().get(path).await.status, 401);
    assert_eq!(server.reader().get(path).await.status, 403);
    let own = server.admin().get(PROJECTS).await.ok();
    let foreign = server.stranger().get(PROJECTS).await.ok();
    assert_ne!(own["first_id"], foreign["first_id"]);
}

#[tokio::test]
async fn repeated_read_sees_the_passage_of_time() {
    let server = Server::start().await;
    let invites = "/organization/invites";
    let invite = json!({"email": "eve@acme.example", "role": "reader"});
    server.admin().post(invites, invite).await.ok();
    let status = async || server.admin().get(invites).await.ok()["data"][0]["status"].clone();
    assert_eq!(status().await, "pending");
    server.clock.advance(8 * SECONDS_PER_DAY);
    assert_eq!(status().await, "expired");
}
