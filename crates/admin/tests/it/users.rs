//! Users, and the protection of the last owner.

use serde_json::{Value, json};
use testkit::{NOW, Server};

const USERS: &str = "/organization/users";

fn emails(list: &Value) -> Vec<&str> {
    let items = list["data"].as_array().expect("a list");
    items
        .iter()
        .filter_map(|user| user["email"].as_str())
        .collect()
}

/// Returns the newest audit event of this type.
async fn newest(server: &Server, kind: &str) -> Value {
    let path = format!("/organization/audit_logs?event_types[]={kind}&limit=1");
    let log = server.admin().get(&path).await.ok();
    log["data"][0][kind].clone()
}

#[tokio::test]
async fn a_user_has_the_name_and_role_of_the_invitation() {
    let server = Server::start().await;
    let id = server
        .join("Grace@Acme.example", "reader")
        .await
        .to_string();
    let user = server.admin().get(&format!("{USERS}/{id}")).await.ok();
    let expected = json!({
        "object": "organization.user", "id": id, "name": "Grace@Acme.example", "email": "Grace@Acme.example",
        "role": "reader", "added_at": NOW.0, "created": NOW.0, "is_service_account": false, "is_scim_managed": false,
        "api_key_last_used_at": null, "technical_level": null, "developer_persona": null,
    });
    assert_eq!(user, expected);
}

#[tokio::test]
async fn users_are_found_by_address_regardless_of_case() {
    let server = Server::start().await;
    server.join("Grace@Acme.example", "reader").await;
    let all = server.admin().get(USERS).await.ok();
    assert_eq!(
        emails(&all),
        [
            "ada@acme.example",
            "rita@acme.example",
            "Grace@Acme.example"
        ]
    );
    for query in [
        "emails[]=GRACE@acme.example&emails[]=rita@acme.example&emails[]=nobody@acme.example",
        "emails=rita%40acme.example&emails=grace%40acme.example",
    ] {
        let found = server.admin().get(&format!("{USERS}?{query}")).await.ok();
        assert_eq!(emails(&found), ["rita@acme.example", "Grace@Acme.example"]);
    }
    let foreign = server
        .admin()
        .get(&format!("{USERS}?emails[]=eve@other.example"))
        .await
        .ok();
    assert_eq!(emails(&foreign), [""; 0]);
}

#[tokio::test]
async fn a_list_pages_through_every_user_once() {
    let server = Server::start().await;
    for number in 0..5 {
        server
            .join(&format!("u{number}@acme.example"), "reader")
            .await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{USERS}?limit=2&after={after}");
        let page = server.admin().get(&path).await.ok();
        seen.extend(emails(&page).into_iter().map(str::to_owned));
        if page["has_more"] == false {
            break;
        }
        after = page["last_id"].as_str().expect("a cursor").to_owned();
    }
    assert_eq!(seen.len(), 7);
    seen.dedup();
    assert_eq!(seen.len(), 7);
}

#[tokio::test]
async fn a_role_is_changed_by_name_or_by_id() {
    let server = Server::start().await;
    let id = server
        .join("grace@acme.example", "reader")
        .await
        .to_string();
    let path = format!("{USERS}/{id}");
    let update = async |body| server.admin().post(&path, body).await;
    assert_eq!(update(json!({"role": "owner"})).await.ok()["role"], "owner");
    let payload = newest(&server, "user.updated").await;
    assert_eq!(
        payload,
        json!({"id": id, "changes_requested": {"role": "owner"}})
    );
    let by_id = json!({"role_id": "role_organization_reader", "role": null});
    assert_eq!(update(by_id).await.ok()["role"], "reader");
    for (body, param) in [
        (json!({"role": "king"}), "role"),
        (json!({"role_id": "role_unknown"}), "role_id"),
        (json!({"role_id": "role_project_owner"}), "role_id"),
        (
            json!({"role_id": "role_organization_owner", "role": "owner"}),
            "role_id",
        ),
        (json!({"technical_level": ""}), "technical_level"),
    ] {
        assert_eq!(update(body).await.refused(400).1, Some(param));
    }
}

