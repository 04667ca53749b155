//! Compatibility with programs for the hosted service: Terraform providers, exporters, audit rules.

mod lists;
mod roles;

use http::StatusCode;
use serde_json::json;
use testkit::Server;

use crate::roles::{ROLES, add_group, create, each, project};

/// Returns the ids of the audit log's entries, newest first, extension events included.
async fn log(server: &Server) -> Vec<String> {
    let types = "event_types=role.assignment.created,role.assignment.deleted,user.added,x.project.group.added";
    let path = format!("/organization/audit_logs?limit=100&{types}");
    let log = server.admin().get(&path).await.ok();
    each(&log, "id").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn assigning_a_role_twice_returns_the_existing_assignment() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let (user, group) = (server.reader_id(), add_group(&server, "Ops").await);
    let members = format!("/organization/projects/{project}/users");
    admin
        .post(&members, json!({"user_id": user, "role": "member"}))
        .await
        .ok();
    let groups = format!("/organization/projects/{project}/groups");
    let grant = json!({"group_id": group, "role": "role-api-project-member"});
    let granted = admin.post(&groups, grant.clone()).await.ok();
    let custom = create(&admin, ROLES, "Ops", &["api.groups.read"]).await["id"].clone();
    for holder in [format!("users/{user}"), format!("groups/{group}")] {
        let held = format!("/organization/{holder}/roles");
        admin.post(&held, json!({"role_id": custom})).await.ok();
        let before = log(&server).await;
        for (path, role) in [
            (&held, custom.clone()),
            (
                &format!("/projects/{project}/{holder}/roles"),
                json!("role-api-project-member"),
            ),
        ] {
            let roles = admin.get(path).await.ok();
            let again = admin.post(path, json!({"role_id": role})).await.ok();
            assert_eq!(again["role"]["id"], role);
            assert_eq!(admin.get(path).await.ok(), roles);
        }
        assert_eq!(log(&server).await, before);
    }
    let before = log(&server).await;
    server.clock.advance(60);
    assert_eq!(admin.post(&groups, grant).await.ok(), granted);
    assert_eq!(log(&server).await, before);
}

#[tokio::test]
async fn adding_an_existing_member_is_refused() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let (user, group) = (server.reader_id(), add_group(&server, "Ops").await);
    create(&admin, ROLES, "Ops", &[]).await;
    for (path, body, words) in [
        (
            format!("/organization/projects/{project}/users"),
            json!({"user_id": user, "role": "member"}),
            "already exists in project",
        ),
        (
            format!("/organization/groups/{group}/users"),
            json!({"user_id": user}),
            "already exists in group",
        ),
        (
            "/organization/invites".to_owned(),
            json!({"email": "new@acme.example", "role": "reader"}),
            "already exists",
        ),
        (
            ROLES.to_owned(),
            json!({"role_name": "OPS", "permissions": []}),
            "already exists",
        ),
        (
            "/organization/invites".to_owned(),
            json!({"email": "RITA@acme.example", "role": "reader"}),
            "already exists",
        ),
    ] {
        let first = admin.post(&path, body.clone()).await;
        let again = match first.status {
            StatusCode::OK => admin.post(&path, body).await,
            _ => first,
        };
        let message = again.json["error"]["message"].clone();
        assert_eq!(again.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            message
                .as_str()
                .is_some_and(|message| message.contains(words)),
            "{path}: {message}"
        );
    }
}

#[tokio::test]
async fn adding_a_group_with_another_role_is_refused() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let group = add_group(&server, "Ops").await;
    let groups = format!("/organization/projects/{project}/groups");
    let with = |role: &str| json!({"group_id": group, "role": role});
    admin
        .post(&groups, with("role-api-project-member"))
        .await
        .ok();
    let other = admin.post(&groups, with("role-api-project-owner")).await;
    assert_eq!(
        other.refused(400),
        (Some("already_exists"), Some("group_id"))
    );
    let message = other.json["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("already exists in project"), "{message}");
}

#[tokio::test]
async fn an_organizations_data_retention_is_none_until_set() {
    let server = Server::start().await;
    let path = "/organization/data_retention";
    let unset = json!({"object": "organization.data_retention", "type": "none"});
    assert_eq!(server.admin().get(path).await.ok(), unset);
    let answer = server
        .admin()
        .post(path, json!({"retention_type": "none"}))
        .await;
    assert_eq!(
        answer.refused(400).1,
        Some("retention_type"),
        "the contract lets nobody set it"
    );
}

