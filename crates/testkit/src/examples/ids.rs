//! Existing resources for the parameters of all paths.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use admin::operation::Operation;
use admin::operations;
use http::Method;
use serde_json::{Value, json};

use super::{Addition, Examples, Fill, adder, addition, is_list};
use crate::Server;

/// A resource that a path can name.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The value of the path's last parameter.
    pub id: String,
    /// The answer of the operation that created the resource, or the item of the list that the resource is from.
    pub answer: Value,
}

/// Existing resources for the parameters of all paths, each created by the operation that the registry has for it.
pub struct Ids {
    /// Resources by the pattern of the path, up to and with the parameter.
    resources: BTreeMap<String, Resource>,
    /// Id of the owner's admin key.
    pub owners_key: String,
    number: AtomicU32,
}

impl Ids {
    /// Creates a resource for each parameter, and makes all settings that can be read.
    ///
    /// # Panics
    /// If a resource cannot be created.
    pub async fn make(server: &Server) -> Self {
        let keys = server.admin().get("/organization/admin_api_keys").await;
        let keys = keys.ok();
        let mut ids = Self {
            resources: BTreeMap::new(),
            owners_key: keys["data"][0]["id"].as_str().expect("a key").to_owned(),
            number: AtomicU32::new(0),
        };
        let examples = Examples::new(server);
        for operation in operations() {
            for path in item_paths(operation.path) {
                let created = created_at(path);
                for path in item_paths(&created) {
                    if !ids.resources.contains_key(path) {
                        let resource = examples.resource(path, &ids).await;
                        ids.resources.insert(path.to_owned(), resource);
                    }
                }
                let resource = ids.at(&created).clone();
                ids.resources.insert(path.to_owned(), resource);
            }
        }
        examples.add_memberships(&ids).await;
        // Settings answer 404 before they are made, or with a value that the contract lacks.
        for operation in settings(&examples.document) {
            let fill = examples.fills(&operation)[0];
            let body = examples.body(&operation, &ids, fill).await;
            examples.send(&operation, &ids, &body).await.ok();
        }
        ids
    }

    /// Returns the resource at this pattern of a path, which ends with its parameter.
    ///
    /// # Panics
    /// If no operation has such a path.
    #[must_use]
    pub fn at(&self, path: &str) -> &Resource {
        let resource = self.resources.get(path);
        resource.unwrap_or_else(|| panic!("no operation has the path {path}"))
    }

    /// Returns the operation's path with these ids.
    #[must_use]
    pub fn path(&self, operation: &Operation) -> String {
        let names = operation.path_parameters();
        names.fold(operation.path.to_owned(), |path, name| {
            path.replace(&format!("{{{name}}}"), self.id(operation, name))
        })
    }

    /// Returns the id for a parameter of the operation's path.
    ///
    /// # Panics
    /// If the path has no such parameter.
    #[must_use]
    pub fn id(&self, operation: &Operation, parameter: &str) -> &str {
        let end = format!("{{{parameter}}}");
        let mut paths = item_paths(operation.path);
        let path = paths.find(|path| path.ends_with(&end));
        &self.at(path.expect(parameter)).id
    }

    /// Returns a number that is unique among these resources.
    pub(super) fn number(&self) -> u32 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a unique name.
    pub(super) fn name(&self) -> String {
        format!("Example {}", self.number())
    }
}

/// Iterates over the parts of a path that end with a parameter.
fn item_paths(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('}').map(|(end, _)| &path[..=end])
}

/// Returns the path of the collection that an item's path names.
fn collection(path: &str) -> &str {
    path.rsplit_once('/')
        .map_or(path, |(collection, _)| collection)
}

/// Returns the name of the parameter that an item's path ends with.
fn parameter(path: &str) -> &str {
    let (_, last) = path.rsplit_once('/').unwrap_or_default();
    last.trim_matches(['{', '}'])
}

/// Returns the path at which the item is created. Paths below `/projects` name items of `/organization/projects`, too.
fn created_at(path: &str) -> String {
    if path.starts_with("/projects/") && adder(collection(path)).is_none() {
        format!("/organization{path}")
    } else {
        path.to_owned()
    }
}

/// Returns the operations that make settings: what is at their paths can be read, and is no item of a collection.
fn settings(document: &Value) -> Vec<Operation> {
    let reads: Vec<Operation> = operations()
        .into_iter()
        .filter(|read| read.method == Method::GET && !is_list(document, read))
        .collect();
    let is_setting = |operation: &Operation| {
        let is_read = reads.iter().any(|read| read.path == operation.path);
        operation.method == Method::POST && is_read && !operation.path.ends_with('}')
    };
    operations().into_iter().filter(is_setting).collect()
}

impl Examples<'_> {
    /// Creates an item at this pattern of a path. Where no operation creates any, an item of the list is returned.
    pub(super) async fn resource(&self, path: &str, ids: &Ids) -> Resource {
        let (collection, parameter) = (collection(path), parameter(path));
        let (answer, id) = if let Some(adder) = adder(collection) {
            let body = self.body(&adder, ids, Fill::Required).await;
            let answer = self.send(&adder, ids, &body).await.ok();
            let id = body.get(parameter).unwrap_or(&answer["id"]).clone();
            (answer, id)
        } else {
            let is_session = addition(collection) == Some(Addition::SignIn);
            if is_session {
                self.sign_in(collection, ids).await;
            }
            let mut lists = operations().into_iter();
            let list = lists.find(|list| list.method == Method::GET && list.path == collection);
            let list = list.unwrap_or_else(|| {
                panic!("say in ADDED_BY of testkit/src/examples.rs what adds to {collection}")
            });
            let page = self.send(&list, ids, &Value::Null).await.ok();
            let items = page["data"].as_array().expect("items");
            // A new session is the last one.
            let item = if is_session {
                items.last()
            } else {
                items.first()
            };
            let item = item.cloned().unwrap_or_default();
            let id = item["id"].clone();
            (item, id)
        };
        let id = id
            .as_str()
            .unwrap_or_else(|| panic!("{path}: no id in {answer}"));
        Resource {
            id: id.to_owned(),
            answer,
        }
    }

    /// Creates a resource of the kind that `field` names, as close to the operation's path as there is one; `None` if the
    /// field is no parameter of any path.
    pub(super) async fn named(
        &self,
        operation: &Operation,
        field: &str,
        ids: &Ids,
    ) -> Option<Value> {
        let segments = |path: &str| -> Vec<String> { path.split('/').map(str::to_owned).collect() };
        let own = segments(operation.path);
        let closeness = |path: &String| {
            let pairs = segments(path).into_iter().zip(&own);
            let common = pairs.take_while(|(one, other)| one == *other).count();
            (common, std::cmp::Reverse(path.len()))
        };
        let end = format!("/{{{field}}}");
        let all = operations();
        let paths = all.iter().flat_map(|operation| item_paths(operation.path));
        let paths = paths.filter(|path| path.ends_with(&end)).map(created_at);
        let others = paths.filter(|path| !path.starts_with(&format!("{}/", operation.path)));
        let closest = others.max_by_key(closeness)?;
        Some(json!(self.resource(&closest, ids).await.id))
    }
}
