//! Rotation of keys: the new key works at once, the old one until the overlap ends.

use serde_json::{Value, json};
use testkit::{Client, NOW, Server};

const DAY_SECONDS: i64 = 86_400;
const ADMIN_KEYS: &str = "/organization/admin_api_keys";

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Creates a key of the owner in the default project; returns its path and the answer.
async fn project_key(server: &Server, mut body: Value) -> (String, Value) {
    let keys = format!(
        "/organization/projects/{}/api_keys",
        server.default_project_id()
    );
    body["user_id"] = json!(server.owner_id());
    let created = server.admin().post(&keys, body).await.ok();
    (format!("{keys}/{}", text(&created["id"])), created)
}

/// Returns the status of a request of the gateway.
async fn status(client: &Client) -> u16 {
    client.get("/models").await.status.as_u16()
}

#[tokio::test]
async fn old_key_works_until_the_overlap_ends_and_the_new_one_goes_on() {
    let server = Server::start().await;
    let body = json!({"name": "Laptop", "scopes": ["api.model.request", "api.model.read"]});
    let (path, old) = project_key(&server, body).await;
    let new = server
        .admin()
        .post(&format!("{path}/rotate"), json!({}))
        .await
        .ok();
    assert_eq!(new["name"], "Laptop");
    assert_eq!(new["owner"], old["owner"]);
    assert_eq!(new["expires_at"], json!(null));
    assert_eq!(
        new["replaces"],
        json!({"id": old["id"], "expires_at": NOW.0 + DAY_SECONDS})
    );
    let listed = server.admin().get("/organization/api_keys").await.ok();
    let scopes = |id: &Value| {
        let keys = listed["data"].as_array().expect("keys");
        let key = keys.iter().find(|key| key["id"] == *id).expect("the key");
        key["scopes"].clone()
    };
    assert_eq!(scopes(&new["id"]), scopes(&old["id"]));
    let [old, new] = [&old, &new].map(|key| server.with_key(&text(&key["value"])));
    server.clock.advance(DAY_SECONDS - 1);
    assert_eq!((status(&old).await, status(&new).await), (200, 200));
    server.clock.advance(1);
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    // What has expired has no successor.
    let refused = server
        .admin()
        .post(&format!("{path}/rotate"), json!({}))
        .await;
    assert_eq!(refused.refused(400).0, Some("expired_api_key"));
}

#[tokio::test]
async fn without_an_overlap_the_old_key_stops_at_once() {
    let server = Server::start().await;
    let (path, old) = project_key(&server, json!({"name": "Leaked"})).await;
    let old = server.with_key(&text(&old["value"]));
    assert_eq!(status(&old).await, 200);
    let rotate = format!("{path}/rotate");
    let body = json!({"overlap_seconds": 0});
    let new = server.admin().post(&rotate, body).await.ok();
    assert_eq!(status(&old).await, 401);
    let new = server.with_key(&text(&new["value"]));
    assert_eq!(status(&new).await, 200);
}

#[tokio::test]
async fn lifetime_of_the_old_key_is_that_of_the_new_one_unless_another_is_given() {
    let server = Server::start().await;
    let hour = json!({"name": "Short", "expires_in_seconds": 3_600});
    let (path, old) = project_key(&server, hour).await;
    server.clock.advance(600);
    let rotate = format!("{path}/rotate");
    let new = server.admin().post(&rotate, json!({})).await.ok();
    assert_eq!(new["expires_at"], json!(NOW.0 + 600 + 3_600));
    // An overlap does not lengthen the life of a key.
    assert_eq!(new["replaces"]["expires_at"], old["expires_at"]);
    let longer = json!({"expires_in_seconds": 7_200, "overlap_seconds": 60});
    let new = server.admin().post(&rotate, longer).await.ok();
    assert_eq!(new["expires_at"], json!(NOW.0 + 600 + 7_200));
    assert_eq!(new["replaces"]["expires_at"], json!(NOW.0 + 660));
    for (body, param) in [
        (json!({"overlap_seconds": -1}), "overlap_seconds"),
        (json!({"overlap_seconds": 2_592_001}), "overlap_seconds"),
        (json!({"expires_in_seconds": 0}), "expires_in_seconds"),
    ] {
        let refused = server.admin().post(&rotate, body).await;
        assert_eq!(refused.refused(400).1, Some(param));
    }
}

