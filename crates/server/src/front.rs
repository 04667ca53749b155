//! What every request passes first and every answer last.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use admin::Services;
use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use base::Error;
use base::ids::{Id, RequestId};
use base::time::Stopwatch;
use futures_util::FutureExt;
use gateway::Gateway;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use telemetry::Tracer;
use tower::Service;

use crate::cors::Cors;
use crate::leftover::Leftover;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::routes::{Endpoint, Routes, Target, is_administration};
use crate::sign_ins::{Attempt, SignIns};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static VERSION: HeaderName = HeaderName::from_static("openai-version");
static TIME: HeaderName = HeaderName::from_static("openai-processing-ms");

/// Everything that is served on one address. Clones are the same.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

/// What it is made of.
pub(crate) struct Parts {
    pub(crate) services: Arc<Services>,
    pub(crate) gateway: Gateway,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracer: Tracer,
    pub(crate) routes: Routes,
    pub(crate) readiness: Readiness,
    pub(crate) sign_ins: Arc<SignIns>,
    pub(crate) cors: Cors,
}

impl Front {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl<B> Service<Request<B>> for Front
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { Ok(parts.serve(request).await) })
    }
}

impl Parts {
    /// Gives every answer its request id, its time and the API's version, and tells browsers which pages may read it.
    async fn serve<B>(&self, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let watch = Stopwatch::start();
        let is_head = request.method() == Method::HEAD;
        let target = self.routes.find(request.method(), request.uri().path());
        let mut watched = match target {
            Target::Endpoint(Endpoint::Operation(_, known)) => {
                Some(known.watch(&request, &self.tracer, watch))
            }
            _ => None,
        };
        let cors = self.cors.request(&request);
        let preflight = cors.as_ref().and_then(|cors| cors.preflight(&request));
        let (request, leftover) = Leftover::watch(request);
        let mut response = match preflight {
            Some(response) => response,
            None => self.guarded(&target, request).await,
        };
        if is_head {
            behead(&mut response);
        }
        let status = response.status();
        let headers = response.headers_mut();
        self.sign(headers, watch);
        if let Some(cors) = cors {
            cors.sign(headers);
        }
        if let Some(watched) = &mut watched {
            watched.answered(status, headers.get(&REQUEST_ID));
        }
        if let Some(leftover) = leftover {
            leftover.settle(headers).await;
        }
        response
    }

    /// Answers; a panic becomes an answer, too.
    async fn guarded(&self, target: &Target<'_>, request: Request<Body>) -> Response {
        let attempt = Attempt::of(&request);
        let answered = self.authenticated(attempt.as_ref(), target, request);
        let answered = AssertUnwindSafe(answered).catch_unwind();
        answered.await.unwrap_or_else(|_| {
            tracing::error!("a handler panicked");
            Error::internal().response()
        })
    }

    /// Answers, unless the client has shown too many keys that are not good; takes note of whether this one is.
    async fn authenticated(
        &self,
        attempt: Option<&Attempt>,
        target: &Target<'_>,
        request: Request<Body>,
    ) -> Response {
        let Some(attempt) = attempt else {
            return self.answer(target, request).await;
        };
        if let Err(error) = self.sign_ins.admit(attempt) {
            return error.response();
        }
        let response = self.answer(target, request).await;
        self.sign_ins.settle(attempt, &response);
        response
    }

    async fn answer(&self, target: &Target<'_>, request: Request<Body>) -> Response {
        let endpoint = match target {
            Target::Endpoint(endpoint) => endpoint,
            Target::OtherMethods(allowed) => return method_not_allowed(&request, allowed),
            Target::Elsewhere => return Box::pin(self.elsewhere(request)).await,
        };
        match endpoint {
            Endpoint::Operation(operation, _) => operation.answer(&self.services, request).await,
            Endpoint::Health => json("{\"status\":\"ok\"}"),
            Endpoint::Readiness => self.readiness.answer(&self.services).await,
            Endpoint::Document(document) => json(document.clone()),
            Endpoint::Metrics => self.metrics.response(),
        }
    }

    /// What has no route is the gateway's, as far as it lies below `/v1` and is not administration.
    async fn elsewhere(&self, request: Request<Body>) -> Response {
        let path = request.uri().path();
        if is_administration(path) || !path.starts_with("/v1/") {
            return Error::unknown_path(path).response();
        }
        self.gateway.handle(request).await.map(Body::new)
    }

    /// Adds what every answer has and this one has not yet.
    fn sign(&self, headers: &mut HeaderMap, watch: Stopwatch) {
        if !headers.contains_key(&REQUEST_ID) {
            let id: RequestId = self.services.ids.next();
            if let Ok(id) = HeaderValue::from_str(id.as_str()) {
                headers.insert(&REQUEST_ID, id);
            }
        }
        let version = || HeaderValue::from_static("2020-10-01");
        headers.entry(&VERSION).or_insert_with(version);
        let time = || HeaderValue::from(watch.milliseconds());
        headers.entry(&TIME).or_insert_with(time);
    }
}

/// Leaves of an answer what a HEAD request is to know of it.
fn behead(response: &mut Response) {
    let length = response.body().size_hint().exact();
    *response.body_mut() = Body::empty();
    if let Some(length) = length {
        let entry = response.headers_mut().entry(header::CONTENT_LENGTH);
        entry.or_insert_with(|| HeaderValue::from(length));
    }
}

fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn method_not_allowed(request: &Request<Body>, allowed: &HeaderValue) -> Response {
    let error = Error::method_not_allowed(request.method().as_str(), request.uri().path());
    let mut response: Response = error.response();
    response
        .headers_mut()
        .insert(header::ALLOW, allowed.clone());
    response
}
