//! Routes: the page at each path, mechanically from the paths of operations.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::registry::Registry;
use crate::resource::{Action, Resource, console_path};
use crate::resources;
use crate::screens::{self, Screen};

/// A page at a path.
pub(crate) struct Route {
    /// Path template.
    pub(crate) template: String,
    /// Page.
    pub(crate) page: PageKind,
}

/// The kind of a page.
pub(crate) enum PageKind {
    /// List of a resource.
    List(&'static Resource),
    /// Page of an item.
    Detail(&'static Resource),
    /// Form for a new item.
    Create(&'static Resource),
    /// Form for an item.
    Update(&'static Resource),
    /// Form for a setting.
    Setting(&'static Resource),
    /// Confirmation of a deletion.
    Delete(&'static Resource),
    /// Form for another change.
    Action(&'static Resource, &'static Action),
    /// Page with code of its own.
    Screen(Screen),
}

/// Values of a path's parameters, by name.
pub(crate) type Parameters = Vec<(String, String)>;

/// Returns all routes.
pub(crate) fn routes(registry: &Registry) -> Vec<Route> {
    let mut routes: Vec<Route> = screens::SCREENS
        .iter()
        .map(|(template, screen)| Route {
            template: (*template).to_owned(),
            page: PageKind::Screen(*screen),
        })
        .collect();
    for (resource, action) in resources::actions() {
        routes.push(Route {
            template: console_path(action.page()),
            page: PageKind::Action(resource, action),
        });
    }
    for resource in resources::all() {
        routes.extend(resource_routes(registry, resource));
    }
    routes
}

fn resource_routes(registry: &Registry, resource: &'static Resource) -> Vec<Route> {
    let has = |method: Method, path: &'static str| registry.find(&method, path).is_some();
    let list = console_path(resource.path);
    let route = |template: String, page: PageKind| Route { template, page };
    let mut routes = Vec::new();
    if resource.is_setting() {
        if has(Method::DELETE, resource.path) {
            routes.push(route(format!("{list}/delete"), PageKind::Delete(resource)));
        }
        routes.push(route(list, PageKind::Setting(resource)));
        return routes;
    }
    let item = console_path(resource.item);
    if has(Method::POST, resource.path) {
        routes.push(route(format!("{list}/new"), PageKind::Create(resource)));
    }
    if has(Method::POST, resource.item) {
        routes.push(route(format!("{item}/edit"), PageKind::Update(resource)));
    }
    if has(Method::DELETE, resource.item) {
        routes.push(route(format!("{item}/delete"), PageKind::Delete(resource)));
    }
    if has(Method::GET, resource.item) {
        routes.push(route(item, PageKind::Detail(resource)));
    }
    routes.push(route(list, PageKind::List(resource)));
    routes
}

/// Returns the route of a path with the values of its parameters. Fewer parameters win; among as many, the first route.
pub(crate) fn find<'a>(routes: &'a [Route], path: &str) -> Option<(&'a Route, Parameters)> {
    let matching = routes.iter().filter_map(|route| {
        let parameters = parameters_of(&route.template, path)?;
        Some((route, parameters))
    });
    matching.min_by_key(|(_, parameters)| parameters.len())
}

/// Returns the values of a template's parameters; none if the path is another one.
fn parameters_of(template: &str, path: &str) -> Option<Parameters> {
    let mut parameters = Vec::new();
    let mut values = path.split('/');
    for segment in template.split('/') {
        let value = values.next()?;
        let name = segment
            .strip_prefix('{')
            .and_then(|segment| segment.strip_suffix('}'));
        match name {
            Some(name) => {
                let decoded = percent_decode_str(value).decode_utf8().ok()?;
                if decoded.is_empty() {
                    return None;
                }
                parameters.push((name.to_owned(), decoded.into_owned()));
            }
            None if segment == value => {}
            None => return None,
        }
    }
    values.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_pages_have_the_same_path() {
        let registry = Registry::new();
        let mut templates = BTreeSet::new();
        for route in routes(&registry) {
            assert!(
                templates.insert(route.template.clone()),
                "{}",
                route.template
            );
        }
    }

    #[test]
    fn a_word_wins_over_an_id() {
        let registry = Registry::new();
        let routes = routes(&registry);
        for (path, template) in [
            ("/console/projects", "/console/projects"),
            ("/console/projects/new", "/console/projects/new"),
            ("/console/projects/proj_1", "/console/projects/{project_id}"),
            (
                "/console/certificates/activate",
                "/console/certificates/activate",
            ),
        ] {
            let found = find(&routes, path).map(|(route, _)| route.template.as_str());
            assert_eq!(found, Some(template));
        }
        let (_, parameters) = find(&routes, "/console/projects/a%2Fb").expect("a route");
        assert_eq!(parameters, [("project_id".to_owned(), "a/b".to_owned())]);
        for unknown in [
            "/console/projects/",
            "/console/nope",
            "/console/projects/%FF",
        ] {
            assert!(find(&routes, unknown).is_none(), "{unknown}");
        }
    }
}
