//! Service accounts and their keys.

use serde_json::{Value, json};
use testkit::{NOW, Server};

async fn accounts(server: &Server) -> String {
    let project = server
        .admin()
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    format!(
        "/organization/projects/{}/service_accounts",
        project["id"].as_str().expect("an id")
    )
}

#[tokio::test]
async fn a_service_account_comes_with_a_key_that_is_shown_once() {
    let server = Server::start().await;
    let accounts = accounts(&server).await;
    let created = server
        .admin()
        .post(&accounts, json!({"name": "App"}))
        .await
        .ok();
    let value = created["api_key"]["value"].as_str().expect("a secret");
    assert!(
        value.starts_with("sk-svcacct-") && value.len() >= 11 + 43,
        "{value}"
    );
    assert_eq!(created["role"], "member");
    assert_eq!(
        created["api_key"]["object"],
        "organization.project.service_account.api_key"
    );
    assert_eq!(created["api_key"]["name"], "Secret Key");
    assert_eq!(created["api_key"]["expires_at"], Value::Null);
    let id = created["id"].as_str().expect("an id");
    let account = server.admin().get(&format!("{accounts}/{id}")).await.ok();
    let expected = json!({
        "object": "organization.project.service_account", "id": id, "name": "App", "role": "member", "created_at": NOW.0,
    });
    assert_eq!(account, expected);
    assert_eq!(
        server.admin().get(&accounts).await.ok()["data"],
        json!([expected])
    );
    let keys = server
        .admin()
        .get(&accounts.replace("service_accounts", "api_keys"))
        .await
        .ok();
    assert!(!keys.to_string().contains(value));
    assert_eq!(keys["data"][0]["owner"]["service_account"]["id"], id);
}

#[tokio::test]
async fn a_service_account_can_be_created_alone() {
    let server = Server::start().await;
    let accounts = accounts(&server).await;
    let created = server
        .admin()
        .post(
            &accounts,
            json!({"name": "App", "create_service_account_only": true}),
        )
        .await
        .ok();
    assert_eq!(
        (&created["role"], &created["api_key"]),
        (&json!("none"), &Value::Null)
    );
    let both =
        json!({"name": "App", "create_service_account_only": true, "expires_in_seconds": 60});
    assert_eq!(
        server.admin().post(&accounts, both).await.refused(400).1,
        Some("expires_in_seconds")
    );
}

#[tokio::test]
async fn a_key_can_have_a_name_scopes_and_an_end() {
    let server = Server::start().await;
    let accounts = accounts(&server).await;
    let created = server
        .admin()
        .post(&accounts, json!({"name": "App"}))
        .await
        .ok();
    let keys = format!(
        "{accounts}/{}/api_keys",
        created["id"].as_str().expect("an id")
    );
    let plain = server
        .admin()
        .call(http::Method::POST, &keys, None)
        .await
        .ok();
    assert_eq!(plain["name"], "Secret Key");
    let body =
        json!({"name": "Second", "scopes": ["api.model.request"], "expires_in_seconds": 3600});
    let key = server.admin().post(&keys, body).await.ok();
    assert_eq!(
        (&key["name"], &key["expires_at"]),
        (&json!("Second"), &json!(NOW.0 + 3600))
    );
    for (body, param) in [
        (json!({"scopes": ["nope"]}), "scopes[0]"),
        (json!({"expires_in_seconds": 0}), "expires_in_seconds"),
        (
            json!({"expires_in_seconds": 31_536_001}),
            "expires_in_seconds",
        ),
        (json!({"name": ""}), "name"),
    ] {
        assert_eq!(
            server.admin().post(&keys, body).await.refused(400).1,
            Some(param)
        );
    }
    let events = server
        .admin()
        .get("/organization/audit_logs?event_types[]=api_key.created")
        .await
        .ok();
    assert_eq!(
        events["data"][0]["api_key.created"]["data"],
        json!({"scopes": ["api.model.request"]})
    );
}

#[tokio::test]
async fn an_update_changes_name_and_role() {
    let server = Server::start().await;
    let accounts = accounts(&server).await;
    let created = server
        .admin()
        .post(&accounts, json!({"name": "App"}))
        .await
        .ok();
    let path = format!("{accounts}/{}", created["id"].as_str().expect("an id"));
    let same = server.admin().post(&path, json!({})).await.ok();
    assert_eq!(same["name"], "App");
    let updated = server
        .admin()
        .post(&path, json!({"name": "Application", "role": "owner"}))
        .await
        .ok();
    assert_eq!(
        (&updated["name"], &updated["role"]),
        (&json!("Application"), &json!("owner"))
    );
    assert_eq!(server.admin().get(&path).await.ok(), updated);
    assert_eq!(
        server
            .admin()
            .post(&path, json!({"role": "none"}))
            .await
            .refused(400)
            .1,
        Some("role")
    );
    let events = server
        .admin()
        .get("/organization/audit_logs?event_types[]=service_account.updated")
        .await
        .ok();
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        events["data"][0]["service_account.updated"]["changes_requested"]["role"],
        "owner"
    );
}

#[tokio::test]
async fn deleting_a_service_account_deletes_its_keys() {
    let server = Server::start().await;
    let accounts = accounts(&server).await;
    let created = server
        .admin()
        .post(&accounts, json!({"name": "App"}))
        .await
        .ok();
    let (id, key) = (
        created["id"].as_str().expect("an id"),
        created["api_key"]["value"].as_str().expect("a secret"),
    );
    assert_eq!(server.with_key(key).get("/models").await.status, 200);
    let deleted = server
        .admin()
        .delete(&format!("{accounts}/{id}"))
        .await
        .ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.project.service_account.deleted", "id": id, "deleted": true})
    );
    assert_eq!(
        server.with_key(key).get("/models").await.refused(401).0,
        Some("invalid_api_key")
    );
    assert_eq!(
        server
            .admin()
            .delete(&format!("{accounts}/{id}"))
            .await
            .refused(404)
            .0,
        Some("not_found")
    );
    assert_eq!(
        server
            .admin()
            .get(&accounts.replace("service_accounts", "api_keys"))
            .await
            .ok()["data"],
        json!([])
    );
}
