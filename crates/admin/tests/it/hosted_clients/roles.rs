//! Ids of predefined roles and of assignments, and names of permissions.

use http::StatusCode;
use serde_json::json;
use testkit::Server;

use crate::roles::{ROLES, add_group, create, each, newest_event, project};

#[tokio::test]
async fn predefined_roles_have_the_ids_of_the_hosted_service() {
    let server = Server::start().await;
    let (admin, organization) = (server.admin(), server.organization_id());
    let ids = ["owner", "reader"]
        .map(|role| format!("role-api-organization-{role}__api-organization__{organization}"));
    assert_eq!(each(&admin.get(ROLES).await.ok(), "id"), ids);
    let project = project(&server).await;
    let roles = admin.get(&format!("/projects/{project}/roles")).await.ok();
    let ids = ["member", "owner", "viewer"].map(|role| format!("role-api-project-{role}"));
    assert_eq!(each(&roles, "id"), ids);
    let update = json!({"role_id": format!("role-api-organization-owner__api-organization__{organization}")});
    let user = format!("/organization/users/{}", server.reader_id());
    assert_eq!(admin.post(&user, update).await.ok()["role"], "owner");
    let group = add_group(&server, "Ops").await;
    let grant = json!({"group_id": group, "role": "role_project_owner"});
    let groups = format!("/organization/projects/{project}/groups");
    admin.post(&groups, grant).await.ok();
    let added = "/organization/audit_logs?event_types=x.project.group.added";
    let added = admin.get(added).await.ok()["data"][0]["x.project.group.added"].clone();
    assert_eq!(added["role_id"], "role-api-project-owner");
}

#[tokio::test]
async fn every_id_of_a_predefined_role_is_accepted_in_paths_and_bodies() {
    let server = Server::start().await;
    let project = project(&server).await;
    let in_project = format!("/projects/{project}");
    let reader = format!(
        "role-api-organization-reader__api-organization__{}",
        server.organization_id()
    );
    let group = format!("groups/{}", add_group(&server, "Ops").await);
    let user = format!("users/{}", server.reader_id());
    let of_project = |role: &str| {
        let named = format!("role-api-project-{role}__api-project__{project}");
        [
            format!("role-api-project-{role}"),
            named,
            format!("role_project_{role}"),
        ]
    };
    let of_organization = [
        reader,
        "role-api-organization-reader".to_owned(),
        "role_organization_reader".to_owned(),
    ];
    for (scope, holder, names) in [
        ("/organization", &group, of_organization),
        (&in_project, &group, of_project("viewer")),
        (&in_project, &user, of_project("member")),
    ] {
        for name in &names {
            does(&server, scope, holder, name, &names[0]).await;
        }
    }
}

/// Assigns, finds and removes the role by `name`, and checks that all responses show it as `shown`.
async fn does(server: &Server, scope: &str, holder: &str, name: &str, shown: &str) {
    let (admin, held) = (server.admin(), format!("{scope}/{holder}/roles"));
    let given = admin.post(&held, json!({"role_id": name})).await.ok();
    assert_eq!(given["role"]["id"], json!(shown), "{held} {name}");
    let listed = admin.get(&held).await.ok();
    assert_eq!(each(&listed, "id"), [shown], "{held} {name}");
    for one in [format!("{held}/{name}"), format!("{scope}/roles/{name}")] {
        assert_eq!(admin.get(&one).await.ok()["id"], json!(shown), "{one}");
    }
    for list in [format!("{scope}/roles"), held.clone()] {
        let page = admin.get(&format!("{list}?after={name}")).await;
        assert_eq!(page.status, StatusCode::OK, "{list}: {name} is a cursor");
    }
    let gone = admin.delete(&format!("{held}/{name}")).await.ok();
    assert_eq!(gone["deleted"], true);
    let event = newest_event(server).await;
    let id = event["role.assignment.deleted"]["id"].clone();
    let principal = holder.split_once('/').map_or("", |(_, id)| id);
    assert_eq!(id, json!(format!("role_assignment_{shown}_{principal}")));
}

#[tokio::test]
async fn ids_of_roles_in_other_scopes_are_not_found() {
    let server = Server::start().await;
    let (admin, one, two) = (
        server.admin(),
        project(&server).await,
        project(&server).await,
    );
    for (scope, id) in [
        (
            "/organization".to_owned(),
            "role-api-organization-owner__api-organization__org-other".to_owned(),
        ),
        (
            "/organization".to_owned(),
            "role-api-project-owner".to_owned(),
        ),
        (
            "/organization".to_owned(),
            "role-api-organization-member".to_owned(),
        ),
        (
            format!("/projects/{one}"),
            format!("role-api-project-owner__api-project__{two}"),
        ),
        (
            format!("/projects/{one}"),
            "role-api-project-none".to_owned(),
        ),
        (
            format!("/projects/{one}"),
            "role-api-organization-owner".to_owned(),
        ),
    ] {
        let answer = admin.get(&format!("{scope}/roles/{id}")).await;
        assert_eq!(answer.refused(404).0, Some("not_found"), "{scope} {id}");
        let held = format!("{scope}/users/{}/roles", server.reader_id());
        let answer = admin.post(&held, json!({"role_id": id})).await;
        assert_eq!(answer.refused(400).1, Some("role_id"), "{scope} {id}");
    }
}

