//! Answers of every reading operation: recorded before an upgrade, compared after it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::Api;

/// Members whose values depend on the time of the reading, or on how many items a page has.
const TRANSIENT: &[&str] = &[
    "api_key_last_used_at",
    "first_id",
    "has_more",
    "last_id",
    "last_used_at",
    "status",
];
/// Operations of reports, which need a span of time.
const REPORTS: &[&str] = &[
    "/organization/costs",
    "/organization/usage/",
    "/organization/me/costs",
    "/organization/me/usage/",
];
/// Ends of the paths of reports that have no buckets.
const WITHOUT_BUCKETS: [&str; 3] = ["/events", "/refusals", "/unpriced"];
/// Ends of the paths of operations that tell of this moment.
const MOMENTARY: [&str; 2] = ["/limits_now", "/audit_logs/verification"];

/// Reads every `GET` of the OpenAPI document and returns the answers by path. `ids` has the values of the parameters of
/// paths; `span` is the query of reports.
///
/// # Panics
/// An answer is refused, or a list has no item.
pub(super) async fn record(
    admin: &Api,
    ids: &BTreeMap<&str, String>,
    span: &str,
) -> BTreeMap<String, Value> {
    let document = include_str!("../../../../../openapi.json");
    let document: Value = serde_json::from_str(document).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut answers = BTreeMap::new();
    for (template, methods) in paths {
        let is_momentary = MOMENTARY.iter().any(|end| template.ends_with(end));
        if methods.get("get").is_none() || is_momentary {
            continue;
        }
        let path = path(template, ids, span);
        let answer = admin.get(&path).await;
        let is_empty_list = answer["data"].as_array().is_some_and(Vec::is_empty);
        // Sessions end by themselves, so none is recorded.
        let may_be_empty = template.ends_with("/sessions");
        assert!(
            !is_empty_list || may_be_empty,
            "`filled` must leave an item in {path}"
        );
        answers.insert(path, answer);
    }
    answers
}

/// Fills the parameters of a path, as `{user_id}`.
fn path(template: &str, ids: &BTreeMap<&str, String>, span: &str) -> String {
    let mut path = template.to_owned();
    for (name, id) in ids {
        path = path.replace(&format!("{{{name}}}"), id);
    }
    // A predefined role is not in the list of a project's own ones.
    let in_project = path.starts_with("/projects/") && path.contains("/roles/");
    if in_project {
        path = path.replace(&ids["role_id"], &ids["project_role_id"]);
    }
    let in_project = path.starts_with("/organization/projects/") && path.contains("/spend_alerts/");
    if in_project {
        path = path.replace(&ids["alert_id"], &ids["project_alert_id"]);
    }
    assert!(!path.contains('{'), "`filled` must know the id of {path}");
    if path.ends_with("/audit_logs") {
        path.push_str("?limit=100");
    }
    if REPORTS.iter().any(|report| path.starts_with(report)) {
        let days = span
            .split_once("&bucket_width")
            .map_or(span, |(days, _)| days);
        let is_without_buckets = WITHOUT_BUCKETS.iter().any(|end| path.ends_with(end));
        path.push_str(if is_without_buckets { days } else { span });
    }
    path
}

/// Reads the paths again.
///
/// # Panics
/// A recorded value is missing or different. Values added since pass.
pub(super) async fn compare(admin: &Api, recorded: &BTreeMap<String, Value>) {
    assert!(recorded.len() > 40, "{} answers", recorded.len());
    for (path, before) in recorded {
        let after = whole(admin, path).await;
        assert!(
            contains(&after, before),
            "{path}\nbefore: {before}\nafter: {after}"
        );
    }
}

/// Reads a path, and if it is a list, all of its pages.
async fn whole(admin: &Api, path: &str) -> Value {
    let mut whole = admin.get(path).await;
    while whole["has_more"] == true
        && let Some(last) = whole["last_id"].as_str()
    {
        let start = if path.contains('?') { '&' } else { '?' };
        let mut next = admin.get(&format!("{path}{start}after={last}")).await;
        let items = whole["data"].as_array_mut().expect("a list");
        items.append(next["data"].as_array_mut().expect("a list"));
        for name in ["has_more", "last_id"] {
            whole[name] = next[name].take();
        }
    }
    whole
}

fn contains(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => before
            .iter()
            .all(|(name, value)| has_member(after, name, value)),
        (Value::Array(after), Value::Array(before)) => before
            .iter()
            .all(|item| after.iter().any(|candidate| contains(candidate, item))),
        _ => after == before,
    }
}

fn has_member(after: &Map<String, Value>, name: &str, before: &Value) -> bool {
    let is_transient = TRANSIENT.contains(&name);
    let found = after.get(name);
    found.is_some_and(|value| is_transient || contains(value, before))
}
