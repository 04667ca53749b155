//! List operations, and the addition of items to each list.

use admin::operation::Operation;
use admin::operations;
use http::Method;
use serde_json::{Map, Value};
use testkit::examples::{Examples, Ids, is_fixed, is_list, query_parameters};
use testkit::{Answer, Client};

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
        let is_paged = is_list(document, &operation);
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
        let keys: Vec<String> = items.iter().map(|item| self.key(item)).collect();
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
        !is_fixed(self.operation.path)
    }

    /// Adds an item. Some items have equal times.
    pub(super) async fn add(&self) {
        self.examples.add(self.operation.path, self.ids).await;
    }

    /// Removes an item if possible.
    pub(super) async fn remove(&self, key: &str) -> bool {
        let removes = |operation: &Operation| {
            operation.method == Method::DELETE
                && parameter(self.operation.path, operation).is_some()
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

    /// Returns the cursor of an item: its id, or the field that the parameter of its path is named after.
    fn key(&self, item: &Value) -> String {
        let operations = operations();
        let mut names = operations.iter();
        let name = names.find_map(|operation| parameter(self.operation.path, operation));
        let id = item["id"].as_str().or(item[name.unwrap_or("id")].as_str());
        id.unwrap_or_else(|| panic!("what is the cursor of {item}?"))
            .to_owned()
    }
}

/// Returns the name of the parameter that the operation's path adds to the path of a collection.
fn parameter(collection: &str, operation: &Operation) -> Option<&'static str> {
    let rest = operation.path.strip_prefix(collection)?;
    let name = rest.strip_prefix("/{")?.strip_suffix('}')?;
    (!name.contains('/')).then_some(name)
}
