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

/// Alternative fields of a body, as its schema's `not` says.
pub(super) struct Alternatives {
    /// Fields that exclude the first one beside them.
    pub(super) omitted: Vec<String>,
    /// Optional fields without which the body lacks one of several.
    pub(super) needed: Vec<String>,
}

impl Alternatives {
    pub(super) fn of(schema: &Value) -> Self {
        let refused = &schema["not"];
        let each = refused["anyOf"].as_array();
        let each = each.map_or(std::slice::from_ref(refused), Vec::as_slice);
        let names = |list: &Value| -> Vec<String> {
            let names = list.as_array().into_iter().flatten();
            names.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        // Fields that must not be given together.
        let together = each.iter().map(|one| names(&one["required"]));
        let omitted: Vec<String> = together
            .flat_map(|names| names.into_iter().skip(1))
            .collect();
        // Fields that must not all be absent.
        let absent = each.iter().filter(|one| one.get("required").is_none());
        let absent = absent.filter_map(|one| one["properties"].as_object());
        let needed = absent.flat_map(|fields| fields.keys().find(|name| !omitted.contains(name)));
        Self {
            needed: needed.cloned().collect(),
            omitted,
        }
    }
}
