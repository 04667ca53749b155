//! The endpoints of the gateway, found by path.

use http::Method;

use crate::dialect::Dialect;
use crate::objects::ObjectRoute;

/// An endpoint of the gateway.
pub(crate) enum Endpoint {
    /// A request to a model.
    Forwarded(&'static Dialect),
    /// An object that an upstream keeps, or a list of such objects.
    Object(ObjectRoute),
    Models,
    /// A model, named by a path segment.
    Model(String),
}

impl Endpoint {
    /// Returns the endpoint at a path, and the methods at that path. `method` decides between two endpoints at the same path.
    pub(crate) fn at(method: &Method, path: &str) -> Option<(&'static [Method], Self)> {
        let path = path.strip_prefix("/v1")?;
        if let Some(dialect) = Dialect::at(path) {
            return Some(match ObjectRoute::list_beside(path) {
                Some(list) if method == Method::GET => {
                    (&[Method::GET, Method::POST], Self::Object(list))
                }
                Some(_) => (&[Method::GET, Method::POST], Self::Forwarded(dialect)),
                None => (&[Method::POST], Self::Forwarded(dialect)),
            });
        }
        if path == "/models" {
            return Some((&[Method::GET], Self::Models));
        }
        if let Some(name) = path.strip_prefix("/models/")
            && !name.is_empty()
        {
            return Some((&[Method::GET], Self::Model(name.to_owned())));
        }
        let (methods, route) = ObjectRoute::at(path)?;
        Some((methods, Self::Object(route)))
    }

    /// Returns the path below `/v1` that names the endpoint in metrics and traces.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Forwarded(dialect) => dialect.path,
            Self::Object(route) => route.kind.endpoint(),
            Self::Models => "/models",
            Self::Model(_) => "/models/{model}",
        }
    }
}
