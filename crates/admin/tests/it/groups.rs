//! Groups and their users.

use serde_json::{Value, json};
use testkit::{NOW, Server};

const GROUPS: &str = "/organization/groups";

async fn group(server: &Server, name: &str) -> String {
    let created = server
        .admin()
        .post(GROUPS, json!({"name": name}))
        .await
        .ok();
    created["id"].as_str().expect("an id").to_owned()
}

/// Collects a field of all items of a list, page by page.
async fn walk(server: &Server, path: &str, key: &str) -> Vec<Value> {
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let cursor = after.as_str().unwrap_or_default();
        let page = server
            .admin()
            .get(&format!("{path}&after={cursor}"))
            .await
            .ok();
        let items = page["data"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item[key].clone()));
        assert_eq!(page["has_more"].as_bool(), Some(!page["next"].is_null()));
        after = page["next"].clone();
        if after.is_null() {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_group_keeps_its_name_until_renamed() {
    let server = Server::start().await;
    let created = server
        .admin()
        .post(GROUPS, json!({"name": " Support "}))
        .await
        .ok();
    let mut expected = json!({
        "object": "group", "id": created["id"], "name": "Support", "created_at": NOW.0, "is_scim_managed": false,
        "group_type": "group",
    });
    assert_eq!(created, expected);
    let path = format!("{GROUPS}/{}", created["id"].as_str().expect("an id"));
    assert_eq!(server.admin().get(&path).await.ok(), expected);
    expected["name"] = json!("Escalations");
    let renamed = json!({"name": "Escalations"});
    for _ in 0..2 {
        assert_eq!(
            server.admin().post(&path, renamed.clone()).await.ok(),
            expected
        );
    }
    let log = server.admin().get("/organization/audit_logs").await.ok();
    let events: Vec<_> = log["data"].as_array().expect("a list").iter().collect();
    assert_eq!(events.len(), 2, "what changes nothing is not recorded");
    assert_eq!(
        events[0]["group.updated"],
        json!({"id": created["id"], "changes_requested": {"group_name": "Escalations"}})
    );
    assert_eq!(
        events[1]["group.created"],
        json!({"id": created["id"], "data": {"group_name": "Support"}})
    );
    for bad in [
        json!({"name": ""}),
        json!({"name": "x".repeat(256)}),
        json!({}),
    ] {
        assert_eq!(
            server
                .admin()
                .post(GROUPS, bad.clone())
                .await
                .refused(400)
                .1,
            Some("name")
        );
        assert_eq!(
            server.admin().post(&path, bad).await.refused(400).1,
            Some("name")
        );
    }
}

#[tokio::test]
async fn groups_are_listed_in_either_direction() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(json!(group(&server, &format!("g{number}")).await));
    }
    for limit in [1, 2, 5, 1000, 5000] {
        assert_eq!(
            walk(&server, &format!("{GROUPS}?limit={limit}"), "id").await,
            ids
        );
    }
    ids.reverse();
    assert_eq!(
        walk(&server, &format!("{GROUPS}?limit=2&order=desc"), "id").await,
        ids
    );
    let empty = server.admin().get(&format!("{GROUPS}?limit=0")).await.ok();
    assert_eq!(
        empty,
        json!({"object": "list", "data": [], "has_more": true, "next": null})
    );
    for (query, param) in [
        ("limit=-1", "limit"),
        ("after=group_x", "after"),
        ("order=up", "order"),
    ] {
        let answer = server.admin().get(&format!("{GROUPS}?{query}")).await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
    let foreign = format!("{GROUPS}?after={}", ids[0].as_str().expect("an id"));
    assert_eq!(
        server.stranger().get(&foreign).await.refused(400).1,
        Some("after")
    );
}

