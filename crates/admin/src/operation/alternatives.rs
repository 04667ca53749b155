//! Schemas of fields that are alternatives. `not` is the form that client generators leave alone: a choice of schemas beside
//! fields would become a type for each choice.

use serde_json::{Value as Json, json};

/// Returns the schema of bodies in which both fields have values, to be refused by `not`. The first field is the usual one.
pub(crate) fn both(usual: &str, other: &str) -> Json {
    let text = json!({ "type": "string" });
    json!({ "required": [usual, other], "properties": { usual: text, other: text } })
}

/// Returns the schema of bodies in which both fields have values, or neither has one, to be refused by `not`.
pub(crate) fn both_or_neither(usual: &str, other: &str) -> Json {
    let absent = json!({ "type": "null" });
    json!({ "anyOf": [both(usual, other), { "properties": { usual: absent, other: absent } }] })
}
