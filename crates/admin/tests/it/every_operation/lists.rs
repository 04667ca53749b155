//! List operations, and the addition of items to each list.

use admin::operation::Operation;
use admin::operations;
use http::Method;
use serde_json::{Map, Value};
use testkit::{Answer, Client};

use super::example::{Examples, Fill};
use super::ids::Ids;
use super::schemas::{entry, query_parameters, resolved};

/// Lists without a `POST` at their path, with the operations that add items.
const MADE_BY: [(&str, &str); 3] = [
    ("audit-logs list", "groups create"),
    ("users list", "invites accept"),
    ("projects:certificates list", "certificates create"),
];

/// Lists that no operation adds to: models come from the configuration.
const FIXED: [&str; 1] = ["projects:rate-limits list-rate-limits"];

/// A list, as a caller sees it.
pub(super) struct List<'a> {
    pub(super) operation: Operation,
    pub(super) parameters: Map<String, Value>,
    pub(super) path: String,
    pub(super) client: Client,
    examples: &'a Examples<'a>,
    ids: &'a Ids,
}

/// A page of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    pub(super) has_more: bool,
}

/// Returns all lists, whose pages have cursors.
pub(super) fn lists<'a>(examples: &'a Examples<'a>, ids: &'a Ids) -> Vec<List<'a>> {
    paged(&examples.document, "after")
        .map(|(operation, parameters)| List {
            path: ids.path(&operation),
            operation,
            parameters,
            client: examples.client.clone(),
            examples,
            ids,
        })
        .collect()
}

/// Returns all paged operations with this cursor parameter: `after` for lists, `page` for buckets.
pub(super) fn paged(
    document: &Value,
    cursor: &'static str,
) -> impl Iterator<Item = (Operation, Map<String, Value>)> {
    operations().into_iter().filter_map(move |operation| {
        let parameters = query_parameters(document, &operation);
        let reply = &entry(document, &operation)["responses"]["200"]["content"];
        let reply = resolved(document, &reply["application/json"]["schema"]);
        let is_paged = reply["properties"].get("has_more").is_some();
        let has = |name| parameters.contains_key(name);
        assert_eq!(is_paged, has("limit"), "{}", operation.command);
        assert_eq!(
            is_paged,
            has("after") != has("page"),
            "{}",
            operation.command
        );
        has(cursor).then_some((operation, parameters))
    })
}

impl List<'_> {
    pub(super) fn has(&self, parameter: &str) -> bool {
        self.parameters.contains_key(parameter)
    }

    /// Returns the orders of the list, in the form of a query string.
    pub(super) fn orders(&self) -> &'static [&'static str] {
        if self.has("order") {
            &["&order=asc", "&order=desc"]
        } else {
            &[""]
        }
    }

    pub(super) async fn get(&self, query: &str) -> Answer {
        self.client.get(&format!("{}?{query}", self.path)).await
    }

    /// Reads a page and checks the cursors of its envelope.
    pub(super) async fn page(&self, query: &str) -> Page {
        let page = self.get(query).await.ok();
        let items = page["data"].as_array().expect("items");
        let keys: Vec<String> = items.iter().map(key).collect();
        let has_more = page["has_more"].as_bool().expect("has_more");
        assert_eq!(page["object"], "list");
        let text = |name: &str| page[name].as_str();
        let (first, last) = (
            keys.first().map(String::as_str),
            keys.last().map(String::as_str),
        );
        if page.get("next").is_some() {
            assert_eq!(text("next"), last.filter(|_| has_more), "{page}");
        } else {
            assert!(
                page.get("first_id").is_some() && page.get("last_id").is_some(),
                "{page}"
            );
            assert_eq!((text("first_id"), text("last_id")), (first, last), "{page}");
        }
        Page { keys, has_more }
    }

    /// Reads all items in pages of maximum size.
    pub(super) async fn whole(&self, order: &str) -> Vec<String> {
        self.forwards(1000, order).await
    }

    /// Reads all items page by page, each `after` the last item of the previous page.
    pub(super) async fn forwards(&self, limit: usize, order: &str) -> Vec<String> {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.page(&format!("limit={limit}{order}{cursor}")).await;
            // A page is full if there are more items, up to the list's own maximum.
            let is_full = page.keys.len() == limit || limit > 100;
            assert!(is_full || !page.has_more, "{}", self.operation.command);
            cursor = format!("&after={}", page.keys.last().expect("no page is empty"));
            seen.extend(page.keys);
            if !page.has_more {
                return seen;
            }
        }
    }

    /// Returns true if items can be added.
    pub(super) fn grows(&self) -> bool {
        !FIXED.contains(&self.operation.command)
    }

    /// Adds an item. Some items have equal times.
    pub(super) async fn add(&self) {
        let command = self.operation.command;
        let made_by = MADE_BY.iter().find(|(list, _)| *list == command);
        let adds = |operation: &Operation| match made_by {
            Some((_, adder)) => operation.command == *adder,
            None => operation.method == Method::POST && operation.path == self.operation.path,
        };
        let adder = operations().into_iter().find(adds);
        let adder = adder.unwrap_or_else(|| {
            panic!("say in MADE_BY of every_operation/lists.rs what makes an item of `{command}`")
        });
        let body = self.examples.body(&adder, self.ids, Fill::Required).await;
        self.examples.let_time_pass();
        self.examples.send(&adder, self.ids, &body).await.ok();
    }

    /// Removes an item if possible.
    pub(super) async fn remove(&self, key: &str) -> bool {
        let one = format!("{}/{{", self.operation.path);
        let removes = |operation: &Operation| {
            let rest = operation.path.strip_prefix(&one);
            operation.method == Method::DELETE && rest.is_some_and(|rest| !rest.contains('/'))
        };
        let is_possible = operations().iter().any(removes);
        if is_possible {
            self.client
                .delete(&format!("{}/{key}", self.path))
                .await
                .ok();
        }
        is_possible
    }
}

/// Returns the cursor of an item.
fn key(item: &Value) -> String {
    let id = item["id"].as_str().or(item["group_id"].as_str());
    id.unwrap_or_else(|| panic!("what is the cursor of {item}?"))
        .to_owned()
}
