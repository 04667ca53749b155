//! Permissions for models: set and deleted as a whole.

use serde_json::json;
use testkit::Server;

fn path(server: &Server) -> String {
    format!(
        "/organization/projects/{}/model_permissions",
        server.default_project_id()
    )
}

#[tokio::test]
async fn a_policy_is_set_replaced_and_removed() {
    let server = Server::start().await;
    let path = path(&server);
    assert_eq!(
        server.admin().get(&path).await.refused(404).0,
        Some("not_found")
    );
    assert_eq!(
        server.admin().delete(&path).await.refused(404).0,
        Some("not_found")
    );
    for (mode, models) in [("allow_list", json!(["a", "b"])), ("deny_list", json!([]))] {
        let body = json!({"mode": mode, "model_ids": models});
        let expected =
            json!({"object": "project.model_permissions", "mode": mode, "model_ids": models});
        assert_eq!(server.admin().post(&path, body).await.ok(), expected);
        assert_eq!(server.admin().get(&path).await.ok(), expected);
    }
    let deleted = json!({"object": "project.model_permissions.deleted", "deleted": true});
    assert_eq!(server.admin().delete(&path).await.ok(), deleted);
    server
        .admin()
        .get(&path)
        .await
        .refused(404)
        .0
        .expect("a code");
}

#[tokio::test]
async fn changes_are_recorded_and_repetitions_are_not() {
    let server = Server::start().await;
    let path = path(&server);
    let body = json!({"mode": "allow_list", "model_ids": ["a"]});
    for _ in 0..2 {
        server.admin().post(&path, body.clone()).await.ok();
    }
    server.admin().delete(&path).await.ok();
    let query =
        "event_types[]=x.model_permissions.updated&event_types[]=x.model_permissions.deleted";
    let log = server
        .admin()
        .get(&format!("/organization/audit_logs?{query}"))
        .await
        .ok();
    assert_eq!(log["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        log["data"][1]["x.model_permissions.updated"],
        json!({"id": server.default_project_id(), "changes_requested": body})
    );
}

#[tokio::test]
async fn a_bad_policy_is_refused_by_name() {
    let server = Server::start().await;
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let cases = [
        (json!({"mode": "allow_list"}), "model_ids"),
        (json!({"mode": "none", "model_ids": []}), "mode"),
        (
            json!({"mode": "allow_list", "model_ids": null}),
            "model_ids",
        ),
        (
            json!({"mode": "allow_list", "model_ids": many}),
            "model_ids",
        ),
        (
            json!({"mode": "allow_list", "model_ids": ["a", ""]}),
            "model_ids[1]",
        ),
        (
            json!({"mode": "allow_list", "model_ids": ["a", "b", "a"]}),
            "model_ids[2]",
        ),
        (
            json!({"mode": "allow_list", "model_ids": ["x".repeat(257)]}),
            "model_ids[0]",
        ),
    ];
    for (body, param) in cases {
        let answer = server.admin().post(&path(&server), body).await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
    let longest = json!({"mode": "allow_list", "model_ids": ["ü".repeat(256)]});
    server.admin().post(&path(&server), longest).await.ok();
}
