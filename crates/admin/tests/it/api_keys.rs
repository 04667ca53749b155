//! API keys of a project.

use serde_json::{Value, json};
use testkit::{NOW, Server};

async fn keys(server: &Server) -> String {
    let project = server
        .admin()
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    format!(
        "/organization/projects/{}/api_keys",
        project["id"].as_str().expect("an id")
    )
}

async fn create(server: &Server, keys: &str) -> Value {
    server
        .admin()
        .post(keys, json!({"name": "Ada's", "user_id": server.owner_id()}))
        .await
        .ok()
}

#[tokio::test]
async fn a_user_can_own_a_key() {
    let server = Server::start().await;
    let keys = keys(&server).await;
    let mut created = create(&server, &keys).await;
    let value = created
        .as_object_mut()
        .and_then(|key| key.remove("value"))
        .expect("a secret");
    assert!(
        value
            .as_str()
            .is_some_and(|value| value.starts_with("sk-proj-"))
    );
    let redacted = created["redacted_value"]
        .as_str()
        .expect("a redacted value");
    assert!(
        redacted.starts_with("sk-proj...")
            && value.as_str().is_some_and(|v| v.ends_with(&redacted[10..]))
    );
    assert_eq!(
        created,
        json!({
            "object": "organization.project.api_key", "id": created["id"], "name": "Ada's", "redacted_value": redacted,
            "created_at": NOW.0, "last_used_at": null, "expires_at": null, "owner_project_access": "active",
            "owner": {"type": "user", "user": {
                "id": server.owner_id(), "name": "ada", "email": "ada@acme.example", "role": "owner", "created_at": NOW.0,
            }},
        })
    );
    let path = format!("{keys}/{}", created["id"].as_str().expect("an id"));
    assert_eq!(server.admin().get(&path).await.ok(), created);
    assert_eq!(
        server.admin().get(&keys).await.ok()["data"],
        json!([created])
    );
}

#[tokio::test]
async fn the_owner_must_belong_to_the_project() {
    let server = Server::start().await;
    let keys = keys(&server).await;
    for user in ["user-nobody", "", "x"] {
        let answer = server
            .admin()
            .post(&keys, json!({"name": "k", "user_id": user}))
            .await;
        assert_eq!(answer.refused(400).1, Some("user_id"));
    }
    let find = store::sql!(
        "SELECT id FROM users WHERE organization_id = $1 AND role = 'reader'",
        server.organization_id()
    );
    let mut connection = server.store.read().await.expect("a connection");
    let reader = connection
        .fetch_one(find, |row| row.get::<String>("id"))
        .await
        .expect("a reader");
    let answer = server
        .admin()
        .post(&keys, json!({"name": "k", "user_id": reader}))
        .await;
    assert_eq!(answer.refused(400).1, Some("user_id"));
}

#[tokio::test]
async fn keys_are_filtered_by_their_owners_access() {
    let server = Server::start().await;
    let keys = keys(&server).await;
    let ada = create(&server, &keys).await;
    let accounts = keys.replace("api_keys", "service_accounts");
    let alone = server
        .admin()
        .post(
            &accounts,
            json!({"name": "App", "create_service_account_only": true}),
        )
        .await
        .ok();
    let path = format!(
        "{accounts}/{}/api_keys",
        alone["id"].as_str().expect("an id")
    );
    let idle = server.admin().post(&path, json!({})).await.ok();
    for (filter, expected) in [
        ("", vec![&ada["id"], &idle["id"]]),
        ("?owner_project_access=any", vec![&ada["id"], &idle["id"]]),
        ("?owner_project_access=active", vec![&ada["id"]]),
        ("?owner_project_access=inactive", vec![&idle["id"]]),
    ] {
        let list = server.admin().get(&format!("{keys}{filter}")).await.ok();
        let ids: Vec<&Value> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|key| &key["id"])
            .collect();
        assert_eq!(ids, expected, "{filter}");
    }
    let bad = server
        .admin()
        .get(&format!("{keys}?owner_project_access=maybe"))
        .await;
    assert_eq!(bad.refused(400).1, Some("owner_project_access"));
}

#[tokio::test]
async fn an_update_restricts_and_expires_a_key() {
    let server = Server::start().await;
    let keys = keys(&server).await;
    let created = create(&server, &keys).await;
    let path = format!("{keys}/{}", created["id"].as_str().expect("an id"));
    let secret = created["value"].as_str().expect("a secret");
    assert_eq!(
        server.admin().post(&path, json!({})).await.refused(400).0,
        Some("missing_required_parameter")
    );
    for (body, param) in [
        (json!({"scopes": null}), "scopes"),
        (json!({"expires_in_seconds": null}), "expires_in_seconds"),
        (json!({"scopes": ["api.nope"]}), "scopes[0]"),
    ] {
        assert_eq!(
            server.admin().post(&path, body).await.refused(400).1,
            Some(param)
        );
    }
    let updated = server
        .admin()
        .post(
            &path,
            json!({"scopes": ["api.model.request"], "expires_in_seconds": 60}),
        )
        .await;
    let updated = updated.ok();
    assert_eq!(
        (&updated["expires_at"], updated.get("value")),
        (&json!(NOW.0 + 60), None)
    );
    assert_eq!(
        server.with_key(secret).get("/models").await.status,
        403,
        "its scopes do not include reading models"
    );
    server.admin().post(&path, json!({"scopes": []})).await.ok();
    assert_eq!(
        server.with_key(secret).get("/models").await.status,
        200,
        "no scopes narrow nothing"
    );
    server.clock.advance(60);
    assert_eq!(
        server.with_key(secret).get("/models").await.refused(401).0,
        Some("invalid_api_key")
    );
    assert_eq!(
        server
            .admin()
            .post(&path, json!({"scopes": []}))
            .await
            .refused(400)
            .0,
        Some("expired_api_key")
    );
}

#[tokio::test]
async fn a_deleted_key_is_refused_at_once() {
    let server = Server::start().await;
    let keys = keys(&server).await;
    let created = create(&server, &keys).await;
    let (id, secret) = (
        created["id"].as_str().expect("an id"),
        created["value"].as_str().expect("a secret"),
    );
    assert_eq!(server.with_key(secret).get("/models").await.status, 200);
    let deleted = server.admin().delete(&format!("{keys}/{id}")).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.project.api_key.deleted", "id": id, "deleted": true})
    );
    assert_eq!(
        server.with_key(secret).get("/models").await.refused(401).0,
        Some("invalid_api_key")
    );
    let accounts = keys.replace("api_keys", "service_accounts");
    let account = server
        .admin()
        .post(&accounts, json!({"name": "App"}))
        .await
        .ok();
    let path = format!(
        "{keys}/{}",
        account["api_key"]["id"].as_str().expect("an id")
    );
    assert_eq!(
        server.admin().delete(&path).await.refused(400).0,
        Some("service_account_key")
    );
}
