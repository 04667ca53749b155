//! Differences of an event: each field that was asked to change, with the value before, as far as the log has it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::cell::text_of;

/// Maximum depth of the fields that are told apart.
const MAX_DEPTH: usize = 4;

/// A field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Path of the field, such as `permissions.models`.
    pub(crate) field: String,
    /// Value before, if an earlier event of the page or of the target says it.
    pub(crate) before: Option<String>,
    /// Value that was asked for; empty for none.
    pub(crate) after: String,
}

/// Returns the differences of an entry. `earlier` are older entries about any target, newest first.
pub(crate) fn differences(entry: &Json, earlier: &[Json]) -> Vec<Difference> {
    let (_, details) = details_of(entry);
    let changes = &details["changes_requested"];
    let is_change = changes.is_object();
    let fields = fields(if is_change { changes } else { details });
    let shown = fields.into_iter().filter(|(field, _)| field != "id");
    shown
        .map(|(field, after)| Difference {
            before: if is_change {
                value_before(entry, &field, earlier)
            } else {
                None
            },
            field: field.strip_prefix("data.").unwrap_or(&field).to_owned(),
            after,
        })
        .collect()
}

/// Returns the id of the target and the details of an entry.
fn details_of(entry: &Json) -> (&str, &Json) {
    let kind = entry["type"].as_str().unwrap_or_default();
    let details = &entry[kind];
    (details["id"].as_str().unwrap_or_default(), details)
}

/// Returns the value that the newest earlier event about the same target gave a field. Settings of a scope share the id of
/// the scope, so only events about the same noun count.
fn value_before(entry: &Json, field: &str, earlier: &[Json]) -> Option<String> {
    let (id, _) = details_of(entry);
    let same = earlier.iter().filter(|other| {
        let is_same_noun = noun(other) == noun(entry);
        is_same_noun && details_of(other).0 == id
    });
    same.into_iter().find_map(|other| {
        let (_, details) = details_of(other);
        let of = |part: &Json| fields(part).remove(field);
        of(&details["changes_requested"]).or_else(|| of(&details["data"]))
    })
}

fn noun(entry: &Json) -> &str {
    let kind = entry["type"].as_str().unwrap_or_default();
    kind.rsplit_once('.').map_or(kind, |(noun, _)| noun)
}

/// Returns the fields of an object with their values as text; fields of objects inside have a path.
fn fields(value: &Json) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect("", value, MAX_DEPTH, &mut found);
    found
}

fn collect(path: &str, value: &Json, depth: usize, found: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(object) if depth > 0 => {
            for (name, value) in object {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                collect(&path, value, depth - 1, found);
            }
        }
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(text_of).collect();
            found.insert(path.to_owned(), items.join(", "));
        }
        _ if path.is_empty() => {}
        value => {
            found.insert(path.to_owned(), text_of(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(kind: &str, details: &Json) -> Json {
        json!({"type": kind, kind: details})
    }

    #[test]
    fn a_change_says_the_value_before_if_the_log_has_it() {
        let created = entry(
            "role.created",
            &json!({"id": "role_1", "data": {"name": "Old", "permissions": ["a"]}}),
        );
        let other = entry(
            "role.updated",
            &json!({"id": "role_2", "changes_requested": {"name": "Other"}}),
        );
        let changed = entry(
            "role.updated",
            &json!({"id": "role_1", "changes_requested": {"name": "New", "permissions": ["a", "b"], "note": null}}),
        );
        let found = differences(&changed, &[other, created]);
        let shown: Vec<_> = found
            .iter()
            .map(|it| (it.field.as_str(), it.before.as_deref(), it.after.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("name", Some("Old"), "New"),
                ("note", None, ""),
                ("permissions", Some("a"), "a, b")
            ]
        );
    }

    #[test]
    fn events_without_changes_show_their_fields() {
        let created = entry(
            "x.thing.created",
            &json!({"id": "x", "data": {"limits": {"per_minute": 5}}, "count": 2}),
        );
        let found = differences(&created, &[]);
        let shown: Vec<_> = found
            .iter()
            .map(|it| (it.field.as_str(), it.after.as_str()))
            .collect();
        assert_eq!(shown, [("count", "2"), ("limits.per_minute", "5")]);
        assert!(differences(&json!({"type": "a.b"}), &[]).is_empty());
    }

    #[test]
    fn settings_of_one_project_are_told_apart() {
        let tools = entry(
            "x.hosted_tool_permissions.updated",
            &json!({"id": "proj_1", "changes_requested": {"mode": "tools"}}),
        );
        let models = entry(
            "x.model_permissions.updated",
            &json!({"id": "proj_1", "changes_requested": {"mode": "allow_list"}}),
        );
        assert_eq!(differences(&models, &[tools])[0].before, None);
    }
}
