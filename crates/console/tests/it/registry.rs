//! The console has a page for each operation, and each form has the fields of its operation.

use std::collections::BTreeSet;

use admin::operation::{Effect, Operation};
use http::{Method, StatusCode};
use serde_json::Value;
use testkit::Server;
use testkit::examples::{Examples, Ids, entry, resolved};

use crate::visitor::{Page, Visitor};

/// Operations that pages must run.
fn offered() -> Vec<Operation> {
    let unreachable = console::unreachable_operations();
    let elsewhere = console::operations_elsewhere();
    let is_listed = |list: &[(&str, &str)], operation: &Operation| {
        list.iter()
            .any(|(command, _)| *command == operation.command)
    };
    let all = admin::operations().into_iter();
    all.filter(|operation| operation.effect != Effect::Open)
        .filter(|operation| !is_listed(unreachable, operation) && !is_listed(elsewhere, operation))
        .collect()
}

/// Returns the addresses at which a page may be, for the filled path of an operation.
pub fn addresses(method: &Method, path: &str) -> Vec<String> {
    let page = format!(
        "/console{}",
        path.strip_prefix("/organization").unwrap_or(path)
    );
    let suffixes: &[&str] = match *method {
        Method::GET => &[""],
        Method::POST => &["/new", "/edit", ""],
        _ => &["/delete", "/end"],
    };
    suffixes
        .iter()
        .map(|suffix| format!("{page}{suffix}"))
        .collect()
}

/// Returns the page that runs an operation.
async fn page_of(owner: &Visitor, ids: &Ids, operation: &Operation) -> Page {
    let path = ids.path(operation);
    for address in addresses(&operation.method, &path) {
        let page = owner.get(&address).await;
        let is_form = page
            .html
            .contains(&format!("method=\"post\" action=\"{address}\""));
        if page.status == StatusCode::OK && (operation.method == Method::GET || is_form) {
            return page;
        }
        let is_gone = page.status == StatusCode::NOT_FOUND;
        let is_other = page.status == StatusCode::OK;
        assert!(is_gone || is_other, "{address}: {}", page.text());
    }
    panic!("no page runs `{}`: {path}", operation.command);
}

#[tokio::test]
async fn every_operation_has_a_page_whose_form_has_its_fields() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let owner = Visitor::owner(&server).await;
    let document = Examples::new(&server).document;
    let mut forms = 0;
    for operation in offered() {
        let page = page_of(&owner, &ids, &operation).await;
        if operation.method != Method::POST {
            continue;
        }
        let names: BTreeSet<String> = page.attributes("name").into_iter().collect();
        for field in fields(&document, &operation) {
            let is_there = |name: &String| {
                name.strip_prefix(&*field)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            assert!(
                names.iter().any(is_there),
                "`{}` has no field {field}: {names:?}",
                operation.command
            );
            forms += 1;
        }
    }
    assert!(forms > 50, "{forms}");
}

/// Returns the names of the fields of an operation's body.
fn fields(document: &Value, operation: &Operation) -> Vec<String> {
    let body = &entry(document, operation)["requestBody"]["content"]["application/json"]["schema"];
    if body.is_null() {
        return Vec::new();
    }
    let properties = resolved(document, body)["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

#[tokio::test]
async fn operations_with_a_page_elsewhere_run_there() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let owner = Visitor::owner(&server).await;
    let all = admin::operations();
    for (command, page) in console::operations_elsewhere() {
        let operation = all.iter().find(|operation| operation.command == *command);
        let operation = operation.unwrap_or_else(|| panic!("no operation `{command}`"));
        let page = operation
            .path_parameters()
            .fold((*page).to_owned(), |page, name| {
                page.replace(&format!("{{{name}}}"), ids.id(operation, name))
            });
        owner.get(&page).await.ok();
    }
    for (command, reason) in console::unreachable_operations() {
        assert!(
            all.iter().any(|operation| operation.command == *command),
            "{command}"
        );
        assert!(reason.ends_with('.'), "{reason}");
    }
}

#[tokio::test]
async fn every_link_of_the_console_leads_to_a_page() {
    let server = Server::start().await;
    let _ids = Ids::make(&server).await;
    let owner = Visitor::owner(&server).await;
    let (mut seen, mut queue) = (
        BTreeSet::new(),
        vec!["/console".to_owned(), "/console/projects".to_owned()],
    );
    let mut count = 0;
    while let Some(path) = queue.pop() {
        let page = owner.get(&path).await;
        let is_page = page.status == StatusCode::OK || page.status == StatusCode::SEE_OTHER;
        assert!(is_page, "{path}: {} {}", page.status, page.text());
        count += 1;
        if has_history(&path) {
            continue;
        }
        let target = page.header("location").to_owned();
        for link in page.links().into_iter().chain([target]) {
            if link.starts_with("/console") && seen.insert(kind(&link)) {
                queue.push(link);
            }
        }
    }
    assert!(count > 100, "{count}");
}

/// True if a page tells of things that may not exist any more, with links to where they were.
pub fn has_history(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/audit_logs")
}

/// Returns the kind of page that an address leads to: ids are alike.
fn kind(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let names: Vec<&str> = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .collect();
    let is_id = |segment: &&str| segment.chars().any(|character| character.is_ascii_digit());
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| if is_id(&segment) { "ID" } else { segment })
        .collect();
    format!("{}?{}", segments.join("/"), names.join("&"))
}
