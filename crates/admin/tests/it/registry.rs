//! The registry itself, and the document made from it.

use std::collections::BTreeSet;

use admin::operation::Effect;
use admin::operations;
use base::Permission;
use http::Method;
use serde_json::{Value, json};
use testkit::Server;

#[test]
fn the_registry_names_everything_once() {
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
        assert_eq!(
            entry["security"] == json!([]),
            operation.effect == Effect::Open
        );
        assert_eq!(
            entry["x-orgplane"].as_bool().unwrap_or(false),
            operation.extension
        );
        assert!(entry["responses"]["200"]["content"]["application/json"]["schema"].is_object());
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

#[tokio::test]
async fn what_is_null_may_be_null_in_our_own_document() {
    let server = Server::start().await;
    let document = admin::operation::document(&operations());
    let users = "/organization/users";
    let user = server.admin().get(users).await.ok()["data"][0]["id"].clone();
    let user = user.as_str().expect("an id");
    for (path, template) in [
        (users.to_owned(), users),
        (
            format!("{users}/{user}/roles"),
            "/organization/users/{user_id}/roles",
        ),
    ] {
        let answer = server.admin().get(&path).await.ok();
        let response = &document["paths"][template]["get"]["responses"]["200"];
        let schema = &response["content"]["application/json"]["schema"];
        let nulls = documented_nulls(&document, schema, &answer);
        assert!(nulls > 0, "{path}: {answer} tests nothing");
    }
}

/// How many nulls a value has. Each must be one that its schema allows.
fn documented_nulls(document: &Value, schema: &Value, value: &Value) -> usize {
    let target = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    if let Some(schema) = target.and_then(|target| document.pointer(target)) {
        return documented_nulls(document, schema, value);
    }
    match value {
        Value::Null => {
            let types = schema["type"].as_array().into_iter().flatten();
            let choices = schema["anyOf"].as_array().into_iter().flatten();
            let mut all = types.chain(choices.map(|choice| &choice["type"]));
            assert!(all.any(|kind| kind == "null"), "never null: {schema}");
            1
        }
        Value::Array(items) => items
            .iter()
            .map(|item| documented_nulls(document, &schema["items"], item))
            .sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| documented_nulls(document, &schema["properties"][name], field))
            .sum(),
        _ => 0,
    }
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