#[tokio::test]
async fn permissions_keep_their_order_and_accept_names_of_the_hosted_service() {
    let server = Server::start().await;
    let admin = server.admin();
    let asked = [
        "api.organization.projects.read",
        "api.webhooks.read",
        "api.groups.read",
        "api.responses.write",
    ];
    let role = create(&admin, ROLES, "Ops", &asked).await;
    assert_eq!(role["permissions"], json!(asked));
    assert_eq!(
        newest_event(&server).await["role.created"]["permissions"],
        json!(asked)
    );
    let path = format!("{ROLES}/{}", role["id"].as_str().expect("an id"));
    assert_eq!(admin.get(&path).await.ok(), role);
    let held = format!("/organization/users/{}/roles", server.reader_id());
    let given = admin.post(&held, json!({"role_id": role["id"]})).await.ok();
    assert_eq!(given["role"], role);
    assert_eq!(
        admin.get(&held).await.ok()["data"][0]["permissions"],
        json!(asked)
    );
    // Another order gives another response, and is a change.
    let turned: Vec<&str> = asked.into_iter().rev().collect();
    let updated = admin.post(&path, json!({"permissions": turned})).await.ok();
    assert_eq!(updated["permissions"], json!(turned));
    let requested = &newest_event(&server).await["role.updated"]["changes_requested"];
    assert_eq!(
        (
            &requested["permissions_added"],
            &requested["permissions_removed"]
        ),
        (&json!([]), &json!([]))
    );
    let swapped = json!(["api.webhooks.write", "api.groups.read"]);
    admin
        .post(&path, json!({"permissions": swapped}))
        .await
        .ok();
    let requested = &newest_event(&server).await["role.updated"]["changes_requested"];
    assert_eq!(
        requested["permissions_added"],
        json!(["api.webhooks.write"])
    );
    let removed = [
        "api.responses.write",
        "api.webhooks.read",
        "api.organization.projects.read",
    ];
    assert_eq!(requested["permissions_removed"], json!(removed));
    let unknown = json!({"role_name": "x", "permissions": ["api.groups.read", "api.groups.reed"]});
    assert_eq!(
        admin.post(ROLES, unknown).await.refused(400).1,
        Some("permissions[1]")
    );
}

#[tokio::test]
async fn scopes_keep_their_order_and_accept_names_of_the_hosted_service() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let accounts = format!("/organization/projects/{project}/service_accounts");
    let account = admin.post(&accounts, json!({"name": "a"})).await.ok();
    let keys = format!(
        "{accounts}/{}/api_keys",
        account["id"].as_str().expect("an id")
    );
    let scopes = json!(["api.responses.write", "api.model.request", "api.files.read"]);
    admin
        .post(&keys, json!({"name": "k", "scopes": scopes}))
        .await
        .ok();
    assert_eq!(
        newest_event(&server).await["api_key.created"]["data"]["scopes"],
        scopes
    );
    let unknown = json!({"name": "k", "scopes": ["api.responses.write", "api.nope"]});
    assert_eq!(
        admin.post(&keys, unknown).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn an_assignments_id_contains_its_role_and_its_principal() {
    let server = Server::start().await;
    let (admin, user) = (server.admin(), server.reader_id());
    let held = format!("/organization/users/{user}/roles");
    let organization = server.organization_id();
    let owner = format!("role-api-organization-owner__api-organization__{organization}");
    let said = json!({"id": format!("role_assignment_{owner}_{user}"), "principal_id": user, "principal_type": "user",
                      "resource_id": organization, "resource_type": "api.organization"});
    admin.post(&held, json!({"role_id": owner})).await.ok();
    let event = newest_event(&server).await;
    assert_eq!(event["role.assignment.created"], said);
    admin.delete(&format!("{held}/{owner}")).await.ok();
    assert_eq!(newest_event(&server).await["role.assignment.deleted"], said);
    // The event is found by the assignment's id and by the role's.
    for id in [said["id"].as_str().expect("an id"), &owner] {
        let path = format!("/organization/audit_logs?resource_ids={id}");
        assert_eq!(each(&admin.get(&path).await.ok(), "type").len(), 2, "{id}");
    }
}
