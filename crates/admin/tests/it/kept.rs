//! Answers that are kept while nothing changes.

use std::time::Duration;

use base::time::{DAY, Stopwatch};
use serde_json::json;
use store::sql;
use testkit::Server;

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
async fn an_answer_is_kept_until_anything_is_committed() {
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
    server
        .admin()
        .post(PROJECTS, json!({"name": "New"}))
        .await
        .ok();
    assert_eq!(first_name(&server).await, "Renamed");
    rename(&server, "Renamed again").await;
    server.clock.advance(5);
    server.flush().await;
    let deleted = "/organization/admin_api_keys";
    let key = server
        .admin()
        .post(deleted, json!({"name": "x"}))
        .await
        .ok();
    let client = server.with_key(key["value"].as_str().expect("a secret"));
    assert_eq!(
        client.get(PROJECTS).await.ok()["data"][0]["name"],
        "Renamed again"
    );
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
