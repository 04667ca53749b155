//! Descriptors of all resources.

mod keys;
mod memberships;
mod organization;
mod projects;
mod sessions;

use crate::resource::{Action, Resource};

/// Returns all resources.
pub(crate) fn all() -> impl Iterator<Item = &'static Resource> {
    [
        organization::RESOURCES,
        keys::RESOURCES,
        memberships::RESOURCES,
        sessions::RESOURCES,
        projects::RESOURCES,
    ]
    .into_iter()
    .flatten()
}

/// Returns the resource whose collection or setting has a path template.
pub(crate) fn find(path: &str) -> Option<&'static Resource> {
    all().find(|resource| resource.path == path)
}

/// Returns all actions with their resources.
pub(crate) fn actions() -> impl Iterator<Item = (&'static Resource, &'static Action)> {
    all().flat_map(|resource| {
        resource
            .actions
            .iter()
            .map(move |action| (resource, action))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::Method;

    use super::*;
    use crate::registry::Registry;

    #[test]
    fn each_resource_has_operations_and_texts() {
        let registry = Registry::new();
        let mut paths = BTreeSet::new();
        for resource in all() {
            let path = resource.path;
            assert!(paths.insert(path), "{path} twice");
            assert!(registry.find(&Method::GET, path).is_some(), "{path}");
            assert!(
                !resource.title.is_empty() && !resource.singular.is_empty(),
                "{path}"
            );
            assert!(
                !resource.about.is_empty() && !resource.empty.is_empty(),
                "{path}"
            );
            if !resource.is_setting() {
                assert!(!resource.columns.is_empty(), "{path}");
                assert!(resource.item.starts_with(path), "{path}");
            }
            for action in resource.actions {
                assert!(
                    registry.find(&action.method(), action.path).is_some(),
                    "{}",
                    action.path
                );
            }
            for (_, collection) in resource.affects {
                assert!(
                    registry.find(&Method::GET, collection).is_some(),
                    "{collection}"
                );
            }
            for child in resource.children {
                assert!(find(child).is_some(), "{child}");
            }
        }
    }

    #[test]
    fn a_deletion_says_what_it_brings_about() {
        let registry = Registry::new();
        for resource in all() {
            let template = if resource.is_setting() {
                resource.path
            } else {
                resource.item
            };
            if registry.find(&Method::DELETE, template).is_some() {
                assert!(!resource.consequences.is_empty(), "{}", resource.path);
            }
        }
    }
}
