//! The console allows what the API allows, for every kind of visitor.

use std::sync::Arc;

use admin::operation::{Effect, Operation};
use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::json;
use testkit::Server;
use testkit::examples::Ids;

use crate::registry::addresses;
use crate::visitor::Visitor;

/// Returns the status of the API's answer to the visitor.
async fn api_status(
    server: &Server,
    visitor: &Visitor,
    operation: &Operation,
    path: &str,
) -> StatusCode {
    let services: &Arc<_> = server.services();
    let signed_in = admin::sessions::authenticate(services, visitor.token()).await;
    let caller = signed_in.expect("a session").caller;
    let request = Request::builder()
        .method(operation.method.clone())
        .uri(format!("/v1{path}"))
        .header("content-type", "application/json")
        .body(Body::empty())
        .expect("a request");
    operation
        .answer_as(services, caller, request)
        .await
        .status()
}

#[tokio::test]
async fn what_the_api_refuses_the_console_refuses_and_names_the_permission() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let project = ids.at("/organization/projects/{project_id}").id.clone();
    let member = server.join("mia@acme.example", "reader").await;
    let path = format!("/organization/projects/{project}/users");
    let body = json!({"user_id": member, "role": "member"});
    server.admin().post(&path, body).await.ok();
    let owner = Visitor::owner(&server).await;
    let reader = Visitor::sign_in(&server, server.reader_id()).await;
    let member = Visitor::sign_in(&server, &member).await;
    let (mut refused, mut disabled) = (0, 0);
    for operation in admin::operations() {
        let Some(needs) = operation.needs else {
            continue;
        };
        if operation.effect == Effect::Ingest || operation.path.contains("/usage/") {
            continue;
        }
        let path = ids.path(&operation);
        let mut pages = Vec::new();
        for address in addresses(&operation.method, &path) {
            let page = owner.get(&address).await;
            let is_form = page
                .html
                .contains(&format!("method=\"post\" action=\"{address}\""));
            if page.status == StatusCode::OK && (operation.method == Method::GET || is_form) {
                pages.push(address);
            }
        }
        for visitor in [&reader, &member] {
            for address in &pages {
                let page = visitor.get(address).await;
                if operation.method == Method::GET {
                    let api = api_status(&server, visitor, &operation, &path).await;
                    assert_eq!(page.status, api, "{address}");
                    if api == StatusCode::FORBIDDEN {
                        page.says(needs.as_str());
                        refused += 1;
                    }
                    continue;
                }
                let may = may_write(&server, visitor, &operation, &project).await;
                if page.status == StatusCode::OK {
                    let is_disabled = page.text().contains("Needs the permission");
                    assert_eq!(is_disabled, !may, "{address}");
                    disabled += usize::from(is_disabled);
                } else {
                    assert!(!may, "{address}: {}", page.text());
                }
            }
        }
    }
    assert!(refused > 30 && disabled > 3, "{refused} {disabled}");
}

/// True if the visitor has the permission of an operation, in the organization or in the project that its path names.
async fn may_write(
    server: &Server,
    visitor: &Visitor,
    operation: &Operation,
    project: &str,
) -> bool {
    let services = server.services();
    let signed_in = admin::sessions::authenticate(services, visitor.token()).await;
    let caller = signed_in.expect("a session").caller;
    let me = admin::operations();
    let me = me
        .iter()
        .find(|operation| operation.command == "me retrieve");
    let request = Request::builder()
        .uri("/v1/organization/me")
        .body(Body::empty());
    let answer = me
        .expect("an operation")
        .answer_as(services, caller, request.expect("a request"))
        .await;
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX)
        .await
        .expect("a body");
    let me: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let needs = json!(operation.needs.map(|permission| permission.as_str()));
    let has = |permissions: &serde_json::Value| {
        permissions
            .as_array()
            .is_some_and(|names| names.contains(&needs))
    };
    let mut projects = me["projects"].as_array().expect("projects").iter();
    has(&me["permissions"])
        || operation.path.contains("{project_id}")
            && projects.any(|own| own["id"] == project && has(&own["permissions"]))
}

#[tokio::test]
async fn controls_without_permission_are_disabled_and_name_it() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    owner.get("/console/users").await.ok();
    let reader = Visitor::sign_in(&server, server.reader_id()).await;
    let page = reader.get("/console/projects").await.ok();
    let disabled = "disabled title=\"Needs api.organization.projects.write\"";
    assert!(page.html.contains(disabled), "{}", page.html);
    assert!(!page.links().iter().any(|link| link.ends_with("/new")));
    let refused = reader.post("/console/projects/new", &[("name", "X")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    refused.says("You need the permission api.organization.projects.write");
    let page = reader.get("/console").await.ok();
    assert!(
        !page
            .links()
            .iter()
            .any(|link| link == "/console/audit_logs"),
        "{:?}",
        page.links()
    );
}

#[tokio::test]
async fn things_of_another_organization_do_not_exist() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let foreign = server.stranger_project_id();
    for page in ["", "/api_keys", "/users", "/rate_limits"] {
        let page = owner
            .get(&format!("/console/projects/{foreign}{page}"))
            .await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{}", page.path);
    }
}