#[tokio::test]
async fn technical_level_and_persona_are_set_cleared_and_kept() {
    let server = Server::start().await;
    let path = format!("{USERS}/{}", server.owner_id());
    let update = async |body| {
        let user = server.admin().post(&path, body).await.ok();
        (
            user["technical_level"].clone(),
            user["developer_persona"].clone(),
        )
    };
    let both = json!({"technical_level": "expert", "developer_persona": "backend"});
    assert_eq!(update(both).await, (json!("expert"), json!("backend")));
    let payload = newest(&server, "user.updated").await;
    assert_eq!(
        payload["changes_requested"],
        json!({"technical_level": "expert", "developer_persona": "backend"})
    );
    let count = async || {
        let log = server.admin().get("/organization/audit_logs").await.ok();
        log["data"].as_array().map(Vec::len)
    };
    let before = count().await;
    for nothing in [
        json!({}),
        json!({"technical_level": "expert"}),
        json!({"role": "owner"}),
    ] {
        assert_eq!(update(nothing).await, (json!("expert"), json!("backend")));
    }
    assert_eq!(
        count().await,
        before,
        "what changes nothing is not recorded"
    );
    let cleared = json!({"developer_persona": null, "role": null, "role_id": null});
    assert_eq!(update(cleared).await, (json!("expert"), Value::Null));
}

#[tokio::test]
async fn the_last_owner_cannot_be_demoted_or_deleted() {
    let server = Server::start().await;
    let path = format!("{USERS}/{}", server.owner_id());
    let demoted = json!({"role": "reader"});
    let answer = server.admin().post(&path, demoted.clone()).await;
    assert_eq!(answer.refused(400), (Some("last_owner"), None));
    let answer = server.admin().delete(&path).await;
    assert_eq!(answer.refused(400), (Some("last_owner"), None));
    // With another owner who has a key, the first can be demoted, and the permissions of the key with the user.
    server.join("grace@acme.example", "owner").await;
    server.owner_key("grace@acme.example").await;
    server.admin().post(&path, demoted.clone()).await.ok();
    let answer = server.admin().post(&path, demoted).await;
    assert_eq!(answer.refused(403).0, Some("insufficient_permissions"));
}

#[tokio::test]
async fn the_owner_of_all_admin_keys_cannot_be_deleted() {
    let server = Server::start().await;
    server.join("grace@acme.example", "owner").await;
    let keys = server
        .admin()
        .get("/organization/admin_api_keys")
        .await
        .ok();
    let readers = keys["data"][1]["id"].as_str().expect("the reader's key");
    let path = format!("/organization/admin_api_keys/{readers}");
    server.admin().delete(&path).await.ok();
    let answer = server
        .admin()
        .delete(&format!("{USERS}/{}", server.owner_id()))
        .await;
    assert_eq!(answer.refused(400), (Some("last_admin_key"), None));
}

#[tokio::test]
async fn deleting_a_user_deletes_keys_and_memberships() {
    let server = Server::start().await;
    let admin = server.admin();
    let id = server
        .join("grace@acme.example", "reader")
        .await
        .to_string();
    let project = server.default_project_id();
    let member = json!({"user_id": id, "role": "member"});
    let users = format!("/organization/projects/{project}/users");
    admin.post(&users, member).await.ok();
    let keys = format!("/organization/projects/{project}/api_keys");
    let key = admin
        .post(&keys, json!({"name": "k", "user_id": id}))
        .await
        .ok();
    let group = admin
        .post("/organization/groups", json!({"name": "g"}))
        .await
        .ok();
    let group = group["id"].as_str().expect("an id");
    let members = format!("/organization/groups/{group}/users");
    admin.post(&members, json!({"user_id": id})).await.ok();

    let deleted = admin.delete(&format!("{USERS}/{id}")).await.ok();
    assert_eq!(
        deleted,
        json!({"object": "organization.user.deleted", "id": id, "deleted": true})
    );
    let payload = newest(&server, "user.deleted").await;
    let removed = json!({"api_keys": [key["id"]], "projects": [project], "groups": [group]});
    assert_eq!(payload, json!({"id": id, "removed": removed}));
    assert_eq!(
        admin.delete(&format!("{USERS}/{id}")).await.refused(404).0,
        Some("not_found")
    );
    assert_eq!(admin.get(&members).await.ok()["data"], json!([]));
    assert_eq!(admin.get(&keys).await.ok()["data"], json!([]));
    assert!(!admin.get(&users).await.ok().to_string().contains(&id));
    let secret = key["value"].as_str().expect("a secret");
    let request = http::Request::get("/v1/models").body(axum::body::Body::empty());
    let answer = server
        .with_key(secret)
        .send(request.expect("a request"))
        .await;
    assert_eq!(answer.refused(401).0, Some("invalid_api_key"));
    // The address can be used again.
    server.join("grace@acme.example", "reader").await;
}

