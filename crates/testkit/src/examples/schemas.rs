//! Look-ups in the OpenAPI document.

use admin::operation::Operation;
use serde_json::{Map, Value};

/// Resolves a reference to a schema.
///
/// # Panics
/// If the reference names nothing.
#[must_use]
pub fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        None => schema,
        Some(reference) => {
            let target = document.pointer(reference.trim_start_matches('#'));
            resolved(document, target.expect(reference))
        }
    }
}

/// Returns the operation's entry in the document.
#[must_use]
pub fn entry<'a>(document: &'a Value, operation: &Operation) -> &'a Value {
    &document["paths"][operation.path][operation.method.as_str().to_lowercase()]
}

/// Returns the query parameters of an operation: names and schemas.
#[must_use]
pub fn query_parameters(document: &Value, operation: &Operation) -> Map<String, Value> {
    let parameters = entry(document, operation)["parameters"].as_array();
    let parameters = parameters.into_iter().flatten();
    parameters
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| {
            let name = parameter["name"].as_str()?;
            let schema = resolved(document, &parameter["schema"]);
            Some((name.to_owned(), schema.clone()))
        })
        .collect()
}

/// Returns true if the operation's answer is a page of a list or a report.
#[must_use]
pub fn is_list(document: &Value, operation: &Operation) -> bool {
    let reply = &entry(document, operation)["responses"]["200"]["content"];
    let reply = resolved(document, &reply["application/json"]["schema"]);
    reply["properties"].get("has_more").is_some()
}

/// Alternative fields of a body: its schema's `x-at-most-one-of` or `x-exactly-one-of` lists them, the usual one first.
pub(super) struct Alternatives {
    /// Fields that exclude the usual one.
    pub(super) omitted: Vec<String>,
    /// Optional fields without which the body lacks one of several.
    pub(super) needed: Vec<String>,
}

impl Alternatives {
    pub(super) fn of(schema: &Value) -> Self {
        let names = |list: &Value| -> Vec<String> {
            let names = list.as_array().into_iter().flatten();
            names.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let [optional, required] =
            ["x-at-most-one-of", "x-exactly-one-of"].map(|key| names(&schema[key]));
        let needed = required.first().cloned().into_iter().collect();
        let others = [optional, required]
            .into_iter()
            .flat_map(|names| names.into_iter().skip(1));
        Self {
            omitted: others.collect(),
            needed,
        }
    }
}
