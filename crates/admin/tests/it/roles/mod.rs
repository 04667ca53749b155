//! Predefined and custom roles of the organization and of projects.

mod assignments;
mod effective;
mod giving;

use base::Permission;
use serde_json::{Value, json};
use testkit::{Client, Server};

pub const ROLES: &str = "/organization/roles";

/// Creates a group without users.
pub async fn add_group(server: &Server, name: &str) -> String {
    let group = json!({"name": name});
    let group = server.admin().post("/organization/groups", group).await;
    group.ok()["id"].as_str().expect("an id").to_owned()
}

pub async fn create(client: &Client, roles: &str, name: &str, permissions: &[&str]) -> Value {
    let role = json!({"role_name": name, "permissions": permissions});
    client.post(roles, role).await.ok()
}

pub async fn project(server: &Server) -> String {
    let project = json!({"name": "Search"});
    let project = server
        .admin()
        .post("/organization/projects", project)
        .await
        .ok();
    project["id"].as_str().expect("an id").to_owned()
}

pub fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list["data"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item[field].as_str().expect("text"))
        .collect()
}

/// Returns the newest entry of the audit log.
pub async fn newest_event(server: &Server) -> Value {
    let log = server
        .admin()
        .get("/organization/audit_logs?limit=1")
        .await
        .ok();
    log["data"][0].clone()
}

#[tokio::test]
async fn a_role_shows_the_values_of_its_creation() {
    let server = Server::start().await;
    let project = project(&server).await;
    let id = server.organization_id().to_string();
    let realms = [
        (ROLES.to_owned(), "api.organization", id),
        (format!("/projects/{project}/roles"), "api.project", project),
    ];
    for (roles, resource_type, resource_id) in realms {
        let body = json!({"role_name": " Looks ", "permissions": ["api.model.read", "api.roles.read", "api.model.read"],
                          "description": "May look."});
        let created = server.admin().post(&roles, body).await.ok();
        let id = created["id"].as_str().expect("an id");
        assert!(id.starts_with("role_"));
        let permissions = ["api.model.read", "api.roles.read"];
        assert_eq!(
            created,
            json!({"object": "role", "id": id, "name": "Looks", "description": "May look.", "permissions": permissions,
                   "resource_type": resource_type, "predefined_role": false})
        );
        assert_eq!(
            server.admin().get(&format!("{roles}/{id}")).await.ok(),
            created
        );
        let event = newest_event(&server).await;
        assert_eq!(
            event["role.created"],
            json!({"id": id, "role_name": "Looks", "permissions": permissions, "resource_type": resource_type,
                   "resource_id": resource_id})
        );
    }
}

#[tokio::test]
async fn lists_contain_the_predefined_roles_and_those_of_their_scope() {
    let server = Server::start().await;
    let (one, two) = (project(&server).await, project(&server).await);
    let admin = server.admin();
    create(&admin, ROLES, "a", &[]).await;
    create(&admin, &format!("/projects/{one}/roles"), "b", &[]).await;
    create(&admin, &format!("/projects/{two}/roles"), "c", &[]).await;
    let in_organization = admin.get(ROLES).await.ok();
    assert_eq!(each(&in_organization, "name"), ["a", "owner", "reader"]);
    assert_eq!(
        in_organization["data"][1]["permissions"]
            .as_array()
            .map(Vec::len),
        Some(Permission::ALL.len())
    );
    let in_project = admin.get(&format!("/projects/{one}/roles")).await.ok();
    assert_eq!(
        each(&in_project, "name"),
        ["b", "member", "owner", "viewer"]
    );
    assert_eq!(each(&in_project, "id")[3], "role-api-project-viewer");
    assert_eq!(
        in_project["data"][3],
        json!({"object": "role", "id": "role-api-project-viewer", "name": "viewer",
               "description": "May look at the project, but call no models.", "resource_type": "api.project",
               "predefined_role": true,
               "permissions": ["api.organization.usage.read", "api.organization.projects.read",
                   "api.organization.projects.users.read", "api.organization.projects.settings.read", "api.model.read"]})
    );
    // A role is not found in another scope.
    let role = &each(&in_project, "id")[0];
    for roles in [ROLES.to_owned(), format!("/projects/{two}/roles")] {
        let answer = admin.get(&format!("{roles}/{role}")).await;
        assert_eq!(answer.refused(404).0, Some("not_found"));
    }
}

#[tokio::test]
async fn pages_follow_next() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        create(&server.admin(), ROLES, name, &[]).await;
    }
    for (order, expected) in [
        ("asc", "a b c owner reader"),
        ("desc", "reader owner c b a"),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("{ROLES}?limit=2&order={order}&after={after}");
            let page = server.admin().get(&path).await.ok();
            assert_eq!(page["has_more"], !page["next"].is_null());
            seen.extend(each(&page, "name").into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.join(" "), expected);
    }
    let empty = server.admin().get(&format!("{ROLES}?limit=0")).await.ok();
    assert_eq!(
        empty,
        json!({"object": "list", "data": [], "has_more": true, "next": null})
    );
    let wrong = server
        .admin()
        .get(&format!("{ROLES}?after=role_project_owner"))
        .await;
    assert_eq!(wrong.refused(400), (Some("invalid_value"), Some("after")));
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let server = Server::start().await;
    let of_project = format!("/projects/{}/roles", project(&server).await);
    create(&server.admin(), ROLES, "Ops", &[]).await;
    create(&server.admin(), &of_project, "Ops", &[]).await;
    let role =
        |name: &str, permissions: Value| json!({"role_name": name, "permissions": permissions});
    let cases = [
        (
            ROLES,
            role("a", json!(["api.model.read", "api.nope"])),
            "permissions[1]",
        ),
        (ROLES, role("a", json!("api.model.read")), "permissions"),
        (ROLES, json!({"role_name": "a"}), "permissions"),
        (ROLES, role("", json!([])), "role_name"),
        (ROLES, role("ops", json!([])), "role_name"),
        (ROLES, role("Owner", json!([])), "role_name"),
        (of_project.as_str(), role("OPS", json!([])), "role_name"),
        (of_project.as_str(), role("viewer", json!([])), "role_name"),
        (
            of_project.as_str(),
            role("a", json!(["api.groups.read"])),
            "permissions",
        ),
        (
            ROLES,
            json!({"role_name": "a", "permissions": [], "description": "x".repeat(1001)}),
            "description",
        ),
    ];
    for (roles, body, param) in cases {
        let answer = server.admin().post(roles, body.clone()).await;
        assert_eq!(answer.refused(400).1, Some(param), "{roles} {body}");
    }
    // A name may be used in several scopes: `viewer` of projects is not a role of the organization.
    create(&server.admin(), ROLES, "viewer", &[]).await;
}

