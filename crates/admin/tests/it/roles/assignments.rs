//! Assignments of roles to users and groups, in the organization and in projects.

use serde_json::{Value, json};
use testkit::{Client, NOW, Server};

use super::{ROLES, add_group, create, each, newest_event, project};

/// Adds a user to a group.
pub async fn join(server: &Server, group: &str, user: &base::ids::UserId) {
    let users = format!("/organization/groups/{group}/users");
    let user = json!({"user_id": user});
    server.admin().post(&users, user).await.ok();
}

pub async fn assign(client: &Client, holder: &str, role: &Value) -> Value {
    client
        .post(&format!("{holder}/roles"), json!({"role_id": role}))
        .await
        .ok()
}

#[tokio::test]
async fn roles_are_assigned_to_users_and_groups_in_both_scopes() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let (user, group) = (server.reader_id(), add_group(&server, "Ops").await);
    let organization = server.organization_id().to_string();
    for (realm, resource, kind) in [
        (
            "/organization".to_owned(),
            &organization,
            "api.organization",
        ),
        (format!("/projects/{project}"), &project, "api.project"),
    ] {
        let role = create(
            &admin,
            &format!("{realm}/roles"),
            "Ops",
            &["api.model.read"],
        )
        .await;
        let shown_user = json!({"object": "organization.user", "id": user, "name": "Rita", "role": "reader",
                                "email": "rita@acme.example", "added_at": NOW.0});
        let shown_group = json!({"object": "group", "id": group, "name": "Ops", "created_at": NOW.0,
                                 "scim_managed": false});
        for (noun, id, shown) in [
            ("user", user.to_string(), shown_user),
            ("group", group.clone(), shown_group),
        ] {
            let holder = format!("{realm}/{noun}s/{id}");
            let named = role["id"].as_str().expect("an id");
            let said = json!({"id": format!("role_assignment_{named}_{id}"), "principal_id": id, "principal_type": noun,
                              "resource_id": resource, "resource_type": kind});
            let assigned = given_and_taken(&server, &holder, &role, said).await;
            assert_eq!(
                assigned,
                json!({"object": format!("{noun}.role"), noun: shown, "role": role})
            );
        }
    }
}

/// Assigns, retrieves and removes the role. Returns the response to the assignment.
async fn given_and_taken(server: &Server, holder: &str, role: &Value, said: Value) -> Value {
    let admin = server.admin();
    let assigned = assign(&admin, holder, &role["id"]).await;
    assert_eq!(newest_event(server).await["role.assignment.created"], said);
    let roles = format!("{holder}/roles");
    let again = admin.post(&roles, json!({"role_id": role["id"]})).await;
    assert_eq!(again.ok(), assigned);
    let one = format!("{roles}/{}", role["id"].as_str().expect("an id"));
    let found = admin.get(&one).await.ok();
    assert_eq!(
        found,
        json!({"id": role["id"], "name": "Ops", "permissions": ["api.model.read"], "description": null,
               "resource_type": role["resource_type"], "predefined_role": false, "created_at": NOW.0,
               "updated_at": NOW.0, "created_by": server.owner_id(), "metadata": {}, "assignment_sources": null,
               "created_by_user_obj": {"id": server.owner_id(), "name": "ada", "email": "ada@acme.example"}})
    );
    assert_eq!(admin.get(&roles).await.ok()["data"][0], found);
    let gone = admin.delete(&one).await.ok();
    let noun = &said["principal_type"].as_str().expect("a type");
    assert_eq!(
        gone,
        json!({"object": format!("{noun}.role.deleted"), "deleted": true})
    );
    assert_eq!(newest_event(server).await["role.assignment.deleted"], said);
    assert_eq!(admin.get(&one).await.refused(404).0, Some("not_found"));
    assert_eq!(admin.delete(&one).await.refused(404).0, Some("not_found"));
    assigned
}

#[tokio::test]
async fn a_role_is_assigned_only_in_its_own_scope() {
    let server = Server::start().await;
    let (admin, one, two) = (
        server.admin(),
        project(&server).await,
        project(&server).await,
    );
    let user = server.reader_id();
    let of_organization = create(&admin, ROLES, "Ops", &[]).await["id"].clone();
    let of_two = create(&admin, &format!("/projects/{two}/roles"), "Ops", &[]).await["id"].clone();
    let cases = [
        ("/organization".to_owned(), of_two.clone()),
        ("/organization".to_owned(), json!("role_project_viewer")),
        (format!("/projects/{one}"), of_two),
        (format!("/projects/{one}"), of_organization),
        (format!("/projects/{one}"), json!("role_organization_owner")),
        (format!("/projects/{one}"), json!("")),
        (format!("/projects/{one}"), Value::Null),
    ];
    for (realm, role) in cases {
        let answer = admin
            .post(
                &format!("{realm}/users/{user}/roles"),
                json!({"role_id": role}),
            )
            .await;
        assert_eq!(answer.refused(400).1, Some("role_id"), "{realm} {role}");
    }
}