#[tokio::test]
async fn a_spend_limit_is_enforcing_once_set() {
    let server = Server::start().await;
    let limit = json!({"threshold_amount": 10, "currency": "USD", "interval": "month"});
    let of_project = format!(
        "/organization/projects/{}/spend_limit",
        project(&server).await
    );
    for path in ["/organization/spend_limit", &of_project] {
        let set = server.admin().post(path, limit.clone()).await.ok();
        assert_eq!(set["enforcement"]["status"], "enforcing", "{path}");
        assert_eq!(server.admin().get(path).await.ok(), set);
    }
}

#[tokio::test]
async fn resources_of_an_archived_project_are_not_found() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let path = format!("/organization/projects/{project}");
    let account = admin
        .post(&format!("{path}/service_accounts"), json!({"name": "a"}))
        .await
        .ok();
    let account = format!(
        "{path}/service_accounts/{}",
        account["id"].as_str().expect("an id")
    );
    let member = json!({"user_id": server.owner_id(), "role": "member"});
    admin
        .post(&format!("{path}/users"), member.clone())
        .await
        .ok();
    let user = format!("{path}/users/{}", server.owner_id());
    let roles = format!("/projects/{project}/users/{}/roles", server.owner_id());
    let role = create(&admin, &format!("/projects/{project}/roles"), "Ops", &[]).await;
    let role = format!(
        "/projects/{project}/roles/{}",
        role["id"].as_str().expect("an id")
    );
    admin.post(&format!("{path}/archive"), json!({})).await.ok();
    for answer in [
        admin.get(&account).await,
        admin.post(&account, json!({"name": "b"})).await,
        admin.delete(&account).await,
        admin.get(&user).await,
        admin.post(&user, json!({"role": "owner"})).await,
        admin.delete(&user).await,
        admin.get(&roles).await,
        admin.get(&role).await,
        admin.delete(&role).await,
    ] {
        assert_eq!(answer.refused(404).0, Some("not_found"), "{}", answer.json);
    }
    // Lists of an archived project, and additions to them, are refused with the reason.
    for answer in [
        admin.get(&format!("{path}/users")).await,
        admin.post(&format!("{path}/users"), member).await,
        admin.get(&format!("{path}/service_accounts")).await,
        admin.post(&path, json!({"name": "b"})).await,
    ] {
        assert_eq!(
            answer.refused(400).0,
            Some("project_archived"),
            "{}",
            answer.json
        );
    }
}

#[tokio::test]
async fn the_settings_of_an_archived_project_are_not_found() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let path = format!("/organization/projects/{project}");
    admin.post(&format!("{path}/archive"), json!({})).await.ok();
    let limit = json!({"threshold_amount": 10, "currency": "USD", "interval": "month"});
    for answer in [
        admin.get(&format!("{path}/spend_limit")).await,
        admin.post(&format!("{path}/spend_limit"), limit).await,
        admin.delete(&format!("{path}/spend_limit")).await,
        admin.get(&format!("{path}/data_retention")).await,
        admin.get(&format!("{path}/model_permissions")).await,
        admin.get(&format!("{path}/hosted_tool_permissions")).await,
        admin.get(&format!("{path}/service_tier_settings")).await,
        admin.get(&format!("{path}/rate_limits")).await,
    ] {
        assert_eq!(answer.refused(404).0, Some("not_found"), "{}", answer.json);
    }
}

#[tokio::test]
async fn accepting_an_invitation_records_an_acceptance_and_a_new_user() {
    let server = Server::start().await;
    let project = project(&server).await;
    let invite = json!({"email": "grace@acme.example", "role": "reader", "projects": [{"id": project, "role": "member"}]});
    let sent = server
        .admin()
        .post("/organization/invites", invite)
        .await
        .ok();
    let token = server.token("grace@acme.example").await;
    let accept = json!({"token": token, "name": "Grace"});
    let user = server
        .anonymous()
        .post("/organization/invites/accept", accept)
        .await
        .ok();
    let log = server
        .admin()
        .get("/organization/audit_logs?limit=3")
        .await
        .ok();
    assert_eq!(
        each(&log, "type"),
        ["user.added", "invite.accepted", "invite.sent"]
    );
    let data = json!({"role": "reader"});
    assert_eq!(
        log["data"][0]["user.added"],
        json!({"id": user["id"], "data": data})
    );
    assert_eq!(log["data"][1]["invite.accepted"]["id"], sent["id"]);
    assert_eq!(log["data"][0]["actor"], log["data"][1]["actor"]);
    assert_eq!(
        log["data"][0]["effective_at"],
        log["data"][1]["effective_at"]
    );
    let by_user = format!(
        "/organization/audit_logs?resource_ids={}",
        user["id"].as_str().unwrap_or_default()
    );
    assert_eq!(
        each(&server.admin().get(&by_user).await.ok(), "type"),
        ["user.added"]
    );
}
