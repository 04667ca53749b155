//! Names of what the values of dimensions identify.

use std::collections::{BTreeSet, HashMap};

use http::Method;
use pages::{Crumb, Link};
use serde_json::Value as Json;

use super::kind::Group;
use super::matrix::Matrix;
use crate::context::Context;

/// Lists that have the names of values.
const LISTS: [(Group, &str); 3] = [
    (Group::Project, "/organization/projects"),
    (Group::User, "/organization/users"),
    (Group::Key, "/organization/api_keys"),
];
/// Maximum number of items of a page of a list.
const MAX_PAGE_LEN: usize = 100;
/// Maximum number of names that are looked up one by one.
const MAX_LOOKUPS: usize = 40;

/// Names by dimension and value.
#[derive(Debug, Default)]
pub(crate) struct GroupNames(HashMap<(Group, String), ValueName>);

/// The name of a value.
#[derive(Clone, Debug)]
struct ValueName {
    text: String,
    link: Option<Link>,
}

impl GroupNames {
    /// Returns the name of a value; the value itself if its name is unknown.
    pub(crate) fn text(&self, group: Group, value: Option<&str>) -> String {
        let Some(value) = value else {
            return none(group).to_owned();
        };
        match (group, value) {
            (Group::Batch, "true") => return "Batches".to_owned(),
            (Group::Batch, _) => return "Other requests".to_owned(),
            _ => {}
        }
        let known = self.0.get(&(group, value.to_owned()));
        known.map_or_else(|| value.to_owned(), |name| name.text.clone())
    }

    /// Returns the page of what a value identifies; empty if there is none.
    pub(crate) fn link(&self, group: Group, value: Option<&str>) -> String {
        let known = value.and_then(|value| self.0.get(&(group, value.to_owned())));
        let link = known.and_then(|name| name.link.as_ref());
        link.map(Link::to_string).unwrap_or_default()
    }

    /// Returns the trail to a project; empty if the visitor may not read the project.
    pub(crate) fn project_trail(&self, id: &str) -> Vec<Crumb> {
        let known = self.0.get(&(Group::Project, id.to_owned()));
        let Some(ValueName {
            text,
            link: Some(link),
        }) = known
        else {
            return Vec::new();
        };
        vec![
            Crumb {
                label: "Projects".to_owned(),
                link: Link::new(["console", "projects"]),
            },
            Crumb {
                label: text.clone(),
                link: link.clone(),
            },
        ]
    }

    /// Looks up the names of values. A name that the visitor may not read, or of what was deleted, stays unknown.
    pub(crate) async fn look_up(
        context: &Context<'_>,
        values: Vec<(Group, String)>,
        key_projects: &HashMap<String, String>,
    ) -> Self {
        let mut names = Self::default();
        let values: BTreeSet<_> = values.into_iter().collect();
        for (group, list) in LISTS {
            let own = values.iter().filter(|(own, _)| *own == group);
            let ids: Vec<&str> = own.map(|(_, id)| id.as_str()).collect();
            if context.missing(&Method::GET, list).is_none() {
                names.read_list(context, group, list, &ids).await;
            } else {
                names.read_items(context, group, &ids, key_projects).await;
            }
        }
        names
    }

    /// Looks up names in a list, many at once.
    async fn read_list(
        &mut self,
        context: &Context<'_>,
        group: Group,
        list: &'static str,
        ids: &[&str],
    ) {
        for ids in ids.chunks(MAX_PAGE_LEN) {
            let (ids, limit) = (ids.join(","), ids.len().to_string());
            let mut query = vec![("ids", ids.as_str()), ("limit", &limit)];
            if group == Group::Project {
                query.push(("include_archived", "true"));
            }
            let found = context.get(list, &query).await.unwrap_or_default();
            for item in found["data"].as_array().into_iter().flatten() {
                let id = item["id"].as_str().unwrap_or_default();
                let project = item.pointer("/project/id").and_then(Json::as_str);
                let source = source(group, id, project);
                self.insert(group, id, item, source.map(|source| source.page));
            }
        }
    }

    /// Looks up names one by one, for a visitor who may read some of the items only.
    async fn read_items(
        &mut self,
        context: &Context<'_>,
        group: Group,
        ids: &[&str],
        key_projects: &HashMap<String, String>,
    ) {
        for id in ids.iter().take(MAX_LOOKUPS) {
            let project = key_projects.get(*id).map(String::as_str);
            let Some(source) = source(group, id, project) else {
                continue;
            };
            if let Ok(item) = context.get(source.item.path(), &[]).await {
                self.insert(group, id, &item, Some(source.page));
            }
        }
    }

    fn insert(&mut self, group: Group, id: &str, item: &Json, link: Option<Link>) {
        let text = name(item).unwrap_or(id).to_owned();
        self.0
            .insert((group, id.to_owned()), ValueName { text, link });
    }

    /// Looks up the names of the largest groups of a report.
    pub(crate) async fn of_matrix(
        context: &Context<'_>,
        matrix: &Matrix,
        order: &[usize],
        more: Vec<(Group, String)>,
    ) -> Self {
        let mut values = more;
        for group in order {
            for (dimension, value) in matrix.dimensions().iter().zip(matrix.group(*group)) {
                values.extend(value.clone().map(|value| (*dimension, value)));
            }
        }
        Self::look_up(context, values, matrix.key_projects()).await
    }
}

/// The item that a value identifies: the path of the operation that has it, and its page.
struct ValueSource {
    item: Link,
    page: Link,
}

/// Returns where the name of a value is. A key is found in its project.
fn source(group: Group, value: &str, project: Option<&str>) -> Option<ValueSource> {
    let at = |segments: &[&str]| ValueSource {
        item: Link::new(["organization"].iter().chain(segments)),
        page: Link::new(["console"].iter().chain(segments)),
    };
    match group {
        Group::Project => Some(at(&["projects", value])),
        Group::User => Some(at(&["users", value])),
        Group::Key => Some(at(&["projects", project?, "api_keys", value])),
        _ => None,
    }
}

/// Returns the name in an answer: a name that is not empty, else an address.
fn name(found: &Json) -> Option<&str> {
    let text = |pointer: &str| {
        let text = found.pointer(pointer).and_then(Json::as_str);
        text.filter(|text| !text.trim().is_empty())
    };
    text("/name").or_else(|| text("/email"))
}

/// Returns the word for usage without a value.
fn none(group: Group) -> &'static str {
    match group {
        Group::User => "No user",
        Group::Key => "No key",
        Group::Model => "No model",
        Group::LineItem => "No line item",
        Group::ServiceTier => "Default tier",
        _ => "None",
    }
}
