//! HTTP service in front of everything: common headers, CORS, authentication throttling, panics, draining of unread
//! bodies.

use std::convert::Infallible;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use admin::Services;
use admin::operation::Effect;
use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use base::ids::{Id, RequestId};
use base::time::Stopwatch;
use base::{Error, NotOffered};
use futures_util::FutureExt;
use gateway::Gateway;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use identity::Identity;
use pages::asset::{ASSETS_PATH, asset_response};
use pages::{Crumb, ErrorPage, Link, Preferences};
use telemetry::Tracer;
use tower::Service;

use crate::authentication::{Attempt, AuthenticationGuard};
use crate::console::{ConsoleService, is_console};
use crate::cors::Cors;
use crate::drain_body::DrainBody;
use crate::metrics::Metrics;
use crate::public_url::{ForeignOrigin, PublicOrigin};
use crate::readiness::Readiness;
use crate::routes::{Endpoint, Routes, Target, is_administration};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static VERSION: HeaderName = HeaderName::from_static("openai-version");
static REVISION: HeaderName = HeaderName::from_static("x-orgplane-revision");
static TIME: HeaderName = HeaderName::from_static("openai-processing-ms");

/// Service that answers every request on one address. Clones share their state.
#[derive(Clone)]
pub struct HttpService(Arc<HttpServiceParts>);

/// Dependencies of the service.
pub(crate) struct HttpServiceParts {
    pub(crate) services: Arc<Services>,
    pub(crate) gateway: Gateway,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracer: Tracer,
    pub(crate) routes: Routes,
    pub(crate) readiness: Readiness,
    pub(crate) authentication: Arc<AuthenticationGuard>,
    pub(crate) identity: Identity,
    pub(crate) public_origin: PublicOrigin,
    pub(crate) cors: Cors,
    /// The console; absent if it is switched off.
    pub(crate) console: Option<ConsoleService>,
}

impl HttpService {
    pub(crate) fn new(parts: HttpServiceParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl<B> Service<Request<B>> for HttpService
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

impl HttpServiceParts {
    /// Serves a request and adds the common headers: request id, processing time, API version, CORS.
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
                Some(known.observe(&request, &self.tracer, watch))
            }
            _ => None,
        };
        let cors = self.cors.request(&request);
        let preflight = cors.as_ref().and_then(|cors| cors.preflight(&request));
        let (request, unread_body) = DrainBody::watch(request);
        let mut response = match preflight {
            Some(response) => response,
            None => self.guarded(&target, request).await,
        };
        if is_head {
            strip_body(&mut response);
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
        if let Some(unread_body) = unread_body {
            unread_body.settle(headers).await;
        }
        response
    }

    /// Serves a request; a panic becomes a 500 response.
    async fn guarded(&self, target: &Target<'_>, request: Request<Body>) -> Response {
        let attempt = Attempt::of(&request);
        let answered = self.authenticated(attempt.as_ref(), target, request);
        let answered = AssertUnwindSafe(answered).catch_unwind();
        answered.await.unwrap_or_else(|_| {
            tracing::error!("handler panicked");
            Error::internal().response()
        })
    }

    /// Serves a request unless its client is throttled, and reports the outcome of the authentication to the
    /// throttle.
    async fn authenticated(
        &self,
        attempt: Option<&Attempt>,
        target: &Target<'_>,
        request: Request<Body>,
    ) -> Response {
        let Some(attempt) = attempt else {
            return self.answer(target, request).await;
        };
        if let Err(error) = self.authentication.admit(attempt) {
            if Identity::serves(request.uri().path()) {
                return Identity::error_page(error);
            }
            return error.response();
        }
        if let Some(named) = request.headers().get(&REVISION) {
            // Boxed, since few requests name one.
            Box::pin(self.wait_for_revision(named.clone())).await;
        }
        let response = self.answer(target, request).await;
        self.authentication.settle(attempt, &response);
        response
    }

