//! Names of what the values of dimensions identify.

use std::collections::{BTreeSet, HashMap};

use pages::{Crumb, Link};
use serde_json::Value as Json;

use super::kind::Group;
use super::matrix::Matrix;
use crate::context::Context;

/// Maximum number of names that a page looks up.
const MAX_LOOKUPS: usize = 120;

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
        for (group, value) in values.into_iter().take(MAX_LOOKUPS) {
            let Some((path, link)) = source(group, &value, key_projects) else {
                continue;
            };
            if let Ok(found) = context.get(link_path(&path).as_str(), &[]).await {
                let text = name(&found).unwrap_or(&value).to_owned();
                names.0.insert((group, value), ValueName { text, link });
            }
        }
        names
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

fn link_path(link: &Link) -> String {
    link.path().to_owned()
}

/// Returns the path of the operation that has the name, and the page.
fn source(
    group: Group,
    value: &str,
    key_projects: &HashMap<String, String>,
) -> Option<(Link, Option<Link>)> {
    let api = |segments: &[&str]| Link::new(["organization"].iter().chain(segments));
    let page = |segments: &[&str]| Some(Link::new(["console"].iter().chain(segments)));
    match group {
        Group::Project => Some((api(&["projects", value]), page(&["projects", value]))),
        Group::User => Some((api(&["users", value]), page(&["users", value]))),
        Group::Key => {
            let project = key_projects.get(value)?;
            let segments = ["projects", project, "api_keys", value];
            Some((api(&segments), page(&segments)))
        }
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
