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
    /// A response that a model server keeps, or a part of it.
    StoredResponse,
    Models,
    /// A model, named by a path segment.
    Model(String),
}

impl Endpoint {
    /// Returns the endpoint at a path, and its methods.
    pub(crate) fn at(path: &str) -> Option<(&'static [Method], Self)> {
        let path = path.strip_prefix("/v1")?;
        if let Some(dialect) = Dialect::at(path) {
            return Some((&[Method::POST], Self::Forwarded(dialect)));
        }
        if path == "/models" {
            return Some((&[Method::GET], Self::Models));
        }
        if let Some(name) = path.strip_prefix("/models/")
            && !name.is_empty()
        {
            return Some((&[Method::GET], Self::Model(name.to_owned())));
        }
        if let Some((methods, route)) = ObjectRoute::at(path) {
            return Some((methods, Self::Object(route)));
        }
        let rest = path.strip_prefix("/responses/")?;
        let (id, part) = rest
            .split_once('/')
            .map_or((rest, None), |(id, part)| (id, Some(part)));
        let methods: &[Method] = match part {
            None => &[Method::GET, Method::DELETE],
            Some("cancel") => &[Method::POST],
            Some("input_items") => &[Method::GET],
            Some(_) => return None,
        };
        (!id.is_empty()).then_some((methods, Self::StoredResponse))
    }

    /// Returns the path below `/v1` that names the endpoint in metrics and traces.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Forwarded(dialect) => dialect.path,
            Self::Object(route) => route.kind.path(),
            Self::StoredResponse => "/responses/{response_id}",
            Self::Models => "/models",
            Self::Model(_) => "/models/{model}",
        }
    }
}
