//! The pipeline: wires the stages that a request passes, each of which knows none of the others.

mod model_request;
mod object_request;
mod socket_request;
mod socket_session;

use std::sync::Arc;

use base::ids::{IdGenerator, RequestId};
use base::time::Stopwatch;
use base::{Clock, Error, NotOffered, Result};
use bodies::Bodies;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use proxy::ApiFormat;
use telemetry::Tracer;
use usage::Recorder;

use crate::auth::Authenticator;
use crate::budget::SpendBudget;
use crate::caller::Caller;
use crate::endpoint::Endpoint;
use crate::flow::FlowControl;
use crate::forward::Forwarder;
use crate::limits::RateLimitStatus;
use crate::message_models::MessageModels;
use crate::metrics::GatewayMetrics;
use crate::models::{ModelCatalog, ModelListFormat};
use crate::objects::{Objects, QuotaShare};
use crate::options::Durability;
use crate::permission_rules::permission_of;
use crate::rate_limits::RateLimits;
use crate::request_body::RequestBody;
use crate::request_observer::RequestObserver;
use crate::response_body::Body;
use crate::watchdog::{Registration, Watchdog};
use crate::{headers, messages_api, request_body, socket};

/// The stages of the gateway.
pub(crate) struct Pipeline {
    pub(crate) ids: Arc<IdGenerator>,
    pub(crate) clock: Clock,
    pub(crate) auth: Authenticator,
    pub(crate) watchdog: Watchdog,
    pub(crate) flow: FlowControl,
    /// Store of captured bodies; `None` if capture is not configured.
    pub(crate) bodies: Option<Bodies>,
    pub(crate) budget: Arc<SpendBudget>,
    pub(crate) rate_limits: Arc<RateLimits>,
    pub(crate) recorder: Recorder,
    /// Condition under which a request is forwarded.
    pub(crate) admission: Durability,
    pub(crate) metrics: Arc<GatewayMetrics>,
    pub(crate) tracer: Tracer,
    pub(crate) forwarder: Forwarder,
    pub(crate) models: ModelCatalog,
    pub(crate) message_models: MessageModels,
    pub(crate) objects: Arc<Objects>,
}

/// A request, and the parts of its response that are known so far.
struct RequestContext {
    id: RequestId,
    /// API whose conventions the request and its response follow.
    api: ApiFormat,
    head: Parts,
    /// Header that names the organization of the key, once the key is known.
    organization: Option<HeaderValue>,
    /// Observer of the request, until an admitted request takes it over.
    observer: RequestObserver,
    /// Status of the rate limits that the request counts under.
    rate_limit_status: RateLimitStatus,
    /// Maximum length of the body.
    max_body_bytes: usize,
    /// Share of a request about objects in the quota of its project.
    quota_share: Arc<QuotaShare>,
}

