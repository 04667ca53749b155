//! Invites: sent, listed, accepted once, deleted.

use serde_json::{Value, json};
use store::sql;
use testkit::{Answer, NOW, Server};

const INVITES: &str = "/organization/invites";
const ACCEPT: &str = "/organization/invites/accept";
const WEEK_SECONDS: i64 = 7 * 24 * 60 * 60;

async fn invite(server: &Server, body: Value) -> Value {
    server.admin().post(INVITES, body).await.ok()
}

async fn accept(server: &Server, token: &str) -> Answer {
    let body = json!({"token": token, "name": " Grace "});
    server.anonymous().post(ACCEPT, body).await
}

/// Returns the path of an invite.
fn one(invite: &Value) -> String {
    format!("{INVITES}/{}", invite["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn an_invite_shows_what_was_sent() {
    let server = Server::start().await;
    let sent = invite(
        &server,
        json!({"email": " Grace@Acme.example", "role": "reader"}),
    )
    .await;
    let expected = json!({
        "object": "organization.invite", "id": sent["id"], "email": "Grace@Acme.example", "role": "reader",
        "status": "pending", "created_at": NOW.0, "expires_at": NOW.0 + WEEK_SECONDS, "accepted_at": null,
        "projects": [{"id": server.default_project_id(), "role": "member"}],
    });
    assert_eq!(sent, expected);
    assert_eq!(server.admin().get(&one(&sent)).await.ok(), expected);
    assert_eq!(
        server.admin().get(INVITES).await.ok()["data"],
        json!([expected])
    );
    let log = server
        .admin()
        .get("/organization/audit_logs?event_types[]=invite.sent")
        .await;
    let payload =
        json!({"id": sent["id"], "data": {"email": "Grace@Acme.example", "role": "reader"}});
    assert_eq!(log.ok()["data"][0]["invite.sent"], payload);
}

#[tokio::test]
async fn accepting_an_invite_creates_a_user_with_the_invited_roles() {
    let server = Server::start().await;
    let project = json!({"name": "a"});
    let project = server
        .admin()
        .post("/organization/projects", project)
        .await
        .ok();
    let projects = json!([{"id": project["id"], "role": "owner"}]);
    let body = json!({"email": "grace@acme.example", "role": "owner", "projects": projects});
    let sent = invite(&server, body).await;
    server.clock.advance(60);
    let user = accept(&server, &server.token("grace@acme.example").await)
        .await
        .ok();
    let id = user["id"].as_str().expect("an id");
    assert_eq!(user["name"], "Grace");
    assert_eq!(user["email"], "grace@acme.example");
    assert_eq!(user["role"], "owner");
    let listed = server
        .admin()
        .get(&format!("/organization/users/{id}"))
        .await
        .ok();
    assert_eq!(listed, user);
    let project = project["id"].as_str().expect("an id");
    let path = format!("/organization/projects/{project}/users/{id}");
    let member = server.admin().get(&path).await.ok();
    assert_eq!(member["role"], "owner");
    assert_eq!(member["added_at"], NOW.0 + 60);
    let shown = server.admin().get(&one(&sent)).await.ok();
    assert_eq!(shown["status"], "accepted");
    assert_eq!(shown["accepted_at"], NOW.0 + 60);
}

#[tokio::test]
async fn the_accepting_user_is_the_actor_in_the_audit_log() {
    let server = Server::start().await;
    let body = json!({"email": "Grace@acme.example", "role": "reader", "projects": []});
    let sent = invite(&server, body).await;
    let user = accept(&server, &server.token("Grace@acme.example").await)
        .await
        .ok();
    let path = "/organization/audit_logs?actor_emails[]=grace@ACME.example";
    let log = server.admin().get(path).await.ok();
    let event = &log["data"][1];
    let session = json!({"user": {"id": user["id"], "email": "Grace@acme.example"}});
    assert_eq!(
        event["actor"],
        json!({"type": "session", "session": session})
    );
    let data = json!({"role": "reader", "projects": []});
    let payload = json!({"id": sent["id"], "user_id": user["id"], "data": data});
    assert_eq!(event["invite.accepted"], payload);
}

#[tokio::test]
async fn a_token_is_accepted_once_and_only_before_its_expiry() {
    let server = Server::start().await;
    let mut tokens = Vec::new();
    for email in [
        "used@acme.example",
        "late@acme.example",
        "deleted@acme.example",
    ] {
        let sent = invite(&server, json!({"email": email, "role": "reader"})).await;
        tokens.push(server.token(email).await);
        if email.starts_with("deleted") {
            server.admin().delete(&one(&sent)).await.ok();
        }
    }
    let [used, late, deleted] = &tokens[..] else {
        panic!("three")
    };
    accept(&server, used).await.ok();
    server.clock.advance(WEEK_SECONDS);
    for token in [used, late, deleted, "", &"x".repeat(10_000), &used[1..]] {
        let answer = accept(&server, token).await;
        assert_eq!(answer.refused(400), (Some("invalid_token"), Some("token")));
    }
    let list = server.admin().get(INVITES).await.ok();
    assert_eq!(list["data"][0]["status"], "accepted");
    assert_eq!(list["data"][1]["status"], "expired");
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
    // The recipient of an expired invite may be invited again.
    invite(
        &server,
        json!({"email": "late@acme.example", "role": "reader"}),
    )
    .await;
}

#[tokio::test]
async fn concurrent_acceptances_create_one_user() {
    let server = Server::start().await;
    invite(
        &server,
        json!({"email": "grace@acme.example", "role": "reader"}),
    )
    .await;
    let token = server.token("grace@acme.example").await;
    let answers = futures_util::future::join_all((0..8).map(|_| accept(&server, &token))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(accepted, 1);
    let found = server
        .admin()
        .get("/organization/users?emails[]=grace@acme.example")
        .await
        .ok();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn users_and_recipients_of_pending_invites_are_not_invited_again() {
    let server = Server::start().await;
    invite(
        &server,
        json!({"email": "grace@acme.example", "role": "reader"}),
    )
    .await;
    for email in ["Grace@ACME.example", "ADA@acme.example"] {
        let body = json!({"email": email, "role": "reader"});
        let answer = server.admin().post(INVITES, body).await;
        assert_eq!(answer.refused(400), (Some("already_exists"), Some("email")));
    }
    // Users of another organization do not matter.
    let body = json!({"email": "grace@acme.example", "role": "reader"});
    server.stranger().post(INVITES, body).await.ok();
}

#[tokio::test]
async fn the_projects_of_an_invite_must_exist_and_be_active() {
    let server = Server::start().await;
    let none = json!({"email": "none@acme.example", "role": "reader", "projects": []});
    assert_eq!(invite(&server, none).await["projects"], json!([]));
    let archived = server
        .admin()
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    let archived = archived["id"].as_str().expect("an id");
    let path = format!("/organization/projects/{archived}/archive");
    server.admin().post(&path, json!({})).await.ok();
    let own = server.default_project_id().to_string();
    let foreign = server.stranger_project_id().to_string();
    let member = |id: &str| json!({"id": id, "role": "member"});
    for (projects, param) in [
        (json!([member(archived)]), "projects[0].id"),
        (json!([member(&own), member(&foreign)]), "projects[1].id"),
        (json!([member(&own), member(&own)]), "projects[1].id"),
        (json!([{"id": own, "role": "none"}]), "projects[0].role"),
        (json!([{"id": own}]), "projects[0].role"),
        (json!(vec![member(&own); 101]), "projects"),
    ] {
        let body = json!({"email": "grace@acme.example", "role": "reader", "projects": projects});
        let answer = server.admin().post(INVITES, body).await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
}

#[tokio::test]
async fn acceptance_skips_projects_that_were_archived_since() {
    let server = Server::start().await;
    let project = server
        .admin()
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    let id = project["id"].as_str().expect("an id");
    let projects =
        json!([{"id": id, "role": "member"}, {"id": server.default_project_id(), "role": "owner"}]);
    invite(
        &server,
        json!({"email": "grace@acme.example", "role": "reader", "projects": projects}),
    )
    .await;
    let path = format!("/organization/projects/{id}/archive");
    server.admin().post(&path, json!({})).await.ok();
    let user = accept(&server, &server.token("grace@acme.example").await)
        .await
        .ok();
    let path = format!(
        "/organization/projects/{}/users",
        server.default_project_id()
    );
    let members = server.admin().get(&path).await.ok();
    assert_eq!(members["data"][1]["id"], user["id"]);
    assert_eq!(members["data"][1]["role"], "owner");
}

#[tokio::test]
async fn an_accepted_invite_cannot_be_deleted() {
    let server = Server::start().await;
    let sent = invite(
        &server,
        json!({"email": "grace@acme.example", "role": "reader"}),
    )
    .await;
    let other = invite(
        &server,
        json!({"email": "alan@acme.example", "role": "reader"}),
    )
    .await;
    accept(&server, &server.token("grace@acme.example").await)
        .await
        .ok();
    let answer = server.admin().delete(&one(&sent)).await;
    assert_eq!(answer.refused(400), (Some("invite_accepted"), None));
    let deleted = server.admin().delete(&one(&other)).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.invite.deleted", "id": other["id"], "deleted": true})
    );
    let mails = server.mails().await;
    assert!(
        !mails
            .iter()
            .any(|(recipient, _)| recipient == "alan@acme.example")
    );
}

#[tokio::test]
async fn bad_addresses_and_roles_are_refused_by_name() {
    let server = Server::start().await;
    for (body, param) in [
        (json!({"role": "reader"}), "email"),
        (json!({"email": "grace", "role": "reader"}), "email"),
        (
            json!({"email": "a@b.c\r\nBcc: x@y.z", "role": "reader"}),
            "email",
        ),
        (json!({"email": "a@b.c"}), "role"),
        (json!({"email": "a@b.c", "role": "member"}), "role"),
    ] {
        let answer = server.admin().post(INVITES, body).await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
    for body in [
        json!({"name": "x"}),
        json!({"token": "x"}),
        json!({"token": "x", "name": ""}),
    ] {
        let answer = server.anonymous().post(ACCEPT, body).await;
        assert!(answer.refused(400).1.is_some());
    }
}

#[tokio::test]
async fn the_token_appears_only_in_the_email() {
    let server = Server::start().await;
    let sent = invite(
        &server,
        json!({"email": "grace@acme.example", "role": "reader"}),
    )
    .await;
    let token = server.token("grace@acme.example").await;
    assert!(token.len() >= 43, "{token}");
    let log = server.admin().get("/organization/audit_logs").await.ok();
    assert!(!sent.to_string().contains(&token) && !log.to_string().contains(&token));
    let mut connection = server.store.read().await.expect("a connection");
    let read = |row: &store::Row<'_>| row.get::<Vec<u8>>("bytes");
    let columns = [
        sql!("SELECT body AS bytes FROM mails"),
        sql!("SELECT token_hash AS bytes FROM invites"),
    ];
    for column in columns {
        for bytes in connection.fetch_all(column, read).await.expect("rows") {
            assert!(!String::from_utf8_lossy(&bytes).contains(&token));
        }
    }
    let (_, text) = server.mails().await.remove(0);
    assert!(
        text.contains(&format!("https://orgplane.example/invites/accept#{token}")),
        "{text}"
    );
}
