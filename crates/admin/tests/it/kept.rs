//! Answers that are kept while nothing changes.

use std::time::Duration;

use base::time::{DAY, Stopwatch};
use serde_json::json;
use store::sql;
use testkit::{Client, Server};

const PROJECTS: &str = "/organization/projects";

/// Renames every project behind the server's back.
async fn rename(server: &Server, name: &'static str) {
    let other = server.database.store().await;
    let mut transaction = other.begin_quietly().await.expect("a transaction");
    let update = sql!("UPDATE projects SET name = $1", name);
    transaction.execute(update).await.expect("renamed");
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
async fn an_answer_is_kept_until_what_it_was_read_from_is_written_to() {
    let server = Server::start().await;
    let before = first_name(&server).await;
    rename(&server, "Renamed").await;
    // On PostgreSQL other nodes commit too, so nothing is kept.
    let kept = if server.store.state().is_some() {
        before.as_str()
    } else {
        "Renamed"
    };
    assert_eq!(first_name(&server).await, kept);
    let key = server
        .admin()
        .post("/organization/admin_api_keys", json!({"name": "x"}))
        .await
        .ok();
    note_uses(&server).await;
    assert_eq!(first_name(&server).await, kept, "keys are no projects");
    let client = server.with_key(key["value"].as_str().expect("a secret"));
    let projects = client.get(PROJECTS).await.ok();
    assert_eq!(projects["data"][0]["name"], kept, "whoever may ask gets it");
    server
        .admin()
        .post(PROJECTS, json!({"name": "New"}))
        .await
        .ok();
    assert_eq!(first_name(&server).await, "Renamed");
}

/// Has it written down when keys were used.
async fn note_uses(server: &Server) {
    let state = server.store.state();
    let begun = Stopwatch::start();
    while state.is_some() && server.store.state() == state {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing noted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_another_process_commits_is_seen_within_a_second() {
    let server = Server::start().await;
    first_name(&server).await;
    rename(&server, "Renamed").await;
    let begun = Stopwatch::start();
    // Each is a question that has no kept answer.
    for limit in 1..=100 {
        let path = format!("{PROJECTS}?limit={limit}");
        let projects = server.admin().get(&path).await.ok();
        if projects["data"][0]["name"] == "Renamed" {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{projects}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was not seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_by_whoever_asks_after_it_however_many_ask_meanwhile() {
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
async fn a_key_that_another_process_made_finds_what_that_did_before() {
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
async fn what_is_kept_is_not_shown_to_who_may_not_see_it() {
    let server = Server::start().await;
    let path = "/organization/admin_api_keys";
    server.admin().get(path).await.ok();
    assert_eq!(server.anonymous().get(path).await.status, 401);
    assert_eq!(server.reader().get(path).await.status, 403);
    let own = server.admin().get(PROJECTS).await.ok();
    let strangers = server.stranger().get(PROJECTS).await.ok();
    assert_ne!(own["first_id"], strangers["first_id"]);
}

#[tokio::test]
async fn what_changes_with_time_is_not_kept() {
    let server = Server::start().await;
    let invites = "/organization/invites";
    let invite = json!({"email": "eve@acme.example", "role": "reader"});
    server.admin().post(invites, invite).await.ok();
    let status = async || server.admin().get(invites).await.ok()["data"][0]["status"].clone();
    assert_eq!(status().await, "pending");
    server.clock.advance(8 * DAY);
    assert_eq!(status().await, "expired");
}