/// Returns the id of a new item with a name.
async fn create(server: &Server, path: &str, name: &str) -> String {
    let made = server.admin().post(path, json!({"name": name})).await.ok();
    made["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn groups_of_a_user_are_listed() {
    let server = Server::start().await;
    let admin = server.admin();
    let user = server
        .join("grace@acme.example", "reader")
        .await
        .to_string();
    let path = format!("{USERS}/{user}/groups");
    assert_eq!(admin.get(&path).await.ok()["data"], json!([]));
    let groups = "/organization/groups";
    for name in ["Engineers", "Operators", "Others"] {
        let group = create(&server, groups, name).await;
        if name != "Others" {
            let users = format!("{groups}/{group}/users");
            admin.post(&users, json!({"user_id": user})).await.ok();
        }
    }
    let first = admin.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!(first["data"][0]["name"], "Engineers");
    assert_eq!(first["has_more"], true);
    let after = first["last_id"].as_str().expect("an id");
    let next = admin.get(&format!("{path}?after={after}")).await.ok();
    assert_eq!(next["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(next["data"][0]["name"], "Operators");
}

#[tokio::test]
async fn projects_of_a_user_are_those_with_a_role_directly_or_through_a_group() {
    let server = Server::start().await;
    let admin = server.admin();
    let user = server
        .join("grace@acme.example", "reader")
        .await
        .to_string();
    let path = format!("{USERS}/{user}/projects");
    assert_eq!(admin.get(&path).await.ok()["data"], json!([]));
    let group = create(&server, "/organization/groups", "Engineers").await;
    let users = format!("/organization/groups/{group}/users");
    admin.post(&users, json!({"user_id": user})).await.ok();
    let projects = "/organization/projects";
    let mut ids = Vec::new();
    for name in ["Own", "By a group", "Foreign", "Archived"] {
        ids.push(create(&server, projects, name).await);
    }
    for project in [&ids[0], &ids[3]] {
        let users = format!("{projects}/{project}/users");
        let member = json!({"user_id": user, "role": "owner"});
        admin.post(&users, member).await.ok();
    }
    let roles = format!("/projects/{}/groups/{group}/roles", ids[1]);
    let role = json!({"role_id": "role-api-project-viewer"});
    admin.post(&roles, role).await.ok();
    let archive = format!("{projects}/{}/archive", ids[3]);
    admin.post(&archive, json!({})).await.ok();
    let own = json!({
        "object": "organization.user.project", "id": ids[0], "name": "Own", "role": "owner", "added_at": NOW.0,
    });
    let by_group = json!({
        "object": "organization.user.project", "id": ids[1], "name": "By a group", "role": null, "added_at": null,
    });
    assert_eq!(admin.get(&path).await.ok()["data"], json!([own, by_group]));
}

#[tokio::test]
async fn memberships_of_a_user_of_another_organization_are_not_found() {
    let server = Server::start().await;
    let user = server.owner_id();
    for collection in ["groups", "projects"] {
        let path = format!("{USERS}/user-unknown/{collection}");
        assert_eq!(server.admin().get(&path).await.status, 404, "{path}");
        let path = format!("{USERS}/{user}/{collection}");
        assert_eq!(server.stranger().get(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn lists_are_restricted_to_ids() {
    let server = Server::start().await;
    let admin = server.admin();
    let projects = "/organization/projects";
    let one = create(&server, projects, "One").await;
    let two = create(&server, projects, "Two").await;
    let keys = format!("{projects}/{one}/api_keys");
    let owner = server.owner_id().to_string();
    let mut made = Vec::new();
    for name in ["a", "b"] {
        let key = json!({"name": name, "user_id": owner});
        let key = admin.post(&keys, key).await.ok();
        made.push(key["id"].as_str().expect("an id").to_owned());
    }
    admin
        .post(&format!("{projects}/{two}/archive"), json!({}))
        .await
        .ok();
    let reader = server.reader_id().to_string();
    let both = format!("{one},{two}");
    for (path, ids, expected) in [
        (projects, both.as_str(), vec![one.as_str()]),
        (
            "/organization/projects?include_archived=true",
            &both,
            vec![&one, &two],
        ),
        (USERS, &reader, vec![&reader]),
        (USERS, "user-unknown", vec![]),
        ("/organization/api_keys", &made[1], vec![&made[1]]),
    ] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let found = admin.get(&format!("{path}{separator}ids={ids}")).await.ok();
        let found: Vec<&str> = found["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| item["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(found, expected, "{path} {ids}");
    }
    // Ids of another organization are none.
    let foreign = format!("{projects}?ids={}", server.stranger_project_id());
    assert_eq!(admin.get(&foreign).await.ok()["data"], json!([]));
}
