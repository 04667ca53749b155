//! Effects of roles: they apply to the next request, in the Administration API and in the gateway, and callers grant no
//! permissions that they lack.

use base::permission::{OrganizationRole, PredefinedRole, ProjectRole};
use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Server};

use super::assignments::{assign, join};
use super::{ROLES, add_group, create, each, project};

/// Issues a key of the reader in the project, by a role that is removed afterwards.
async fn key(server: &Server, project: &str) -> Client {
    let holder = format!("/projects/{project}/users/{}", server.reader_id());
    assign(&server.admin(), &holder, &json!("role_project_viewer")).await;
    let keys = format!("/organization/projects/{project}/api_keys");
    let key = json!({"name": "Rita's", "user_id": server.reader_id()});
    let key = server.admin().post(&keys, key).await.ok();
    server
        .admin()
        .delete(&format!("{holder}/roles/role_project_viewer"))
        .await
        .ok();
    server.with_key(key["value"].as_str().expect("a secret"))
}

/// Returns the status of a gateway request for an unknown model: 404 with the permission to call models.
async fn asks(client: &Client) -> u16 {
    let body = json!({"model": "none", "messages": []});
    client.post("/chat/completions", body).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_roles_applies_to_the_next_request_of_the_gateway() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let key = key(&server, &project).await;
    assert_eq!(asks(&key).await, 403, "a reader calls no models");
    let group = add_group(&server, "Ops").await;
    join(&server, &group, server.reader_id()).await;
    let roles = format!("/projects/{project}/roles");
    let role = create(&admin, &roles, "Calls", &["api.model.read"]).await["id"].clone();
    let holder = format!("/projects/{project}/groups/{group}");
    assign(&admin, &holder, &role).await;
    assert_eq!(
        asks(&key).await,
        403,
        "the group's role has no api.model.request"
    );
    let role = role.as_str().expect("an id");
    let path = format!("{roles}/{role}");
    admin
        .post(&path, json!({"permissions": ["api.model.request"]}))
        .await
        .ok();
    assert_eq!(asks(&key).await, 404, "now it has");
    admin.delete(&format!("{holder}/roles/{role}")).await.ok();
    assert_eq!(asks(&key).await, 403, "the group lost it");
    assign(&admin, &holder, &json!(role)).await;
    assert_eq!(asks(&key).await, 404);
    admin.delete(&path).await.ok();
    assert_eq!(asks(&key).await, 403, "there is no such role any more");
    let everywhere = create(&admin, ROLES, "Calls", &["api.model.request"]).await["id"].clone();
    assign(
        &admin,
        &format!("/organization/users/{}", server.reader_id()),
        &everywhere,
    )
    .await;
    assert_eq!(
        asks(&key).await,
        404,
        "what holds in the organization holds in its projects"
    );
}

#[tokio::test]
async fn a_role_in_a_project_allows_a_key_in_the_project() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let keys = format!("/organization/projects/{project}/api_keys");
    let key = json!({"name": "Rita's", "user_id": server.reader_id()});
    let answer = admin.post(&keys, key.clone()).await;
    assert_eq!(answer.refused(400).1, Some("user_id"));
    let group = add_group(&server, "Ops").await;
    join(&server, &group, server.reader_id()).await;
    let holder = format!("/projects/{project}/groups/{group}");
    assign(&admin, &holder, &json!("role_project_member")).await;
    let created = admin.post(&keys, key).await.ok();
    assert_eq!(created["owner_project_access"], "active");
    admin
        .delete(&format!("{holder}/roles/role_project_member"))
        .await
        .ok();
    let list = admin
        .get(&format!("{keys}?owner_project_access=inactive"))
        .await
        .ok();
    assert_eq!(each(&list, "id"), [created["id"].as_str().expect("an id")]);
}

#[tokio::test]
async fn roles_of_a_group_apply_to_its_users() {
    let server = Server::start().await;
    let (admin, reader) = (server.admin(), server.reader());
    let role = create(
        &admin,
        ROLES,
        "Auditors",
        &["api.organization.audit_logs.read"],
    )
    .await;
    let group = add_group(&server, "Auditors").await;
    join(&server, &group, server.reader_id()).await;
    let log = "/organization/audit_logs";
    assert_eq!(
        reader.get(log).await.refused(403).0,
        Some("insufficient_permissions")
    );
    assign(
        &admin,
        &format!("/organization/groups/{group}"),
        &role["id"],
    )
    .await;
    reader.get(log).await.ok();
    let owners = format!("/organization/groups/{group}");
    assign(&admin, &owners, &json!("role_organization_owner")).await;
    reader
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    admin
        .delete(&format!("{owners}/roles/role_organization_owner"))
        .await
        .ok();
    let answer = reader
        .post("/organization/projects", json!({"name": "a"}))
        .await;
    assert_eq!(answer.refused(403).0, Some("insufficient_permissions"));
}

