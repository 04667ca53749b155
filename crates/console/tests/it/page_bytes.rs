//! Bytes of pages, as browsers get them.

use std::collections::BTreeMap;

use http::{Method, header};
use serde_json::json;
use testkit::{NOW, Server, ServerOptions};
use usage::PriceBook;

use crate::visitor::Visitor;

/// Maximum length of a page, compressed.
const MAX_PAGE_BYTES: usize = 20_000;
/// Number of items of each kind: more than a page has.
const ITEM_COUNT: usize = 60;
const MODEL_COUNT: usize = 12;
/// Headers of a browser on a page of the server.
const BROWSER: [(&str, &str); 2] = [
    ("sec-fetch-site", "same-origin"),
    ("accept-encoding", "gzip, br"),
];

/// Creates more of everything than a page shows, with usage on 30 days.
async fn populate(server: &Server) {
    let admin = server.admin();
    let mut events = Vec::new();
    for number in 0..ITEM_COUNT {
        let name = json!({"name": format!("Team {number:03} of the department")});
        let project = admin.post("/organization/projects", name).await.ok();
        let project = project["id"].as_str().expect("an id").to_owned();
        let user = server
            .join(&format!("person{number}@acme.example"), "reader")
            .await;
        let key = json!({"name": format!("Key {number}"), "user_id": server.owner_id()});
        let path = format!("/organization/projects/{project}/api_keys");
        let key = admin.post(&path, key).await.ok();
        let amount = i64::try_from(number).expect("small");
        for day in 0..6 {
            events.push(json!({
                "id": format!("event-{number}-{day}"), "timestamp": NOW.0 - (day * 5 + amount % 5) * 86_400, "type": "completions",
                "project_id": project, "user_id": user, "api_key_id": key["id"], "model": format!("model-{}", number % MODEL_COUNT),
                "num_model_requests": 1 + amount, "input_tokens": 7_919 * (amount + day), "output_tokens": 104_729 * (amount + 1),
            }));
        }
    }
    admin
        .post("/organization/usage/events", events.into())
        .await
        .ok();
}

async fn start() -> Server {
    let price = |number| {
        format!(
            "[[price]]\nmodel = 'model-{number}'\neffective = '2025-01-01'\ninput = '1.{number:02}'\noutput = '10.00'\n"
        )
    };
    let prices: String = (0..MODEL_COUNT).map(price).collect();
    let prices = PriceBook::parse(&prices).expect("prices");
    let options = ServerOptions {
        prices,
        ..ServerOptions::default()
    };
    let server = Server::with(options).await;
    populate(&server).await;
    server
}

#[tokio::test]
async fn no_page_of_a_large_organization_takes_more_than_20_kilobytes() {
    let server = start().await;
    let owner = Visitor::owner(&server).await;
    let project = owner.get("/console/projects").await.ok();
    let project = project.link("/console/projects/proj_");
    let mut sizes = BTreeMap::new();
    let paths = [
        "/console",
        "/console/usage/completions",
        "/console/usage/events",
        "/console/costs",
        "/console/costs?group=api_key_id",
        "/console/costs?range=90d",
        "/console/spend",
        "/console/audit_logs",
        "/console/projects",
        "/console/users",
        "/console/api_keys",
        "/console/roles",
        "/console/me",
        "/console/me/usage",
        "/console/me/preferences",
        "/console/catalogue",
        &format!("/console/users/{}", server.owner_id()),
        &project,
        &format!("{project}/rate_limits"),
        "/console/invites/new",
        &format!("{project}/model_permissions"),
    ];
    for path in paths {
        let plain = owner.get(path).await.ok();
        let packed = owner.bytes(path, &BROWSER).await;
        assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip", "{path}");
        assert!(packed.bytes.len() < plain.html.len(), "{path}");
        sizes.insert(path.to_owned(), packed.bytes.len());
    }
    let large = sizes.iter().filter(|(_, bytes)| **bytes > MAX_PAGE_BYTES);
    assert_eq!(large.count(), 0, "{sizes:#?}");
}

#[tokio::test]
async fn a_page_that_another_site_asks_for_reveals_nothing_by_its_length() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let path = "/console/projects?search=x";
    for site in ["cross-site", "same-site"] {
        let headers = [("sec-fetch-site", site), ("accept-encoding", "gzip")];
        let page = owner.bytes(path, &headers).await;
        assert!(
            !page.headers.contains_key(header::CONTENT_ENCODING),
            "{site}"
        );
    }
    // A secret is in the answer to a form.
    let form = owner.get("/console/admin_api_keys/new").await.ok();
    drop(form);
    let body = "name=Secret";
    let page = owner
        .send(Method::POST, "/console/admin_api_keys/new", &BROWSER, body)
        .await
        .ok();
    page.says("Copy the key now");
    assert!(!page.headers.contains_key(header::CONTENT_ENCODING));
}
