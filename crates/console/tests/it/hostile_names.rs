//! Names that try to be markup, to turn the text around, or to break the layout.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::json;
use testkit::Server;

use crate::registry::has_history;
use crate::visitor::Visitor;

const MARKUP: &str = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>&amp;{{7*7}}";
/// Turns the following text around.
const OVERRIDE: &str = "\u{202e}";

/// Elements whose text is isolated from the text around it, or has none around it.
const ISOLATED: [&str; 7] = [
    "bdi", "title", "option", "code", "pre", "textarea", "summary",
];

#[tokio::test]
async fn hostile_names_are_text_on_every_page() {
    let server = Server::start().await;
    populate(&server).await;
    let owner = Visitor::owner(&server).await;
    let (mut seen, mut queue) = (
        BTreeSet::new(),
        vec![
            "/console/projects".to_owned(),
            "/console/search?q=e".to_owned(),
        ],
    );
    let (mut pages, mut found) = (0, 0);
    while let Some(path) = queue.pop() {
        let page = owner.get(&path).await;
        assert!(
            page.status == StatusCode::OK || page.status == StatusCode::SEE_OTHER,
            "{path}: {}",
            page.text()
        );
        pages += 1;
        assert!(
            !page.html.contains("<img") && !page.html.contains("<script>"),
            "{path}: {}",
            page.html
        );
        assert!(!page.html.contains("onerror=alert(1)>"), "{path}");
        found += page.html.matches("&#60;img src=x").count();
        if path.contains("format=csv") {
            continue;
        }
        for (at, _) in page.html.match_indices(OVERRIDE) {
            expect_isolated(&path, &page.html, at);
        }
        if has_history(&path) {
            continue;
        }
        for link in page.links() {
            if link.starts_with("/console")
                && !link.contains("format=")
                && seen.insert(link.clone())
            {
                queue.push(link);
            }
        }
    }
    assert!(pages > 150 && found > 100, "{pages} {found}");
}

/// Gives one thing of each kind each of the names.
async fn populate(server: &Server) {
    let admin = server.admin();
    let long = "w".repeat(255);
    let turned = format!("{OVERRIDE}gnp.exe{OVERRIDE} end");
    for name in [MARKUP, &turned, &long] {
        let project = admin
            .post("/organization/projects", json!({"name": name}))
            .await
            .ok();
        let project = project["id"].as_str().expect("an id").to_owned();
        let path = format!("/organization/projects/{project}/service_accounts");
        admin.post(&path, json!({"name": name})).await.ok();
        let path = format!("/organization/projects/{project}/api_keys");
        admin
            .post(&path, json!({"name": name, "user_id": server.owner_id()}))
            .await
            .ok();
        let group = admin
            .post("/organization/groups", json!({"name": name}))
            .await
            .ok();
        let group = group["id"].as_str().expect("an id").to_owned();
        let role =
            json!({"role_name": name, "description": MARKUP, "permissions": ["api.roles.read"]});
        let role = admin.post("/organization/roles", role).await.ok();
        let give = json!({"role_id": role["id"]});
        admin
            .post(&format!("/organization/groups/{group}/roles"), give.clone())
            .await
            .ok();
        admin
            .post(
                &format!("/organization/users/{}/roles", server.reader_id()),
                give,
            )
            .await
            .ok();
        let path = format!("/organization/projects/{project}/groups");
        admin
            .post(
                &path,
                json!({"group_id": group, "role": "role-api-project-member"}),
            )
            .await
            .ok();
        admin
            .post("/organization/admin_api_keys", json!({"name": name}))
            .await
            .ok();
    }
}

/// Asserts that a character is in an attribute, or in the text of an element that isolates it.
#[track_caller]
fn expect_isolated(path: &str, html: &str, at: usize) {
    let before = &html[..at];
    let (opened, closed) = (before.rfind('<'), before.rfind('>'));
    let (Some(opened), Some(closed)) = (opened, closed) else {
        panic!("{path}: text before markup");
    };
    if opened > closed {
        // Within a tag, as the value of an attribute.
        return;
    }
    let name: String = before[opened + 1..]
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    assert!(
        ISOLATED.contains(&&*name),
        "{path}: in <{name}>: {}",
        &html[opened..html.len().min(at + 80)]
            .chars()
            .take(200)
            .collect::<String>()
    );
}