    async fn answer(&self, target: &Target<'_>, request: Request<Body>) -> Response {
        let endpoint = match target {
            Target::Endpoint(endpoint) => endpoint,
            Target::OtherMethods(allowed) => return method_not_allowed(&request, allowed),
            Target::Unrouted => return self.unrouted(request).await,
        };
        match endpoint {
            Endpoint::Operation(operation, _) => {
                let mut response = operation.answer(&self.services, request).await;
                if matches!(operation.effect, Effect::Write | Effect::Open)
                    && response.status().is_success()
                {
                    let revision = HeaderValue::from(self.services.directory.revision());
                    response.headers_mut().insert(&REVISION, revision);
                }
                response
            }
            Endpoint::Health => json("{\"status\":\"ok\"}"),
            Endpoint::Readiness => self.readiness.answer(&self.services).await,
            Endpoint::Document(document) => json(document.clone()),
            Endpoint::Metrics => self.metrics.response(),
        }
    }

    /// Waits until this node has the revision that a request names: that of a change which another node has answered.
    async fn wait_for_revision(&self, named: HeaderValue) {
        let named = named.to_str().ok();
        if let Some(revision) = named.and_then(|named| named.parse().ok()) {
            self.services.directory.wait_for_revision(revision).await;
        }
    }

    /// Serves a page for browsers, which works only under the base URL, or passes a path without a route to the gateway if it
    /// lies below `/v1` and outside the Administration API; else answers 404.
    ///
    /// The futures differ much in size. Each has its own box, so that requests to the gateway, which are the most frequent,
    /// do not pay for moving the largest of them.
    fn unrouted(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Response> + Send + '_>> {
        let path = request.uri().path();
        if path.starts_with("/v1/") && !is_administration(path) {
            let answer = self.gateway.handle(request);
            return Box::pin(answer.map(|response| response.map(Body::new)));
        }
        let console = self.console.as_ref().filter(|_| is_console(path));
        let is_identity = Identity::serves(path);
        if console.is_none() && !is_identity {
            return Box::pin(ready(impersonal(&request)));
        }
        let is_for_browsers = !is_identity || Identity::is_for_browsers(path);
        if is_for_browsers && let Err(foreign) = self.public_origin.check(&request) {
            return Box::pin(ready(foreign_page(&request, &foreign)));
        }
        match console {
            Some(console) if !is_identity => Box::pin(console.answer(request)),
            _ => Box::pin(self.identity.answer(request)),
        }
    }

    /// Adds the common headers that the response lacks.
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

/// Returns the page that leads to the same page under the base URL.
fn foreign_page(request: &Request<Body>, foreign: &ForeignOrigin) -> Response {
    let way_on = Crumb {
        label: format!("Open {}", foreign.base),
        link: Link::to_path(&foreign.url),
    };
    let page = ErrorPage {
        status: StatusCode::BAD_REQUEST,
        title: "This page is at another address",
        message: &foreign.message(),
        preferences: &Preferences::of(request.headers()),
        way_on: Some(&way_on),
    };
    page.render().into_response()
}

/// Removes the body of a response to `HEAD`, keeping its length.
fn strip_body(response: &mut Response) {
    let length = response.body().size_hint().exact();
    *response.body_mut() = Body::empty();
    if let Some(length) = length {
        let entry = response.headers_mut().entry(header::CONTENT_LENGTH);
        entry.or_insert_with(|| HeaderValue::from(length));
    }
}

/// Answers a request whose answer does not depend on the one who asks: for an asset, for `/` without a console, or for a path
/// that nothing serves.
fn impersonal(request: &Request<Body>) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    if path.starts_with(ASSETS_PATH) {
        return assets(request);
    }
    if path == "/" && matches!(*method, Method::GET | Method::HEAD) {
        return Identity::to_account();
    }
    let refusal = NotOffered::check(method.as_str(), path).err();
    refusal
        .unwrap_or_else(|| Error::unknown_path(path))
        .response()
}

/// Answers a request for an asset of pages.
fn assets(request: &Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed(request, &HeaderValue::from_static("GET,HEAD"));
    }
    asset_response(request.uri().path(), request.headers())
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
