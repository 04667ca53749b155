//! The page to which a sign-in leads.

use axum::body::Body;
use http::{Request, Response};
use pages::{FormData, Link, is_local_target, redirect};

/// The name of the parameter, in queries and forms.
pub(crate) const TARGET: &str = "target";
const DEFAULT_TARGET: &str = "/";
const MAX_TARGET_BYTES: usize = 2_048;

/// A page of this server, to which a sign-in leads: never another server, and no page of the sign-in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

impl Default for Target {
    fn default() -> Self {
        Self(DEFAULT_TARGET.to_owned())
    }
}

impl Target {
    /// Returns the target with this path and query; the first page if it is none of this server.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let is_sign_in = text.starts_with("/sign-in") || text.starts_with("/sign-out");
        if text.len() > MAX_TARGET_BYTES || is_sign_in || !is_local_target(text) {
            return Self::default();
        }
        Self(text.to_owned())
    }

    /// Returns the page that a request asks for; the first page if the request is no `GET`.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        match (request.method(), request.uri().path_and_query()) {
            (&http::Method::GET, Some(page)) => Self::new(page.as_str()),
            _ => Self::default(),
        }
    }

    /// Returns the target that a form or a query names.
    pub(crate) fn in_form(form: &FormData) -> Self {
        Self::new(form.get(TARGET).unwrap_or_default())
    }

    /// Returns the path and the query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the link to the page of the sign-in at `path` that leads to the target.
    pub(crate) fn link_by(&self, path: &str) -> Link {
        let link = Link::to_path(path);
        if *self == Self::default() {
            return link;
        }
        link.query(TARGET, &self.0)
    }

    /// Returns the redirect to another proof of identity, which leads to the target.
    pub(crate) fn to_another_proof(&self) -> Response<Body> {
        self.redirect_by("/sign-in/again")
    }

    /// Returns the redirect to the page of the sign-in at `path`, which leads to the target.
    pub(crate) fn redirect_by(&self, path: &str) -> Response<Body> {
        redirect(&self.link_by(path), [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_a_page_of_this_server_and_not_of_the_sign_in() {
        for text in ["/console", "/console/projects?x=//a", "/"] {
            assert_eq!(Target::new(text).as_str(), text);
        }
        let long = format!("/{}", "x".repeat(MAX_TARGET_BYTES));
        for text in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/%0d%0a\u{e9}",
            "/sign-in",
            "/sign-in/again?target=/",
            "/sign-out",
            &long,
        ] {
            assert_eq!(Target::new(text), Target::default(), "{text:?}");
        }
    }

    #[test]
    fn link_names_the_target_unless_it_is_the_first_page() {
        let link = Target::new("/console?a=b&c")
            .link_by("/sign-in")
            .to_string();
        assert_eq!(link, "/sign-in?target=%2Fconsole%3Fa%3Db%26c");
        assert_eq!(Target::new("").link_by("/sign-in").to_string(), "/sign-in");
    }
}
