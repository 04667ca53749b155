//! Routing table of every path outside the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use admin::operation::{Operation, document};
use axum::body::Bytes;
use http::{HeaderValue, Method};

use crate::metrics::{Metrics, OperationMetrics};

/// True if a path is one of the Administration API.
pub(crate) fn is_administration(path: &str) -> bool {
    ["/v1/organization", "/v1/projects"].iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Result of matching a request against the routing table.
pub(crate) enum Target<'a> {
    /// An endpoint that serves the method and path.
    Endpoint(&'a Endpoint),
    /// A known path without the requested method; the value of the `allow` header.
    OtherMethods(&'a HeaderValue),
    /// No known path.
    Unrouted,
}

/// Endpoint outside the gateway.
pub(crate) enum Endpoint {
    /// An operation of the Administration API.
    Operation(Box<Operation>, Arc<OperationMetrics>),
    /// Liveness: `/healthz`.
    Health,
    /// Readiness: `/readyz`.
    Readiness,
    /// The OpenAPI document.
    Document(Bytes),
    /// Metrics in Prometheus format.
    Metrics,
}

/// Routing table.
pub(crate) struct Routes(matchit::Router<RouteEntry>);

/// Endpoints of one path.
struct RouteEntry {
    endpoints: Vec<(Method, Endpoint)>,
    /// Value of the `allow` header.
    allowed: HeaderValue,
}

impl Routes {
    /// Builds the routing table, with or without `/metrics`.
    pub(crate) fn new(metrics: &Metrics, with_metrics: bool) -> Self {
        let operations = admin::operations();
        let document = document(&operations).to_string().into();
        let mut own = vec![
            ("/healthz", Endpoint::Health),
            ("/readyz", Endpoint::Readiness),
            ("/openapi.json", Endpoint::Document(document)),
        ];
        if with_metrics {
            own.push(("/metrics", Endpoint::Metrics));
        }
        let own = own
            .into_iter()
            .map(|(route, endpoint)| (route.to_owned(), Method::GET, endpoint));
        let operations = operations.into_iter().map(|operation| {
            let route = format!("/v1{}", operation.path);
            let known = metrics.operation(&operation, &route);
            let method = operation.method.clone();
            let endpoint = Endpoint::Operation(Box::new(operation), known);
            (route, method, endpoint)
        });
        let mut routes = BTreeMap::<_, Vec<_>>::new();
        for (route, method, endpoint) in operations.chain(own) {
            routes.entry(route).or_default().push((method, endpoint));
        }
        let mut router = matchit::Router::new();
        for (route, endpoints) in routes {
            let inserted = router.insert(route, RouteEntry::new(endpoints));
            inserted.expect("routes differ by more than the names of their parameters");
        }
        Self(router)
    }

    /// Finds the endpoint of a method and path. `HEAD` is served wherever `GET` is.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Target<'_> {
        let Ok(found) = self.0.at(path) else {
            return Target::Unrouted;
        };
        let place = found.value;
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut endpoints = place.endpoints.iter();
        match endpoints.find(|(own, _)| own == method) {
            Some((_, endpoint)) => Target::Endpoint(endpoint),
            None => Target::OtherMethods(&place.allowed),
        }
    }
}

impl RouteEntry {
    fn new(endpoints: Vec<(Method, Endpoint)>) -> Self {
        let methods = endpoints.iter().map(|(method, _)| match method.as_str() {
            "GET" => "GET,HEAD",
            other => other,
        });
        let methods = methods.collect::<Vec<_>>().join(",");
        Self {
            endpoints,
            allowed: HeaderValue::try_from(methods).expect("methods are plain text"),
        }
    }
}
