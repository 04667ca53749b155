//! The registry itself, and the document made from it.

use std::collections::BTreeSet;

use admin::operation::Effect;
use admin::operations;
use base::Permission;
use http::Method;
use serde_json::{Value, json};

#[test]
fn names_and_paths_in_the_registry_are_unique() {
    let operations = operations();
    let distinct = |names: Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    assert!(distinct(
        operations
            .iter()
            .map(|operation| operation.command.to_owned())
            .collect()
    ));
    assert!(distinct(
        operations
            .iter()
            .map(|operation| format!("{} {}", operation.method, operation.path))
            .collect()
    ));
    for operation in &operations {
        assert!(operation.about.ends_with('.'), "{}", operation.command);
        assert_eq!(
            operation.effect == Effect::Read,
            operation.method == Method::GET,
            "{}",
            operation.command
        );
    }
}

#[test]
fn our_own_document_describes_every_operation() {
    let operations = operations();
    let document = admin::operation::document(&operations);
    assert_eq!(document["openapi"], "3.1.0");
    for operation in &operations {
        let entry = &document["paths"][operation.path][operation.method.as_str().to_lowercase()];
        assert_eq!(entry["summary"], operation.about, "{}", operation.command);
        let needs = operation.needs.map(Permission::as_str);
        assert_eq!(entry["x-permission"].as_str(), needs);
        let own = operation.own.map(Permission::as_str);
        assert_eq!(entry["x-own"].as_str(), own);
        let is_open = operation.effect == Effect::Open;
        let requirements = [operation.needs.is_some(), operation.own.is_some(), is_open];
        let count = requirements.iter().filter(|one| **one).count();
        assert_eq!(count, 1, "{}", operation.command);
        assert_eq!(
            entry["security"] == json!([]),
            operation.effect == Effect::Open
        );
        assert_eq!(
            entry["x-orgplane"].as_bool().unwrap_or(false),
            operation.extension
        );
        let answers = &entry["responses"];
        assert!(answers["200"]["content"]["application/json"]["schema"].is_object());
        assert!(answers["200"]["headers"]["x-request-id"].is_object());
        assert!(answers["4XX"].is_object() && answers["5XX"].is_object());
    }
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        let pointer = reference
            .strip_prefix('#')
            .expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_document_says_what_may_be_null_and_what_must_be_sent() {
    let document = admin::operation::document(&operations());
    let schemas = &document["components"]["schemas"];
    for (schema, field) in [
        ("Invite", "accepted_at"),
        ("AssignedRole", "created_by"),
        ("AssignedRole", "created_by_user_obj"),
        ("AssignedRole", "assignment_sources"),
        ("OrganizationUser", "technical_level"),
        ("ErrorBody", "param"),
    ] {
        let field = &schemas[schema]["properties"][field];
        let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
        let kinds = [&field["type"], &field["anyOf"]];
        let mut kinds = kinds.into_iter().filter_map(Value::as_array).flatten();
        assert!(kinds.any(is_null), "{schema}: {field}");
    }
    let scopes = &schemas["UpdateProjectApiKey"]["properties"]["scopes"];
    assert_eq!(scopes["type"], "array", "null is refused");
    assert_eq!(scopes["items"]["$ref"], "#/components/schemas/Permission");
    let body = |path: &str| document["paths"][path]["post"]["requestBody"]["required"].clone();
    assert_eq!(body("/organization/projects"), true);
    assert_eq!(body("/organization/data_retention"), true);
    assert_eq!(body("/organization/users/{user_id}"), false);
    assert_eq!(
        body("/organization/projects/{project_id}/archive"),
        Value::Null
    );
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values()
                .for_each(|value| collect_references(value, references));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|value| collect_references(value, references)),
        _ => {}
    }
}
