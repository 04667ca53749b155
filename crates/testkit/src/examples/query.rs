//! Query strings, made from the schemas of the parameters.

use admin::operation::Operation;
use serde_json::{Map, Value, json};

use super::{Examples, Ids, entry, query_parameters};
use crate::NOW;

impl Examples<'_> {
    /// Returns queries that use each parameter of the contract once, beside the required parameters. The first one has
    /// only the required parameters.
    pub async fn queries(&self, operation: &Operation, ids: &Ids) -> Vec<Map<String, Value>> {
        let parameters = entry(&self.document, operation)["parameters"].as_array();
        let parameters: Vec<&Value> = parameters.into_iter().flatten().collect();
        let has = |name: &str, fact: &str| {
            let mut same = parameters
                .iter()
                .filter(|parameter| parameter["name"] == name);
            same.any(|parameter| parameter[fact] == true)
        };
        let (mut required, mut optional) = (Map::new(), Vec::new());
        for (name, schema) in query_parameters(&self.document, operation) {
            if has(&name, "required") {
                let value = self.parameter(operation, ids, &name, &schema).await;
                required.insert(name, value);
            } else if !has(&name, "x-orgplane") {
                let value = self.parameter(operation, ids, &name, &schema).await;
                optional.push((name, value));
            }
        }
        let mut queries = vec![required.clone()];
        queries.extend(optional.into_iter().map(|pair| {
            let mut query = required.clone();
            query.extend([pair]);
            query
        }));
        queries
    }

    async fn parameter(
        &self,
        operation: &Operation,
        ids: &Ids,
        name: &str,
        schema: &Value,
    ) -> Value {
        match name {
            // A period that has usage.
            "start_time" => json!(NOW.0 - 86_400),
            "end_time" => json!(NOW.0),
            "after" | "before" => {
                let page = self.client.get(&ids.path(operation)).await.ok();
                // Lists without cursors in their envelope have them in the items.
                let last = page["data"].as_array().and_then(|items| items.last());
                let item = last.unwrap_or_else(|| panic!("{} is empty", operation.command));
                [&page["last_id"], &item["id"], &item["group_id"]]
                    .into_iter()
                    .find(|id| id.is_string())
                    .unwrap_or_else(|| panic!("no cursor in {page}"))
                    .clone()
            }
            "page" => {
                let path = format!("{}&limit=1", self.path(operation, ids));
                self.client.get(&path).await.ok()["next_page"].clone()
            }
            // Other words may exclude what is there.
            _ => match schema.get("default").filter(|default| !default.is_array()) {
                Some(default) => default.clone(),
                None => {
                    let schema = without_extensions(schema);
                    let field = (name.to_owned(), &schema, &Value::Null);
                    self.value(operation, ids, field).await
                }
            },
        }
    }
}

/// Returns the schema of a parameter without the words that only this program has: their names begin with `x.`.
fn without_extensions(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(words) = schema
        .pointer_mut("/items/enum")
        .and_then(Value::as_array_mut)
    {
        words.retain(|word| !word.as_str().is_some_and(|word| word.starts_with("x.")));
    }
    schema
}

/// Returns the operations in an order in which each has something to act on, if each is called once: reads come first, while
/// the lists have the items that cursors name; deletions come last, those of what lies deeper first, and a project is archived
/// when nothing else is left to do.
#[must_use]
pub fn in_order() -> Vec<Operation> {
    let mut all = admin::operations();
    all.sort_by_key(|operation| {
        let stage = match operation.method {
            http::Method::GET => 0,
            http::Method::DELETE => 2,
            _ if operation.path.ends_with("/archive") => 3,
            _ => 1,
        };
        let depth = if operation.method == http::Method::DELETE {
            operation.path.matches('/').count()
        } else {
            0
        };
        (stage, std::cmp::Reverse(depth))
    });
    all
}
