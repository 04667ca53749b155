//! Search in lists, as pickers use it.

use serde_json::{Value, json};
use testkit::{Client, Server};

/// Returns the fields of the items that are found.
async fn found(client: &Client, path: &str, search: &str, field: &str) -> Vec<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let answer = client
        .get(&format!("{path}{separator}search={search}"))
        .await;
    let page = answer.ok();
    let items = page["data"].as_array().expect("items").iter();
    items
        .map(|item| item[field].as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test]
async fn part_of_a_name_in_any_case_is_found_in_every_list_of_a_picker() {
    let server = Server::start().await;
    let admin = server.admin();
    let project = server.default_project_id();
    let accounts = format!("/organization/projects/{project}/service_accounts");
    let project_roles = format!("/projects/{project}/roles");
    for (path, field) in [
        ("/organization/projects", "name"),
        ("/organization/groups", "name"),
        (accounts.as_str(), "name"),
        ("/organization/roles", "role_name"),
        (project_roles.as_str(), "role_name"),
    ] {
        let names = [
            "Search engine",
            "Research",
            "Ärzte 100%",
            "a_b",
            "aXb",
            "wow!",
        ];
        for name in names {
            let mut body = json!({field: name});
            if field == "role_name" {
                body["permissions"] = json!([]);
            }
            admin.post(path, body).await.ok();
        }
        for (search, expected) in [
            ("SEARCH", &names[..2]),
            ("engine", &names[..1]),
            // U+00C4 and U+00E4.
            ("%C3%A4rzte", &names[2..3]),
            ("%C3%84RZTE", &names[2..3]),
            ("100%25", &names[2..3]),
            ("a_b", &names[3..4]),
            ("w!", &names[5..]),
            ("nothing", &[]),
        ] {
            let found = found(&admin, path, search, "name").await;
            assert_eq!(found, expected, "{path} {search}");
        }
        let all = admin.get(path).await.ok();
        assert_eq!(admin.get(&format!("{path}?search=")).await.ok(), all);
        let long = "x".repeat(101);
        let refused = admin.get(&format!("{path}?search={long}")).await;
        assert_eq!(refused.refused(400).1, Some("search"), "{path}");
    }
}

#[tokio::test]
async fn user_is_found_by_name_and_by_address() {
    let server = Server::start().await;
    let admin = server.admin();
    server.join("grace@navy.example", "reader").await;
    let users = "/organization/users";
    for (search, expected) in [
        ("RITA", &["rita@acme.example"][..]),
        ("navy", &["grace@navy.example"]),
        ("@ACME", &["ada@acme.example", "rita@acme.example"]),
        ("nobody", &[]),
    ] {
        let found = found(&admin, users, search, "email").await;
        assert_eq!(found, expected, "{search}");
    }
    // Filters apply together.
    let both = found(
        &admin,
        "/organization/users?emails=ada@acme.example",
        "rita",
        "email",
    )
    .await;
    assert_eq!(both, Vec::<String>::new());
}

#[tokio::test]
async fn roles_of_a_user_are_searched_too() {
    let server = Server::start().await;
    let admin = server.admin();
    let path = format!("/organization/users/{}/roles", server.owner_id());
    for name in ["Auditor", "Operator"] {
        let role = json!({"role_name": name, "permissions": []});
        let role: Value = admin.post("/organization/roles", role).await.ok();
        admin.post(&path, json!({"role_id": role["id"]})).await.ok();
    }
    assert_eq!(found(&admin, &path, "audit", "name").await, ["Auditor"]);
}

#[tokio::test]
async fn page_of_a_search_goes_on_after_its_last_item() {
    let server = Server::start().await;
    let admin = server.admin();
    let projects = "/organization/projects";
    for name in ["match 1", "other", "match 2", "match 3"] {
        admin.post(projects, json!({"name": name})).await.ok();
    }
    let first = admin
        .get(&format!("{projects}?search=match&limit=2"))
        .await
        .ok();
    assert_eq!(first["has_more"], true);
    let last = first["last_id"].as_str().expect("a cursor");
    let second = found(
        &admin,
        &format!("{projects}?limit=2&after={last}"),
        "match",
        "name",
    )
    .await;
    assert_eq!(second, ["match 3"]);
}
