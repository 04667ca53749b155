//! Which path goes where, and what every answer carries.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use admin::Services;
use admin::operation::document;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use base::Error;
use base::ids::RequestId;
use base::time::Stopwatch;
use futures_util::FutureExt;
use gateway::Gateway;
use http::{HeaderValue, StatusCode, header};

use telemetry::Tracer;

use crate::leftover::Leftover;
use crate::metrics::Metrics;

/// Everything that is served on one address.
pub(crate) fn router(
    services: &Arc<Services>,
    gateway: &Gateway,
    metrics: &Arc<Metrics>,
    tracer: &Tracer,
) -> Router {
    let document = document(&admin::operations()).to_string();
    let openapi = move || async move { json(document) };
    let ready_services = Arc::clone(services);
    let ready = move || async move { readiness(&ready_services).await };
    let gateway = gateway.clone();
    let fallback = move |request: Request| async move { elsewhere(&gateway, request).await };
    let dressing = Arc::new(Dressing {
        services: Arc::clone(services),
        metrics: Arc::clone(metrics),
        tracer: tracer.clone(),
    });
    admin::router(services)
        .route("/healthz", get(|| async { json("{\"status\":\"ok\"}") }))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(openapi))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(fallback)
        .layer(from_fn_with_state(dressing, dress))
}

/// What every answer is dressed with, and what sees it.
struct Dressing {
    services: Arc<Services>,
    metrics: Arc<Metrics>,
    tracer: Tracer,
}

/// Metrics, for anybody who can reach them.
pub(crate) fn metrics(metrics: &Arc<Metrics>) -> Router {
    let metrics = Arc::clone(metrics);
    let handler = move || async move {
        let mut response = Response::new(Body::from(metrics.text()));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
        response
    };
    Router::new().route("/metrics", get(handler))
}

fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

async fn readiness(services: &Services) -> Response {
    let migrated = match services.store.read().await {
        Ok(mut connection) => connection.is_migrated().await.unwrap_or(false),
        Err(_) => false,
    };
    if migrated && services.directory.is_fresh() {
        return json("{\"status\":\"ready\"}");
    }
    let mut response = json("{\"status\":\"not ready\"}");
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// What is not administration is the gateway's, as far as it lies below `/v1`.
async fn elsewhere(gateway: &Gateway, request: Request) -> Response {
    let path = request.uri().path();
    let is_administration = ["/v1/organization", "/v1/projects"].iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_administration || !path.starts_with("/v1/") {
        return Error::unknown_path(path).response();
    }
    gateway.handle(request).await.map(Body::new)
}

async fn method_not_allowed(request: Request) -> Response {
    Error::method_not_allowed(request.method().as_str(), request.uri().path()).response()
}

/// Gives every answer its request id, its time and the API's version; makes a panic an answer too.
async fn dress(dressing: State<Arc<Dressing>>, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let mut administration = dressing.metrics.administration(&request, &dressing.tracer);
    let (request, leftover) = Leftover::watch(request);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Error::internal().response()
    });
    let status = response.status();
    let headers = response.headers_mut();
    if !headers.contains_key("x-request-id") {
        let id: RequestId = dressing.services.ids.next();
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-request-id", id);
        }
    }
    headers
        .entry("openai-version")
        .or_insert(HeaderValue::from_static("2020-10-01"));
    headers
        .entry("openai-processing-ms")
        .or_insert_with(|| HeaderValue::from(watch.milliseconds()));
    if let Some(administration) = &mut administration {
        administration.answered(status, headers);
    }
    if let Some(leftover) = leftover {
        leftover.settle(headers).await;
    }
    response
}
