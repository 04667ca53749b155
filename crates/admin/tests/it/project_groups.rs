//! Groups of a project.

use serde_json::{Value, json};
use testkit::{NOW, Server};

async fn created(server: &Server, path: &str, name: &str) -> String {
    let created = server.admin().post(path, json!({"name": name})).await.ok();
    created["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_group_is_given_a_role_and_loses_it() {
    let server = Server::start().await;
    let project = created(&server, "/organization/projects", "a").await;
    let group = created(&server, "/organization/groups", "g").await;
    let groups = format!("/organization/projects/{project}/groups");
    let body = json!({"group_id": group, "role": "role_project_member"});
    let expected = json!({
        "object": "project.group", "project_id": project, "group_id": group, "group_name": "g", "group_type": "group",
        "created_at": NOW.0,
    });
    assert_eq!(
        server.admin().post(&groups, body.clone()).await.ok(),
        expected
    );
    let other = json!({"group_id": group, "role": "role_project_owner"});
    let again = server.admin().post(&groups, other).await;
    assert_eq!(
        again.refused(400),
        (Some("already_exists"), Some("group_id"))
    );
    let one = format!("{groups}/{group}");
    for path in [one.clone(), format!("{one}?group_type=group")] {
        assert_eq!(server.admin().get(&path).await.ok(), expected);
    }
    let tenants = server
        .admin()
        .get(&format!("{one}?group_type=tenant_group"))
        .await;
    assert_eq!(tenants.refused(404).0, Some("not_found"));
    let wrong = server.admin().get(&format!("{one}?group_type=other")).await;
    assert_eq!(wrong.refused(400).1, Some("group_type"));
    let deleted = server.admin().delete(&one).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "project.group.deleted", "id": group, "deleted": true})
    );
    assert_eq!(
        server.admin().delete(&one).await.refused(404).0,
        Some("not_found")
    );

    let path = "/organization/audit_logs?event_types[]=x.project.group.added&event_types[]=x.project.group.removed";
    let log = server.admin().get(path).await.ok();
    let (removed, added) = (&log["data"][0], &log["data"][1]);
    assert_eq!(
        removed["x.project.group.removed"],
        json!({"id": project, "group_id": group})
    );
    let payload = json!({"id": project, "group_id": group, "role_id": "role-api-project-member"});
    assert_eq!(added["x.project.group.added"], payload);
    assert_eq!(added["project"]["id"], json!(project));
}

#[tokio::test]
async fn the_group_and_the_role_must_exist() {
    let server = Server::start().await;
    let project = created(&server, "/organization/projects", "a").await;
    let group = created(&server, "/organization/groups", "g").await;
    let groups = format!("/organization/projects/{project}/groups");
    let foreign = server
        .stranger()
        .post("/organization/groups", json!({"name": "f"}))
        .await
        .ok();
    for (body, param) in [
        (
            json!({"group_id": "group_none", "role": "role_project_owner"}),
            "group_id",
        ),
        (
            json!({"group_id": foreign["id"], "role": "role_project_owner"}),
            "group_id",
        ),
        (json!({"group_id": group, "role": "owner"}), "role"),
        (
            json!({"group_id": group, "role": "role_organization_owner"}),
            "role",
        ),
        (json!({"group_id": group}), "role"),
    ] {
        assert_eq!(
            server.admin().post(&groups, body).await.refused(400).1,
            Some(param)
        );
    }
}

#[tokio::test]
async fn groups_are_listed_in_the_order_of_addition() {
    let server = Server::start().await;
    let project = created(&server, "/organization/projects", "a").await;
    let groups = format!("/organization/projects/{project}/groups");
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(created(&server, "/organization/groups", name).await);
    }
    ids.reverse();
    for id in &ids {
        server.clock.advance(1);
        let body = json!({"group_id": id, "role": "role_project_viewer"});
        server.admin().post(&groups, body).await.ok();
    }
    let names = |page: &Value| {
        let items = page["data"].as_array().expect("a list").iter();
        items
            .filter_map(|item| item["group_name"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let page = server.admin().get(&format!("{groups}?limit=2")).await.ok();
    assert_eq!(names(&page), ["c", "b"]);
    assert_eq!(page["next"], json!(ids[1]));
    let rest = server
        .admin()
        .get(&format!("{groups}?limit=2&after={}", ids[1]))
        .await
        .ok();
    assert_eq!(
        (names(&rest), &rest["next"]),
        (vec!["a".to_owned()], &Value::Null)
    );
    let page = server
        .admin()
        .get(&format!("{groups}?order=desc"))
        .await
        .ok();
    assert_eq!(names(&page), ["a", "b", "c"]);
}

#[tokio::test]
async fn an_archived_project_has_no_groups() {
    let server = Server::start().await;
    let project = created(&server, "/organization/projects", "a").await;
    let group = created(&server, "/organization/groups", "g").await;
    let groups = format!("/organization/projects/{project}/groups");
    let body = json!({"group_id": group, "role": "role_project_member"});
    server.admin().post(&groups, body.clone()).await.ok();
    let path = format!("/organization/projects/{project}/archive");
    server.admin().post(&path, json!({})).await.ok();
    let one = format!("{groups}/{group}");
    for answer in [
        server.admin().get(&groups).await,
        server.admin().post(&groups, body).await,
    ] {
        assert_eq!(answer.refused(400).0, Some("project_archived"));
    }
    for answer in [
        server.admin().get(&one).await,
        server.admin().delete(&one).await,
    ] {
        assert_eq!(answer.refused(404).0, Some("not_found"));
    }
    // The assignment is deleted: otherwise the group could not be.
    server
        .admin()
        .delete(&format!("/organization/groups/{group}"))
        .await
        .ok();
}
