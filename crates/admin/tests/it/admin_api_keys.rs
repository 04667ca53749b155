//! Admin keys.

use serde_json::{Value, json};
use testkit::{NOW, Server};

const KEYS: &str = "/organization/admin_api_keys";

#[tokio::test]
async fn an_admin_key_is_accepted_by_administration_and_refused_by_the_gateway() {
    let server = Server::start().await;
    let mut created = server.admin().post(KEYS, json!({"name": "CI"})).await.ok();
    let value = created
        .as_object_mut()
        .and_then(|key| key.remove("value"))
        .expect("a secret");
    let client = server.with_key(value.as_str().expect("text"));
    assert_eq!(
        created,
        json!({
            "object": "organization.admin_api_key", "id": created["id"], "name": "CI",
            "redacted_value": created["redacted_value"], "created_at": NOW.0, "last_used_at": null, "expires_at": null,
            "owner": {"type": "user", "object": "organization.user", "id": server.owner_id(), "name": "ada",
                      "created_at": NOW.0, "role": "owner"},
        })
    );
    let path = format!("{KEYS}/{}", created["id"].as_str().expect("an id"));
    assert_eq!(client.get(&path).await.ok(), created);
    assert_eq!(
        client.get("/models").await.refused(403).0,
        Some("project_key_required")
    );
}

#[tokio::test]
async fn a_list_can_be_read_in_both_orders() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        server.admin().post(KEYS, json!({"name": name})).await.ok();
    }
    let names = async |query: &str| -> Vec<String> {
        let list = server.admin().get(&format!("{KEYS}?{query}")).await.ok();
        let items = list["data"].as_array().expect("a list");
        items
            .iter()
            .map(|key| key["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let ascending = names("order=asc").await;
    assert_eq!(ascending, ["First admin key", "Reader", "a", "b", "c"]);
    let descending: Vec<String> = ascending.iter().rev().cloned().collect();
    assert_eq!(names("order=desc").await, descending);
    assert_eq!(names("").await, ascending);
    let page = server
        .admin()
        .get(&format!("{KEYS}?order=desc&limit=2"))
        .await
        .ok();
    let after = page["last_id"].as_str().expect("a cursor");
    assert_eq!(
        names(&format!("order=desc&limit=2&after={after}")).await,
        ["a", "Reader"]
    );
    assert_eq!(
        server
            .admin()
            .get(&format!("{KEYS}?order=up"))
            .await
            .refused(400)
            .1,
        Some("order")
    );
}

#[tokio::test]
async fn a_key_expires_at_the_end_of_its_lifetime() {
    let server = Server::start().await;
    let created = server
        .admin()
        .post(KEYS, json!({"name": "CI", "expires_in_seconds": 60}))
        .await
        .ok();
    let client = server.with_key(created["value"].as_str().expect("a secret"));
    assert_eq!(created["expires_at"], NOW.0 + 60);
    assert_eq!(client.get(KEYS).await.status, 200);
    server.clock.advance(60);
    assert_eq!(
        client.get(KEYS).await.refused(401).0,
        Some("invalid_api_key")
    );
}

#[tokio::test]
async fn a_deleted_key_is_refused_at_once_and_the_last_key_cannot_be_deleted() {
    let server = Server::start().await;
    let created = server.admin().post(KEYS, json!({"name": "CI"})).await.ok();
    let client = server.with_key(created["value"].as_str().expect("a secret"));
    let list = server.admin().get(KEYS).await.ok();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|key| key["id"].as_str())
        .collect();
    let [first, reader, own] = ids[..] else {
        panic!("three keys: {ids:?}")
    };
    for id in [first, reader] {
        let deleted = client.delete(&format!("{KEYS}/{id}")).await.ok();
        assert_eq!(
            deleted,
            json!({"object": "organization.admin_api_key.deleted", "id": id, "deleted": true})
        );
    }
    assert_eq!(
        server.admin().get(KEYS).await.refused(401).0,
        Some("invalid_api_key")
    );
    assert_eq!(
        client.delete(&format!("{KEYS}/{own}")).await.refused(400).0,
        Some("last_admin_key")
    );
    assert_eq!(
        client.get(&format!("{KEYS}/{own}")).await.ok()["name"],
        Value::from("CI")
    );
}