#[tokio::test]
async fn users_are_added_shown_and_removed() {
    let server = Server::start().await;
    let users = format!("{GROUPS}/{}/users", group(&server, "g").await);
    let id = server.owner_id().to_string();
    let added = server
        .admin()
        .post(&users, json!({"user_id": id}))
        .await
        .ok();
    let group_id = users.split('/').nth(3);
    assert_eq!(
        added,
        json!({"object": "group.user", "user_id": id, "group_id": group_id})
    );
    let again = server.admin().post(&users, json!({"user_id": id})).await;
    assert_eq!(
        again.refused(400),
        (Some("already_exists"), Some("user_id"))
    );
    for nobody in ["user-nobody", ""] {
        let answer = server
            .admin()
            .post(&users, json!({"user_id": nobody}))
            .await;
        assert_eq!(answer.refused(400).1, Some("user_id"));
    }
    assert_eq!(
        server.admin().get(&users).await.ok()["data"],
        json!([{"id": id, "name": "ada", "email": "ada@acme.example"}])
    );
    let one = format!("{users}/{id}");
    let shown = json!({"id": id, "name": "ada", "email": "ada@acme.example", "picture": null,
                       "is_service_account": false, "user_type": "user"});
    assert_eq!(server.admin().get(&one).await.ok(), shown);
    let deleted = server.admin().delete(&one).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "group.user.deleted", "id": id, "deleted": true})
    );
    assert_eq!(
        server.admin().get(&one).await.refused(404).0,
        Some("not_found")
    );
    assert_eq!(
        server.admin().delete(&one).await.refused(404).0,
        Some("not_found")
    );
    let path = "/organization/audit_logs?event_types[]=x.group.user.added&event_types[]=x.group.user.removed";
    let log = server.admin().get(path).await.ok();
    let payload = json!({"id": group_id, "user_id": id});
    assert_eq!(log["data"][0]["x.group.user.removed"], payload);
    assert_eq!(log["data"][1]["x.group.user.added"], payload);
}

#[tokio::test]
async fn users_are_listed_in_the_order_of_addition() {
    let server = Server::start().await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(
            server
                .join(&format!("u{number}@acme.example"), "reader")
                .await,
        );
    }
    let users = format!("{GROUPS}/{}/users", group(&server, "g").await);
    // Added in reverse order of their ids; the first two in the same second.
    people.reverse();
    for (index, user) in people.iter().enumerate() {
        server.clock.advance(i64::from(index > 1));
        server
            .admin()
            .post(&users, json!({"user_id": user}))
            .await
            .ok();
    }
    people.swap(0, 1);
    let mut expected: Vec<_> = people.iter().map(|id| json!(id)).collect();
    for limit in [1, 2, 4, 6] {
        assert_eq!(
            walk(&server, &format!("{users}?limit={limit}&order=asc"), "id").await,
            expected
        );
    }
    expected.reverse();
    for limit in [1, 3] {
        assert_eq!(
            walk(&server, &format!("{users}?limit={limit}"), "id").await,
            expected
        );
    }
    let nobody = format!("{users}?after={}", server.owner_id());
    assert_eq!(
        server.admin().get(&nobody).await.refused(400).1,
        Some("after")
    );
}

#[tokio::test]
async fn deleting_a_group_deletes_its_memberships_and_assignments() {
    let server = Server::start().await;
    let id = group(&server, "g").await;
    let (user, project) = (server.owner_id(), server.default_project_id());
    let users = format!("{GROUPS}/{id}/users");
    server
        .admin()
        .post(&users, json!({"user_id": user}))
        .await
        .ok();
    let grants = format!("/organization/projects/{project}/groups");
    let grant = json!({"group_id": id, "role": "role_project_viewer"});
    server.admin().post(&grants, grant).await.ok();
    let deleted = server.admin().delete(&format!("{GROUPS}/{id}")).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "group.deleted", "id": id, "deleted": true})
    );
    assert_eq!(
        server.admin().get(&users).await.refused(404).0,
        Some("not_found")
    );
    assert_eq!(server.admin().get(&grants).await.ok()["data"], json!([]));
    let log = server
        .admin()
        .get("/organization/audit_logs?event_types[]=group.deleted")
        .await
        .ok();
    let removed = json!({"users": [user], "projects": [project]});
    assert_eq!(
        log["data"][0]["group.deleted"],
        json!({"id": id, "removed": removed})
    );
}
