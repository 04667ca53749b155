//! Lists: pages, searches, files, and the search over everything.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::Server;

use crate::visitor::Visitor;

async fn create_projects(server: &Server, count: usize) {
    for number in 0..count {
        let name = format!("Project {number:03}");
        server
            .admin()
            .post("/organization/projects", json!({"name": name}))
            .await
            .ok();
    }
}

#[tokio::test]
async fn list_is_read_page_by_page_and_as_one_file() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    create_projects(&server, 60).await;
    let first = owner.get("/console/projects").await.ok();
    first.says("Project 000");
    assert!(!first.text().contains("Project 059"));
    let next = owner.get(&first.link("after=")).await.ok();
    next.says("Project 059");
    let file = owner.get(&first.link("format=csv")).await.ok();
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert!(file.header("content-disposition").contains("projects.csv"));
    let names = file
        .html
        .lines()
        .filter(|line| line.contains("Project "))
        .count();
    assert_eq!(names, 60);
    let found = owner.get("/console/projects?search=ject+042").await.ok();
    found.says("Project 042");
    assert!(!found.text().contains("Project 041"));
    let none = owner.get("/console/projects?search=zebra").await.ok();
    none.says("Nothing matches");
}

async fn search(visitor: &Visitor, path: &str) -> Value {
    let headers = [("accept", "application/json")];
    let page = visitor.send(Method::GET, path, &headers, "").await.ok();
    assert_eq!(page.header("content-type"), "application/json");
    serde_json::from_str(&page.html).expect("JSON")
}

fn labels(found: &Value) -> Vec<&str> {
    let items = found["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["label"].as_str().expect("a label"))
        .collect()
}

#[tokio::test]
async fn search_finds_screens_projects_people_and_keys() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    create_projects(&server, 3).await;
    let path = format!(
        "/organization/projects/{}/api_keys",
        server.default_project_id()
    );
    let key = json!({"name": "Nightly import", "user_id": server.owner_id()});
    server.admin().post(&path, key).await.ok();
    for (words, expected) in [
        ("member", "Members"),
        ("project%20001", "Project 001"),
        ("rita", "Rita"),
        ("nightly", "Nightly import"),
    ] {
        let found = search(&owner, &format!("/console/search?q={words}")).await;
        assert!(labels(&found).contains(&expected), "{words}: {found}");
        for item in found["items"].as_array().expect("items") {
            let target = item["value"].as_str().expect("a target");
            owner.get(target).await.ok();
        }
    }
    // Without the script, the same is a page.
    owner.get("/console/search?q=rita").await.ok().says("Rita");
    // Who may not read members does not find them.
    let outsider = server.join("out@acme.example", "reader").await;
    let outsider = Visitor::sign_in(&server, &outsider).await;
    let found = search(&outsider, "/console/search?q=nightly").await;
    assert!(labels(&found).is_empty(), "{found}");
}

#[tokio::test]
async fn picker_searches_on_the_server() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    create_projects(&server, 130).await;
    let found = search(&owner, "/console/pick?kind=projects&q=129").await;
    assert_eq!(labels(&found), ["Project 129"]);
    let found = search(&owner, "/console/pick?kind=users&q=rita@").await;
    assert_eq!(labels(&found), ["Rita"]);
    let project = server.default_project_id();
    let roles = search(
        &owner,
        &format!("/console/pick?kind=project_roles&project_id={project}&q="),
    )
    .await;
    assert!(labels(&roles).len() >= 3, "{roles}");
    let page = owner
        .get("/console/pick?kind=project_roles&project_id=proj_unknown")
        .await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let found = search(&owner, "/console/pick?kind=nonsense").await;
    assert!(labels(&found).is_empty());
}

#[tokio::test]
async fn keys_of_all_projects_are_listed_by_what_needs_attention() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let path = format!(
        "/organization/projects/{}/api_keys",
        server.default_project_id()
    );
    for (name, seconds) in [("Short", json!(86_400)), ("Endless", json!(null))] {
        let key =
            json!({"name": name, "user_id": server.owner_id(), "expires_in_seconds": seconds});
        server.admin().post(&path, key).await.ok();
    }
    let all = owner.get("/console/api_keys").await.ok();
    all.says("Short").says("Endless");
    let soon = owner.get(&all.link("expires_before=")).await.ok();
    soon.says("Short");
    assert!(!soon.text().contains("Endless"));
    let key = owner.get(&all.link("/api_keys/key_")).await.ok();
    key.says("Rotate");
    let member = owner
        .get(&format!("/console/users/{}", server.owner_id()))
        .await
        .ok();
    member.says("Keys of projects").says("Endless");
}

#[tokio::test]
async fn what_can_be_neither_changed_nor_deleted_has_no_button() {
    let server = Server::start().await;
    server.join("mia@acme.example", "reader").await;
    let custom = json!({"role_name": "Auditor", "permissions": []});
    server
        .admin()
        .post("/organization/roles", custom)
        .await
        .ok();
    let waiting = json!({"email": "new@acme.example", "role": "reader"});
    server
        .admin()
        .post("/organization/invites", waiting)
        .await
        .ok();
    let owner = Visitor::owner(&server).await;
    let ends = async |list: &str| {
        let page = owner.get(list).await.ok();
        let links = page.links().into_iter();
        links.filter(|link| link.ends_with("/delete")).count()
    };
    assert_eq!(ends("/console/roles").await, 1, "the predefined roles stay");
    assert_eq!(
        ends("/console/invites").await,
        1,
        "an accepted invitation stays"
    );
}