#[tokio::test]
async fn callers_grant_no_permission_that_they_lack() {
    let server = Server::start().await;
    let (admin, reader, project) = (server.admin(), server.reader(), project(&server).await);
    let rita = format!("/organization/users/{}", server.reader_id());
    let manages = create(&admin, ROLES, "Managers", &["api.roles.write"]).await["id"].clone();
    assign(&admin, &rita, &manages).await;
    let strong = create(&admin, ROLES, "Strong", &["api.groups.write"]).await["id"].clone();
    let weak = create(&reader, ROLES, "Weak", &["api.roles.read"]).await["id"].clone();
    let weak = weak.as_str().expect("an id");
    assign(&reader, &rita, &json!(weak)).await;
    let in_project = format!("/projects/{project}");
    let cases = [
        (
            ROLES.to_owned(),
            json!({"role_name": "a", "permissions": ["api.roles.read", "api.groups.write"]}),
            "api.groups.write",
        ),
        (
            format!("{ROLES}/{weak}"),
            json!({"permissions": ["api.model.request"]}),
            "api.model.request",
        ),
        (
            format!("{rita}/roles"),
            json!({"role_id": strong}),
            "api.groups.write",
        ),
        (
            format!("{rita}/roles"),
            json!({"role_id": "role_organization_owner"}),
            "api.organization.admin_api_keys.read",
        ),
        (
            format!("{in_project}/roles"),
            json!({"role_name": "a", "permissions": ["api.model.request"]}),
            "api.model.request",
        ),
        (
            format!("{in_project}/users/{}/roles", server.reader_id()),
            json!({"role_id": "role_project_member"}),
            "api.model.request",
        ),
    ];
    for (path, body, lacked) in cases {
        let answer = reader.post(&path, body.clone()).await;
        assert_eq!(
            answer.refused(403).0,
            Some("insufficient_permissions"),
            "{path} {body}"
        );
        let message = answer.json["error"]["message"].as_str().expect("a message");
        assert!(message.contains(lacked), "{message}");
    }
    // A caller with fewer permissions may rename a role, which keeps its permissions.
    let strong = format!("{ROLES}/{}", strong.as_str().expect("an id"));
    reader
        .post(&strong, json!({"role_name": "Strongest"}))
        .await
        .ok();
}

/// Lists all operations with their permissions and the sufficient predefined roles.
fn table() -> String {
    let mut lines = vec![format!(
        "{:42} {:52} {}",
        "operation",
        "needs",
        PredefinedRole::ALL.map(title).join(" ")
    )];
    for operation in admin::operations() {
        if let Some(scope) = operation.own {
            let line = format!("{:42} own ({})", operation.command, scope.as_str());
            lines.push(line);
        }
        let Some(needs) = operation.needs else {
            continue;
        };
        let in_project = operation.path_parameters().any(|name| name == "project_id");
        let may = PredefinedRole::ALL.map(|role| {
            let counts = in_project || matches!(role, PredefinedRole::Organization(_));
            let word = if counts && role.permissions().contains(needs) {
                "yes"
            } else {
                "-"
            };
            format!("{word:width$}", width = title(role).len())
        });
        let line = format!(
            "{:42} {:52} {}",
            operation.command,
            needs.as_str(),
            may.join(" ")
        );
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

fn title(role: PredefinedRole) -> String {
    let of = role.resource_type().trim_start_matches("api.");
    format!("{of}_{}", role.name())
}

/// Set `ORGPLANE_ACCEPT=1` to regenerate the file, then review the changes.
#[test]
fn the_reviewed_table_of_permissions_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/roles/who_may.txt");
    let now = table();
    if std::env::var_os("ORGPLANE_ACCEPT").is_some() {
        std::fs::write(path, &now).expect("written");
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    let only = |these: &str, those: &str, sign: char| {
        let lines = these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line));
        lines
            .map(|line| format!("{sign} {line}\n"))
            .collect::<String>()
    };
    let difference = only(&reviewed, &now, '-') + &only(&now, &reviewed, '+');
    assert!(
        reviewed == now,
        "{path} differs (ORGPLANE_ACCEPT=1 accepts):\n{difference}"
    );
}

#[tokio::test]
async fn project_roles_allow_what_the_table_lists() {
    let server = Server::start().await;
    let (admin, reader) = (server.admin(), server.reader());
    for role in [ProjectRole::Viewer, ProjectRole::Member, ProjectRole::Owner] {
        let project = project(&server).await;
        let holder = format!("/projects/{project}/users/{}", server.reader_id());
        let id = PredefinedRole::Project(role).id(server.organization_id());
        assign(&admin, &holder, &json!(id)).await;
        let allowed = OrganizationRole::Reader
            .permissions()
            .union(role.permissions());
        for operation in admin::operations() {
            let Some(needs) = operation.needs else {
                continue;
            };
            // No other resource is named, so no change is possible.
            let others = |name: &&str| !["project_id", "user_id", "group_id"].contains(name);
            if operation.path_parameters().next() != Some("project_id")
                || operation.path.contains("/archive")
            {
                continue;
            }
            let path = operation.path.replace("{project_id}", &project);
            let path = path.replace("{user_id}", &server.owner_id().to_string());
            let path = path.replace("{group_id}", "nope");
            let path = operation
                .path_parameters()
                .filter(others)
                .fold(path, |path, name| {
                    path.replace(&format!("{{{name}}}"), "nope")
                });
            let body = (operation.method == Method::POST).then(|| "{}".to_owned());
            let answer = reader.call(operation.method.clone(), &path, body).await;
            let is_refused = answer.status == 403;
            // Paths are resolved before permissions are checked.
            let leads_nowhere = ["/groups/nope", "/spend_alerts/nope"];
            let is_elsewhere =
                answer.status == 404 && leads_nowhere.iter().any(|end| path.contains(end));
            assert!(
                is_refused != allowed.contains(needs) || is_elsewhere,
                "{role:?} {}: {}",
                operation.command,
                answer.json
            );
        }
    }
}

#[tokio::test]
async fn roles_of_another_organization_are_separate() {
    let server = Server::start().await;
    create(&server.admin(), ROLES, "Ours", &[]).await;
    let theirs: Value = server.stranger().get(ROLES).await.ok();
    assert_eq!(each(&theirs, "name"), ["owner", "reader"]);
    let ours = format!("api-organization__{}", server.organization_id());
    assert!(each(&theirs, "id").iter().all(|id| !id.ends_with(&ours)));
}