#[tokio::test]
async fn an_update_replaces_what_it_names() {
    let server = Server::start().await;
    let created = json!({"role_name": "Ops", "permissions": ["api.model.read", "api.roles.read"], "description": "d"});
    let role = server.admin().post(ROLES, created).await.ok();
    let path = format!("{ROLES}/{}", role["id"].as_str().expect("an id"));
    let changed = json!({"permissions": ["api.roles.read", "api.groups.read"], "description": null, "role_name": null});
    let updated = server.admin().post(&path, changed).await.ok();
    assert_eq!(
        updated["permissions"],
        json!(["api.roles.read", "api.groups.read"])
    );
    assert_eq!(
        (&updated["description"], &updated["name"]),
        (&Value::Null, &json!("Ops"))
    );
    assert_eq!(
        newest_event(&server).await["role.updated"],
        json!({"id": role["id"], "changes_requested": {
            "resource_type": "api.organization", "resource_id": server.organization_id(), "description": null,
            "permissions_added": ["api.groups.read"], "permissions_removed": ["api.model.read"]}})
    );
    // Changing the case of the own name is allowed.
    let renamed = server
        .admin()
        .post(&path, json!({"role_name": "OPS", "permissions": null}))
        .await
        .ok();
    assert_eq!(
        (&renamed["name"], &renamed["permissions"]),
        (&json!("OPS"), &updated["permissions"])
    );
    let event = newest_event(&server).await;
    for body in [json!({}), json!({"role_name": "OPS", "description": null})] {
        assert_eq!(server.admin().post(&path, body).await.ok(), renamed);
    }
    assert_eq!(
        newest_event(&server).await,
        event,
        "nothing changed, nothing said"
    );
}

#[tokio::test]
async fn predefined_roles_cannot_be_changed_or_deleted() {
    let server = Server::start().await;
    let project = format!("/projects/{}/roles", project(&server).await);
    for (roles, id) in [
        (ROLES, "role_organization_reader"),
        (project.as_str(), "role_project_member"),
    ] {
        let path = format!("{roles}/{id}");
        let before = server.admin().get(&path).await.ok();
        let answer = server.admin().post(&path, json!({"permissions": []})).await;
        assert_eq!(answer.refused(400).0, Some("predefined_role"));
        let answer = server.admin().delete(&path).await;
        assert_eq!(answer.refused(400).0, Some("predefined_role"));
        assert_eq!(server.admin().get(&path).await.ok(), before);
    }
}

#[tokio::test]
async fn deleting_a_role_deletes_its_assignments() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), project(&server).await);
    let roles = format!("/projects/{project}/roles");
    let role = create(&admin, &roles, "Ops", &["api.model.read"]).await;
    let id = role["id"].as_str().expect("an id");
    let group = add_group(&server, "Ops").await;
    let user = server.reader_id();
    for holder in [format!("users/{user}"), format!("groups/{group}")] {
        let path = format!("/projects/{project}/{holder}/roles");
        admin.post(&path, json!({"role_id": id})).await.ok();
    }
    let deleted = admin.delete(&format!("{roles}/{id}")).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "role.deleted", "id": id, "deleted": true})
    );
    assert_eq!(
        newest_event(&server).await["role.deleted"],
        json!({"id": id, "role_name": "Ops", "unassigned": [
            {"principal_type": "group", "principal_id": group}, {"principal_type": "user", "principal_id": user}]})
    );
    assert_eq!(
        admin.get(&format!("{roles}/{id}")).await.refused(404).0,
        Some("not_found")
    );
    for holder in [format!("users/{user}"), format!("groups/{group}")] {
        let list = admin
            .get(&format!("/projects/{project}/{holder}/roles"))
            .await
            .ok();
        assert_eq!(list["data"], json!([]));
    }
}

#[tokio::test]
async fn an_archived_project_has_no_roles() {
    let server = Server::start().await;
    let project = project(&server).await;
    let roles = format!("/projects/{project}/roles");
    create(&server.admin(), &roles, "Ops", &[]).await;
    let archive = format!("/organization/projects/{project}/archive");
    server.admin().post(&archive, json!({})).await.ok();
    let answer = server.admin().get(&roles).await;
    assert_eq!(answer.refused(400).0, Some("project_archived"));
    let one = format!("{roles}/role_project_owner");
    let answer = server.admin().get(&one).await;
    assert_eq!(answer.refused(404).0, Some("not_found"));
}