#[tokio::test]
async fn rotation_is_recorded_for_the_old_and_for_the_new_key() {
    let server = Server::start().await;
    let (path, old) = project_key(&server, json!({"name": "Laptop"})).await;
    let rotate = format!("{path}/rotate");
    let body = json!({"overlap_seconds": 60});
    let new = server.admin().post(&rotate, body).await.ok();
    let log = server
        .admin()
        .get("/organization/audit_logs?limit=2")
        .await
        .ok();
    let [created, updated] = [0, 1].map(|index| &log["data"][index]);
    assert_eq!(
        created["api_key.created"],
        json!({"id": new["id"], "data": {"scopes": []}})
    );
    assert_eq!(
        updated["api_key.updated"],
        json!({"id": old["id"], "changes_requested": {"expires_in_seconds": 60}})
    );
    let secret = text(&new["value"]);
    assert!(!log.to_string().contains(&secret), "a secret is in the log");
}

#[tokio::test]
async fn key_of_a_service_account_and_own_key_are_rotated_too() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), server.default_project_id());
    let accounts = format!("/organization/projects/{project}/service_accounts");
    let account = admin.post(&accounts, json!({"name": "ranker"})).await.ok();
    let key = text(&account["api_key"]["id"]);
    let path = format!("/organization/projects/{project}/api_keys/{key}/rotate");
    let new = admin.post(&path, json!({"overlap_seconds": 0})).await.ok();
    assert_eq!(new["owner"]["service_account"]["id"], account["id"]);
    assert!(text(&new["value"]).starts_with("sk-svcacct-"));
    let old = server.with_key(&text(&account["api_key"]["value"]));
    assert_eq!(status(&old).await, 401);

    let users = format!("/organization/projects/{project}/users");
    let member = json!({"user_id": server.reader_id(), "role": "member"});
    admin.post(&users, member).await.ok();
    let (reader, own) = (server.reader(), "/organization/me/api_keys");
    let body = json!({"name": "Mine", "project_id": project});
    let mine = reader.post(own, body).await.ok();
    let path = format!("{own}/{}/rotate", text(&mine["id"]));
    let new = reader.post(&path, json!({})).await.ok();
    assert_eq!(new["owner"]["user"]["id"], json!(server.reader_id()));
    assert_eq!(new["project"]["id"], json!(project));
    let new = server.with_key(&text(&new["value"]));
    assert_eq!(status(&new).await, 200);
    // The key of another user is not there.
    let refused = admin.post(&path, json!({})).await;
    assert_eq!(refused.refused(404).0, Some("not_found"));
}

#[tokio::test]
async fn admin_key_is_rotated_by_its_owner_only_and_never_into_a_lockout() {
    let server = Server::start().await;
    let admin = server.admin();
    let created = admin.post(ADMIN_KEYS, json!({"name": "Robot"})).await.ok();
    let path = format!("{ADMIN_KEYS}/{}/rotate", text(&created["id"]));
    server.join("grace@acme.example", "owner").await;
    let grace = server.owner_key("grace@acme.example").await;
    let refused = grace.post(&path, json!({})).await;
    assert_eq!(refused.refused(400).0, Some("not_your_key"));
    let robot = server.with_key(&text(&created["value"]));
    // A key may rotate itself.
    let new = robot.post(&path, json!({"overlap_seconds": 0})).await.ok();
    assert_eq!(new["name"], "Robot");
    assert!(text(&new["value"]).starts_with("sk-admin-"));
    let refused = robot.get("/organization/projects").await;
    assert_eq!(refused.refused(401).0, Some("invalid_api_key"));
    let robot = server.with_key(&text(&new["value"]));
    robot.get("/organization/projects").await.ok();
}

#[tokio::test]
async fn last_admin_key_is_not_replaced_by_one_that_ends_soon() {
    let server = Server::start().await;
    let admin = server.admin();
    let keys = admin.get(ADMIN_KEYS).await.ok();
    let mut keys = keys["data"].as_array().expect("keys").iter();
    let own = keys.find(|key| key["owner"]["id"] == json!(server.owner_id()));
    let path = format!("{ADMIN_KEYS}/{}/rotate", text(&own.expect("a key")["id"]));
    let soon = json!({"expires_in_seconds": 3_600});
    let refused = admin.post(&path, soon).await;
    assert_eq!(refused.refused(400).0, Some("last_admin_key"));
    admin.post(&path, json!({})).await.ok();
}