impl Pipeline {
    /// Serves a request. A refusal becomes a response here.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        request: Request<impl RequestBody>,
    ) -> Response<Body> {
        let started = Stopwatch::start();
        let (head, body) = request.into_parts();
        let mut context = self.context(head);
        let served = self.dispatch(&mut context, body).await;
        let outcome = served.as_ref().map(Response::status);
        context.observer.finish(&context.id, outcome);
        let mut response = served.unwrap_or_else(|refusal| context.refusal(&refusal));
        let response_headers = response.headers_mut();
        if context.api == ApiFormat::Anthropic {
            messages_api::sign(response_headers, &context.id);
        }
        context.rate_limit_status.write_headers(response_headers);
        headers::sign(response_headers, &context.id, context.organization, started);
        response
    }

    /// Returns the context of a request that has this head, with an id of its own.
    fn context(&self, head: Parts) -> RequestContext {
        RequestContext {
            id: self.ids.next(),
            api: messages_api::of_request(&head),
            observer: RequestObserver::begin(&self.metrics, &self.tracer, &head),
            head,
            organization: None,
            rate_limit_status: RateLimitStatus::default(),
            max_body_bytes: request_body::MAX_REQUEST_BYTES,
            quota_share: Arc::default(),
        }
    }

    async fn dispatch(
        self: &Arc<Self>,
        context: &mut RequestContext,
        body: impl RequestBody,
    ) -> Result<Response<Body>> {
        let path = context.head.uri.path();
        if socket::is_asked_for(&context.head) {
            return Box::pin(self.serve_socket(context)).await;
        }
        let Some((methods, endpoint)) = Endpoint::at(&context.head.method, path) else {
            NotOffered::check(context.head.method.as_str(), path)?;
            return Err(Error::unknown_path(path));
        };
        if !methods.contains(&context.head.method) {
            NotOffered::check(context.head.method.as_str(), path)?;
            return method_not_allowed(context, methods);
        }
        if context.api == ApiFormat::Anthropic {
            messages_api::move_key(&mut context.head.headers)?;
        }
        context.observer.set_endpoint(endpoint.name());
        match endpoint {
            Endpoint::Forwarded(dialect) => self.serve_model(dialect, context, body).await,
            // Boxed, so that the future of every other request is smaller.
            Endpoint::Object(route) => Box::pin(self.serve_object(route, context, body)).await,
            // Queries are ignored but for one parameter: clients add the time against caches, and others.
            Endpoint::Models => {
                let caller = self.authenticate(context).await?;
                self.auth.record_use(&caller);
                let models = match context.api {
                    ApiFormat::OpenAi => {
                        let format = ModelListFormat::of(context.head.uri.query());
                        self.models.list(caller.level.models.as_ref(), format)
                    }
                    ApiFormat::Anthropic => self.message_models.list(&caller),
                };
                Ok(models.map(Body::from))
            }
            Endpoint::Model(name) => {
                let caller = self.authenticate(context).await?;
                self.auth.record_use(&caller);
                let model = match context.api {
                    ApiFormat::OpenAi => self.models.retrieve(&name, &caller)?,
                    ApiFormat::Anthropic => self.message_models.retrieve(&name, &caller)?,
                };
                Ok(model.map(Body::from))
            }
        }
    }

    /// Returns the caller of a request, who has the permission that the request requires.
    ///
    /// # Errors
    /// Those of [`Authenticator`] and [`permission_of`], and 400, 413, 415: the headers are invalid.
    async fn authenticate(&self, context: &mut RequestContext) -> Result<Caller> {
        let needs = permission_of(&context.head)?;
        request_body::check_headers(&context.head.headers, context.max_body_bytes)?;
        let caller = self.auth.authenticate(&context.head.headers).await?;
        context.organization = Some(caller.key.organization.header.clone());
        context.observer.set_key(&caller.key);
        self.auth.authorize(&caller, &context.head, needs)?;
        Ok(caller)
    }

    /// Registers a request whose body has come with the watchdog, and authenticates its caller again: revocations and changed
    /// settings take effect even if they happened while the body came.
    ///
    /// # Errors
    /// Those of [`Authenticator`] and [`permission_of`].
    fn authenticate_again(
        &self,
        context: &RequestContext,
        before: &Caller,
    ) -> Result<(Caller, Registration)> {
        let needs = permission_of(&context.head)?;
        // Registered first, so that a revocation in between is seen by the watchdog or by the look-up.
        let registration = self.watchdog.register(before.hashes, &before.key, needs);
        let caller = self.auth.authenticate_again(before, &context.head, needs)?;
        Ok((caller, registration))
    }
}

impl RequestContext {
    /// Returns the response of a refusal, in the envelope of the request's API.
    fn refusal(&self, error: &Error) -> Response<Body> {
        match self.api {
            ApiFormat::OpenAi => error.response(),
            ApiFormat::Anthropic => messages_api::error_response(error, &self.id),
        }
    }
}

fn method_not_allowed(context: &RequestContext, methods: &[Method]) -> Result<Response<Body>> {
    let head = &context.head;
    let refusal = Error::method_not_allowed(head.method.as_str(), head.uri.path());
    let mut response = context.refusal(&refusal);
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let allowed = HeaderValue::from_str(&names.join(", "));
    let allowed = allowed.map_err(|_| Error::internal())?;
    response.headers_mut().insert(http::header::ALLOW, allowed);
    Ok(response)
}