#[tokio::test]
async fn inherited_roles_name_their_sources() {
    let server = Server::start().await;
    let (admin, user) = (server.admin(), server.reader_id());
    let role = create(&admin, ROLES, "Ops", &["api.model.read"]).await["id"].clone();
    let (a, b) = (add_group(&server, "a").await, add_group(&server, "b").await);
    for group in [&b, &a] {
        join(&server, group, user).await;
        assign(&admin, &format!("/organization/groups/{group}"), &role).await;
    }
    let roles = format!("/organization/users/{user}/roles");
    let list = admin.get(&roles).await.ok();
    assert_eq!(each(&list, "name"), ["Ops", "reader"]);
    let sources = json!([{"principal_id": a, "principal_type": "group"}, {"principal_id": b, "principal_type": "group"}]);
    assert_eq!(list["data"][0]["assignment_sources"], sources);
    assert_eq!(list["data"][1]["assignment_sources"], Value::Null);
    let one = format!("{roles}/{}", role.as_str().expect("an id"));
    assert_eq!(admin.get(&one).await.ok(), list["data"][0]);
    let answer = admin.delete(&one).await;
    assert_eq!(answer.refused(400).0, Some("inherited_role"));
    // A direct assignment beside an inherited one is shown as direct, and its removal leaves the inherited one.
    assign(&admin, &format!("/organization/users/{user}"), &role).await;
    assert_eq!(
        admin.get(&one).await.ok()["assignment_sources"],
        Value::Null
    );
    admin.delete(&one).await.ok();
    assert_eq!(admin.get(&one).await.ok()["assignment_sources"], sources);
    let page = admin.get(&format!("{roles}?limit=1&order=desc")).await.ok();
    let organization = server.organization_id();
    let reader = format!("role-api-organization-reader__api-organization__{organization}");
    assert_eq!(
        (each(&page, "name"), &page["next"]),
        (vec!["reader"], &json!(reader))
    );
    let rest = format!("{roles}?order=desc&after={reader}");
    let rest = admin.get(&rest).await.ok();
    assert_eq!(
        (each(&rest, "name"), &rest["next"]),
        (vec!["Ops"], &Value::Null)
    );
}

#[tokio::test]
async fn the_role_in_the_organization_is_an_assignment() {
    let server = Server::start().await;
    let (admin, rita) = (
        server.admin(),
        format!("/organization/users/{}", server.reader_id()),
    );
    let promoted = assign(&admin, &rita, &json!("role_organization_owner")).await;
    assert_eq!(
        (&promoted["user"]["role"], &promoted["role"]["name"]),
        (&json!("owner"), &json!("owner"))
    );
    assert_eq!(
        each(&admin.get(&format!("{rita}/roles")).await.ok(), "name"),
        ["owner"]
    );
    server
        .reader()
        .post("/organization/projects", json!({"name": "a"}))
        .await
        .ok();
    admin
        .delete(&format!("{rita}/roles/role_organization_owner"))
        .await
        .ok();
    assert_eq!(
        each(&admin.get(&format!("{rita}/roles")).await.ok(), "name"),
        ["reader"]
    );
    let answer = server
        .reader()
        .post("/organization/projects", json!({"name": "a"}))
        .await;
    assert_eq!(answer.refused(403).0, Some("insufficient_permissions"));
    let answer = admin
        .delete(&format!("{rita}/roles/role_organization_reader"))
        .await;
    assert_eq!(answer.refused(400).0, Some("least_role"));
    // The last owner cannot be demoted in any way.
    let ada = format!("/organization/users/{}/roles", server.owner_id());
    let answer = admin
        .delete(&format!("{ada}/role_organization_owner"))
        .await;
    assert_eq!(answer.refused(400).0, Some("last_owner"));
    let answer = admin
        .post(&ada, json!({"role_id": "role_organization_reader"}))
        .await;
    assert_eq!(answer.refused(400).0, Some("last_owner"));
}

#[tokio::test]
async fn the_role_in_a_project_is_an_assignment() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let holder = format!("/projects/{project}/users/{}", server.reader_id());
    let roles = format!("{holder}/roles");
    assert_eq!(admin.get(&roles).await.ok()["data"], json!([]));
    for role in ["viewer", "member", "owner"] {
        assign(&admin, &holder, &json!(format!("role_project_{role}"))).await;
        assert_eq!(
            each(&admin.get(&roles).await.ok(), "name"),
            [role],
            "it replaces the one before"
        );
    }
    assign(&admin, &holder, &json!("role_project_owner")).await;
    assert_eq!(each(&admin.get(&roles).await.ok(), "name"), ["owner"]);
    admin
        .delete(&format!("{roles}/role_project_owner"))
        .await
        .ok();
    assert_eq!(admin.get(&roles).await.ok()["data"], json!([]));
}

#[tokio::test]
async fn the_role_of_a_group_in_a_project_is_an_assignment() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let group = add_group(&server, "Ops").await;
    let member = json!({"group_id": group, "role": "role-api-project-member"});
    let groups = format!("/organization/projects/{project}/groups");
    admin.post(&groups, member).await.ok();
    let holder = format!("/projects/{project}/groups/{group}");
    assign(&admin, &holder, &json!("role_project_viewer")).await;
    let roles = format!("{holder}/roles");
    assert_eq!(
        each(&admin.get(&roles).await.ok(), "name"),
        ["member", "viewer"],
        "a group can have several"
    );
    assign(&admin, &holder, &json!("role_project_member")).await;
    assert_eq!(
        each(&admin.get(&roles).await.ok(), "name"),
        ["member", "viewer"]
    );
    join(&server, &group, server.reader_id()).await;
    let inherited = admin
        .get(&format!(
            "/projects/{project}/users/{}/roles",
            server.reader_id()
        ))
        .await
        .ok();
    assert_eq!(each(&inherited, "name"), ["member", "viewer"]);
    admin
        .delete(&format!("{roles}/role_project_member"))
        .await
        .ok();
    assert_eq!(each(&admin.get(&roles).await.ok(), "name"), ["viewer"]);
}
