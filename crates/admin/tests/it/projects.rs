//! Projects: created, listed, changed, archived.

use serde_json::{Value, json};
use testkit::{NOW, Server};

const PROJECTS: &str = "/organization/projects";

fn names(list: &Value) -> Vec<&str> {
    let items = list["data"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn a_project_shows_the_values_of_its_creation() {
    let server = Server::start().await;
    let created = server
        .admin()
        .post(
            PROJECTS,
            json!({"name": " Search ", "external_key_id": "key_1"}),
        )
        .await
        .ok();
    let id = created["id"].as_str().expect("an id");
    assert_eq!(
        created,
        json!({
            "object": "organization.project", "id": id, "name": "Search", "created_at": NOW.0, "archived_at": null,
            "status": "active", "external_key_id": "key_1",
        })
    );
    assert_eq!(
        server.admin().get(&format!("{PROJECTS}/{id}")).await.ok(),
        created
    );
}

#[tokio::test]
async fn residency_and_geography_exclude_each_other() {
    let server = Server::start().await;
    let created = server
        .admin()
        .post(
            PROJECTS,
            json!({"name": "a", "residency": "EU_STORAGE_PROCESSING"}),
        )
        .await
        .ok();
    assert_eq!(created["residency"], "EU_STORAGE_PROCESSING");
    server
        .admin()
        .post(PROJECTS, json!({"name": "b", "geography": "EU"}))
        .await
        .ok();
    let both = server
        .admin()
        .post(
            PROJECTS,
            json!({"name": "c", "residency": "GLOBAL", "geography": "EU"}),
        )
        .await;
    assert_eq!(
        both.refused(400),
        (Some("invalid_value"), Some("geography"))
    );
    let unknown = server
        .admin()
        .post(PROJECTS, json!({"name": "c", "residency": "MARS"}))
        .await;
    assert_eq!(unknown.refused(400).1, Some("residency"));
}

#[tokio::test]
async fn a_list_pages_through_every_project_once() {
    let server = Server::start().await;
    for number in 0..7 {
        server
            .admin()
            .post(PROJECTS, json!({"name": format!("p{number}")}))
            .await
            .ok();
    }
    let mut seen = Vec::new();
    let mut path = format!("{PROJECTS}?limit=3");
    loop {
        let page = server.admin().get(&path).await.ok();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        // Additions during paging neither hide nor repeat items.
        server
            .admin()
            .post(PROJECTS, json!({"name": "later"}))
            .await
            .ok();
        let (first, last) = (
            &page["data"][0]["id"],
            &page["data"]
                .as_array()
                .and_then(|data| data.last())
                .expect("an item")["id"],
        );
        assert_eq!((&page["first_id"], &page["last_id"]), (first, last));
        if seen.len() >= 8 {
            break;
        }
        assert_eq!(page["has_more"], true);
        path = format!(
            "{PROJECTS}?limit=3&after={}",
            page["last_id"].as_str().expect("a cursor")
        );
    }
    assert_eq!(
        seen[..8],
        ["Default project", "p0", "p1", "p2", "p3", "p4", "p5", "p6"]
    );
}

#[tokio::test]
async fn limits_and_cursors_are_checked() {
    let server = Server::start().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("after=nope", "after"),
    ] {
        assert_eq!(
            server
                .admin()
                .get(&format!("{PROJECTS}?{query}"))
                .await
                .refused(400)
                .1,
            Some(param),
            "{query}"
        );
    }
    let foreign = format!("{PROJECTS}?after={}", server.stranger_project_id());
    assert_eq!(
        server.admin().get(&foreign).await.refused(400).1,
        Some("after")
    );
    assert_eq!(
        names(
            &server
                .admin()
                .get(&format!("{PROJECTS}?limit=1000&after="))
                .await
                .ok()
        ),
        ["Default project"]
    );
    let last = format!("{PROJECTS}?after={}", server.default_project_id());
    let empty = server.admin().get(&last).await.ok();
    assert_eq!(
        empty,
        json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false})
    );
}

