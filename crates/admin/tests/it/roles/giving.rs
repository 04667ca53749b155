//! Managers of members and keys grant no permissions that they lack.

use serde_json::{Value, json};
use testkit::{Client, Server};

use super::assignments::assign;
use super::{ROLES, add_group, create, project};

/// Creates a manager, who may change members, keys and accounts, but not call models.
async fn manager(server: &Server) -> Client {
    let permissions = [
        "api.organization.invites.write",
        "api.groups.write",
        "api.organization.projects.api_keys.write",
        "api.organization.projects.service_accounts.write",
    ];
    let role = create(&server.admin(), ROLES, "Managers", &permissions).await["id"].clone();
    let rita = format!("/organization/users/{}", server.reader_id());
    assign(&server.admin(), &rita, &role).await;
    server.reader()
}

fn lacks(answer: &testkit::Answer, permission: &str) {
    assert_eq!(answer.refused(403).0, Some("insufficient_permissions"));
    let message = answer.json["error"]["message"].as_str().expect("a message");
    assert!(message.contains(permission), "{message}");
}

#[tokio::test]
async fn a_key_has_no_permission_that_its_issuer_lacks() {
    let server = Server::start().await;
    let (admin, manager, project) = (
        server.admin(),
        manager(&server).await,
        project(&server).await,
    );
    let accounts = format!("/organization/projects/{project}/service_accounts");
    let lacked = "api.model.request";
    let with_key = json!({"name": "Mine"});
    let narrowed = json!({"scopes": ["api.organization.projects.api_keys.write"]});
    lacks(&manager.post(&accounts, with_key.clone()).await, lacked);
    let account = admin.post(&accounts, with_key).await.ok();
    let account = format!("{accounts}/{}", account["id"].as_str().expect("an id"));
    let keys = format!("{account}/api_keys");
    let asks = json!({"scopes": [lacked]});
    lacks(&manager.post(&keys, asks).await, lacked);
    manager.post(&keys, narrowed.clone()).await.ok();
    lacks(
        &manager.post(&account, json!({"role": "owner"})).await,
        "api.organization.usage.read",
    );
    // An account without a key allows nothing, and the manager cannot issue a key that allows more.
    let alone = json!({"name": "Alone", "create_service_account_only": true});
    manager.post(&accounts, alone).await.ok();
    let keys = format!("/organization/projects/{project}/api_keys");
    let owners =
        |scopes: &[&str]| json!({"name": "Ada's", "user_id": server.owner_id(), "scopes": scopes});
    lacks(&manager.post(&keys, owners(&[lacked])).await, lacked);
    lacks(
        &manager.post(&keys, owners(&[])).await,
        "api.organization.admin_api_keys",
    );
    let own = ["api.organization.projects.api_keys.write"];
    let key = manager.post(&keys, owners(&own)).await.ok();
    admin.post(&keys, owners(&[])).await.ok();
    let key = format!("{keys}/{}", key["id"].as_str().expect("an id"));
    lacks(
        &manager.post(&key, json!({"scopes": [lacked]})).await,
        lacked,
    );
    manager.post(&key, json!({"scopes": own})).await.ok();
}

#[tokio::test]
async fn an_invitation_grants_no_permission_that_its_sender_lacks() {
    let server = Server::start().await;
    let (manager, project) = (manager(&server).await, project(&server).await);
    let invites = "/organization/invites";
    let invited = |role: &str, projects: Value| json!({"email": "eve@acme.example", "role": role, "projects": projects});
    let as_owner = manager.post(invites, invited("owner", json!([]))).await;
    lacks(&as_owner, "api.organization.admin_api_keys");
    let as_member = json!([{"id": project, "role": "member"}]);
    let as_member = invited("reader", as_member);
    lacks(
        &manager.post(invites, as_member.clone()).await,
        "api.model.request",
    );
    manager
        .post(invites, invited("reader", json!([])))
        .await
        .ok();
}

#[tokio::test]
async fn adding_to_a_group_grants_no_permission_that_the_caller_lacks() {
    let server = Server::start().await;
    let (admin, manager, project) = (
        server.admin(),
        manager(&server).await,
        project(&server).await,
    );
    let group = add_group(&server, "Ops").await;
    let users = format!("/organization/groups/{group}/users");
    let rita = json!({"user_id": server.reader_id()});
    for (realm, permission) in [
        ("/organization".to_owned(), "api.groups.write"),
        (format!("/projects/{project}"), "api.model.request"),
    ] {
        let roles = format!("{realm}/roles");
        let role = create(&admin, &roles, "Given", &[permission]).await["id"].clone();
        assign(&admin, &format!("{realm}/groups/{group}"), &role).await;
    }
    lacks(
        &manager.post(&users, rita.clone()).await,
        "api.model.request",
    );
    let roles = format!("/projects/{project}/groups/{group}/roles");
    let given = admin.get(&roles).await.ok();
    let role = given["data"][0]["id"].as_str().expect("an id").to_owned();
    admin.delete(&format!("{roles}/{role}")).await.ok();
    manager.post(&users, rita).await.ok();
}
