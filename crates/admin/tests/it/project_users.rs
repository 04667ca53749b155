//! Users of a project.

use serde_json::{Value, json};
use testkit::{NOW, Server};

/// Creates a project and returns its path.
async fn project(server: &Server) -> String {
    let created = server
        .admin()
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    format!(
        "/organization/projects/{}",
        created["id"].as_str().expect("an id")
    )
}

async fn newest(server: &Server) -> Value {
    let log = server
        .admin()
        .get("/organization/audit_logs?limit=1")
        .await
        .ok();
    log["data"][0].clone()
}

#[tokio::test]
async fn a_user_is_added_by_id_or_by_address() {
    let server = Server::start().await;
    let project = project(&server).await;
    let users = format!("{project}/users");
    let id = server
        .join("Grace@acme.example", "reader")
        .await
        .to_string();
    let added = server
        .admin()
        .post(&users, json!({"user_id": id, "role": "owner"}))
        .await
        .ok();
    let expected = json!({
        "object": "organization.project.user", "id": id, "name": "Grace@acme.example", "email": "Grace@acme.example",
        "role": "owner", "added_at": NOW.0,
    });
    assert_eq!(added, expected);
    let event = newest(&server).await;
    assert_eq!(
        event["user.added"],
        json!({"id": id, "data": {"role": "owner"}})
    );
    assert!(project.ends_with(event["project"]["id"].as_str().expect("the project")));
    assert_eq!(
        server.admin().get(&format!("{users}/{id}")).await.ok(),
        expected
    );
    let by_address = json!({"email": "ADA@acme.example", "user_id": null, "role": "member"});
    let added = server.admin().post(&users, by_address).await.ok();
    assert_eq!(added["id"], json!(server.owner_id()));
    let list = server.admin().get(&users).await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_new_member_is_named_once_and_must_be_in_the_organization() {
    let server = Server::start().await;
    let users = format!("{}/users", project(&server).await);
    let id = server.owner_id();
    for (body, param) in [
        (json!({"role": "member"}), "user_id"),
        (
            json!({"user_id": id, "email": "ada@acme.example", "role": "member"}),
            "email",
        ),
        (
            json!({"user_id": "user-nobody", "role": "member"}),
            "user_id",
        ),
        (
            json!({"email": "eve@other.example", "role": "member"}),
            "email",
        ),
        (json!({"user_id": id}), "role"),
        (json!({"user_id": id, "role": "none"}), "role"),
    ] {
        assert_eq!(
            server.admin().post(&users, body).await.refused(400).1,
            Some(param)
        );
    }
    let body = json!({"user_id": id, "role": "member"});
    server.admin().post(&users, body.clone()).await.ok();
    let again = server.admin().post(&users, body).await;
    assert_eq!(
        again.refused(400),
        (Some("already_exists"), Some("user_id"))
    );
    let again = json!({"email": "Ada@acme.example", "role": "owner"});
    let again = server.admin().post(&users, again).await;
    assert_eq!(again.refused(400), (Some("already_exists"), Some("email")));
}

#[tokio::test]
async fn a_role_is_changed_and_a_membership_ended() {
    let server = Server::start().await;
    let users = format!("{}/users", project(&server).await);
    let id = server.owner_id().to_string();
    server
        .admin()
        .post(&users, json!({"user_id": id, "role": "member"}))
        .await
        .ok();
    let one = format!("{users}/{id}");
    let before = newest(&server).await;
    for nothing in [json!({}), json!({"role": null}), json!({"role": "member"})] {
        assert_eq!(
            server.admin().post(&one, nothing).await.ok()["role"],
            "member"
        );
    }
    assert_eq!(
        newest(&server).await,
        before,
        "what changes nothing is not recorded"
    );
    assert_eq!(
        server
            .admin()
            .post(&one, json!({"role": "owner"}))
            .await
            .ok()["role"],
        "owner"
    );
    let payload = json!({"id": id, "changes_requested": {"role": "owner"}});
    assert_eq!(newest(&server).await["user.updated"], payload);
    let answer = server.admin().post(&one, json!({"role": "none"})).await;
    assert_eq!(answer.refused(400).1, Some("role"));

    let deleted = server.admin().delete(&one).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.project.user.deleted", "id": id, "deleted": true})
    );
    assert_eq!(newest(&server).await["user.deleted"], json!({"id": id}));
    for answer in [
        server.admin().get(&one).await,
        server.admin().delete(&one).await,
        server.admin().post(&one, json!({"role": "owner"})).await,
    ] {
        assert_eq!(answer.refused(404).0, Some("not_found"));
    }
    // The user is still in the organization.
    server
        .admin()
        .get(&format!("/organization/users/{id}"))
        .await
        .ok();
}

#[tokio::test]
async fn pages_of_users_follow_the_order_of_addition() {
    let server = Server::start().await;
    let users = format!("{}/users", project(&server).await);
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(
            server
                .join(&format!("u{number}@acme.example"), "reader")
                .await,
        );
    }
    people.reverse();
    for user in &people {
        server.clock.advance(1);
        server
            .admin()
            .post(&users, json!({"user_id": user, "role": "member"}))
            .await
            .ok();
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = server
            .admin()
            .get(&format!("{users}?limit=2&after={after}"))
            .await
            .ok();
        let items = page["data"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["id"].clone()));
        assert_eq!(page["last_id"], seen[seen.len() - 1]);
        after = page["last_id"].as_str().expect("a cursor").to_owned();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(json!(seen), json!(people));
}

#[tokio::test]
async fn an_archived_project_has_no_users() {
    let server = Server::start().await;
    let project = project(&server).await;
    let users = format!("{project}/users");
    let id = server.owner_id();
    let body = json!({"user_id": id, "role": "member"});
    server.admin().post(&users, body.clone()).await.ok();
    server
        .admin()
        .post(&format!("{project}/archive"), json!({}))
        .await
        .ok();
    let one = format!("{users}/{id}");
    for answer in [
        server.admin().get(&users).await,
        server.admin().post(&users, body).await,
    ] {
        assert_eq!(answer.refused(400).0, Some("project_archived"));
    }
    for answer in [
        server.admin().get(&one).await,
        server.admin().post(&one, json!({"role": "owner"})).await,
        server.admin().delete(&one).await,
    ] {
        assert_eq!(answer.refused(404).0, Some("not_found"));
    }
}
