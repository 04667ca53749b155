//! Which path goes where.

use std::collections::BTreeMap;
use std::sync::Arc;

use admin::operation::{Operation, document};
use axum::body::Bytes;
use http::{HeaderValue, Method};

use crate::metrics::{Known, Metrics};

/// True if a path is one of the Administration API.
pub(crate) fn is_administration(path: &str) -> bool {
    ["/v1/organization", "/v1/projects"].iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// What a request is to.
pub(crate) enum Target<'a> {
    /// What is served there.
    Endpoint(&'a Endpoint),
    /// Something that is served by other methods: these.
    OtherMethods(&'a HeaderValue),
    /// Nothing that has a route.
    Elsewhere,
}

/// What is served at a path by a method.
pub(crate) enum Endpoint {
    /// An operation of the Administration API.
    Operation(Box<Operation>, Arc<Known>),
    /// Whether the process lives.
    Health,
    /// Whether it can answer.
    Readiness,
    /// The OpenAPI document.
    Document(Bytes),
    /// What operators watch.
    Metrics,
}

/// Every path that has a route.
pub(crate) struct Routes(matchit::Router<Place>);

/// What is served at a path.
struct Place {
    endpoints: Vec<(Method, Endpoint)>,
    /// The methods that it is served by.
    allowed: HeaderValue,
}

impl Routes {
    /// The routes of everything but the gateway, with those of the metrics or without.
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
            let known = metrics.know(&operation, &route);
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
            let inserted = router.insert(route, Place::new(endpoints));
            inserted.expect("routes differ by more than the names of their parameters");
        }
        Self(router)
    }

    /// What a request by this method to this path is to. Whatever can be read has a head.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Target<'_> {
        let Ok(found) = self.0.at(path) else {
            return Target::Elsewhere;
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

impl Place {
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