#[tokio::test]
async fn the_id_of_a_key_is_bounded() {
    let server = Server::start().await;
    for id in ["", "  ", "a\nb", &"x".repeat(129)] {
        let body = json!({"name": "a", "external_key_id": id});
        let answer = server.admin().post(PROJECTS, body).await;
        assert_eq!(
            answer.refused(400),
            (Some("invalid_value"), Some("external_key_id")),
            "{id:?}"
        );
    }
    let longest = json!({"name": "a", "external_key_id": "ü".repeat(128)});
    server.admin().post(PROJECTS, longest).await.ok();
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let server = Server::start().await;
    let created = server
        .admin()
        .post(PROJECTS, json!({"name": "a", "external_key_id": "key_1"}))
        .await
        .ok();
    let path = format!("{PROJECTS}/{}", created["id"].as_str().expect("an id"));
    assert_eq!(server.admin().post(&path, json!({})).await.ok(), created);
    assert_eq!(
        server.admin().post(&path, json!({"name": null})).await.ok(),
        created
    );
    let renamed = server.admin().post(&path, json!({"name": "b"})).await.ok();
    assert_eq!(
        (&renamed["name"], &renamed["external_key_id"]),
        (&json!("b"), &json!("key_1"))
    );
    let cleared = server
        .admin()
        .post(&path, json!({"external_key_id": null}))
        .await
        .ok();
    assert_eq!(
        (&cleared["name"], &cleared["external_key_id"]),
        (&json!("b"), &Value::Null)
    );
    let updates = server
        .admin()
        .get("/organization/audit_logs?event_types[]=project.updated")
        .await
        .ok();
    let requested: Vec<_> = updates["data"].as_array().expect("a list").iter().collect();
    assert_eq!(
        requested.len(),
        2,
        "an update that changes nothing is no event"
    );
    assert_eq!(
        requested[1]["project.updated"]["changes_requested"],
        json!({"title": "b"})
    );
}

#[tokio::test]
async fn the_default_project_cannot_be_changed_or_archived() {
    let server = Server::start().await;
    let path = format!("{PROJECTS}/{}", server.default_project_id());
    assert_eq!(
        server
            .admin()
            .post(&path, json!({"name": "x"}))
            .await
            .refused(400)
            .0,
        Some("default_project")
    );
    assert_eq!(
        server
            .admin()
            .post(&format!("{path}/archive"), json!({}))
            .await
            .refused(400)
            .0,
        Some("default_project")
    );
}

/// Creates a project with a service account and archives it a minute later. Returns both ids.
async fn archived(server: &Server) -> (String, String) {
    let text = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    let id = text(
        &server
            .admin()
            .post(PROJECTS, json!({"name": "a"}))
            .await
            .ok(),
    );
    let path = format!("{PROJECTS}/{id}");
    let account = json!({"name": "a"});
    let account = server
        .admin()
        .post(&format!("{path}/service_accounts"), account)
        .await;
    server.clock.advance(60);
    let archived = server
        .admin()
        .post(&format!("{path}/archive"), json!({}))
        .await
        .ok();
    let state = (&archived["status"], &archived["archived_at"]);
    assert_eq!(state, (&json!("archived"), &json!(NOW.0 + 60)));
    (id, text(&account.ok()))
}

#[tokio::test]
async fn an_archived_project_refuses_every_change() {
    let server = Server::start().await;
    let (id, account) = archived(&server).await;
    let path = format!("{PROJECTS}/{id}");
    let accounts = format!("{path}/service_accounts");
    let account = format!("{accounts}/{account}");
    for (method, path) in [
        ("POST", path.clone()),
        ("POST", format!("{path}/archive")),
        ("POST", accounts.clone()),
        ("GET", accounts.clone()),
    ] {
        let is_named = !path.ends_with("/archive") && method == "POST";
        let body = is_named.then(|| json!({"name": "b"}).to_string());
        let method = method.parse().expect("a method");
        let answer = server.admin().call(method, &path, body).await;
        assert_eq!(answer.refused(400).0, Some("project_archived"), "{path}");
    }
    for method in ["GET", "DELETE"] {
        let method = method.parse().expect("a method");
        let answer = server.admin().call(method, &account, None).await;
        assert_eq!(answer.refused(404).0, Some("not_found"));
    }
}

#[tokio::test]
async fn an_archived_project_has_no_members_and_is_listed_on_request() {
    let server = Server::start().await;
    let (id, _) = archived(&server).await;
    let get = async |path: String| server.admin().get(&path).await.ok();
    assert_eq!(
        get(format!("{PROJECTS}/{id}/api_keys")).await["data"],
        json!([])
    );
    assert_eq!(names(&get(PROJECTS.to_owned()).await), ["Default project"]);
    let all = get(format!("{PROJECTS}?include_archived=true")).await;
    assert_eq!(names(&all), ["Default project", "a"]);
    let after = get(format!("{PROJECTS}?after={id}")).await;
    assert_eq!(after["data"], json!([]), "its id is still a cursor");
}
