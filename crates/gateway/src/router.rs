//! Which endpoint a path is, and what every answer has in common.

use std::sync::Arc;

use base::ids::RequestId;
use base::time::Stopwatch;
use base::{Error, Permission, Result};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};

use crate::dialect::Dialect;
use crate::flights::Registered;
use crate::identify::Caller;
use crate::limits::RateLimitStatus;
use crate::stored::{ObjectShare, Place};
use crate::watched::Watched;
use crate::{Body, Gateway, headers, models, websocket};

/// An endpoint of the gateway.
enum Endpoint {
    /// One that is forwarded to models.
    Forwarded(&'static Dialect),
    /// Something that model servers keep, or a list of it.
    Stored(Place),
    /// A response that a model server keeps, or something about it.
    StoredResponse,
    Models,
    Model(String),
}

/// A model server keeps responses without knowing whose they are, and we do not keep which server has which.
const NOT_KEPT: &str = "Responses cannot be fetched, deleted, cancelled or listed through this gateway: it keeps none, and does not \
                        know which project one of a model server's belongs to. Keep what /v1/responses answers.";

/// A request on its way, and what is known about it so far.
pub(crate) struct Context {
    pub(crate) id: RequestId,
    pub(crate) head: Parts,
    /// Whose key it has, once that is known.
    pub(crate) organization: Option<HeaderValue>,
    /// Until it is admitted.
    pub(crate) watched: Watched,
    /// Status of the rate limits that the request counts under, once it is known.
    pub(crate) rate_limits: RateLimitStatus,
    /// The share that a request about something that upstreams keep has of its project's bounds.
    pub(crate) share: Arc<ObjectShare>,
}

impl Endpoint {
    /// The endpoint at `path`, and the methods that it has.
    fn at(path: &str) -> Option<(&'static [Method], Self)> {
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
        if let Some((methods, place)) = Place::at(path) {
            return Some((methods, Self::Stored(place)));
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
}

impl Endpoint {
    /// Its path below `/v1`, as metrics and traces name it.
    fn name(&self) -> &'static str {
        match self {
            Self::Forwarded(dialect) => dialect.path,
            Self::Stored(place) => place.name(),
            Self::StoredResponse => "/responses/{response_id}",
            Self::Models => "/models",
            Self::Model(_) => "/models/{model}",
        }
    }
}

impl Gateway {
    /// Answers a request; a refusal becomes an answer here.
    pub(crate) async fn route<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let watch = Stopwatch::start();
        let (head, body) = request.into_parts();
        let watched = Watched::begin(&self.0.metrics, &self.0.tracer, &head);
        let mut context = Context {
            id: self.0.ids.next(),
            head,
            organization: None,
            watched,
            rate_limits: RateLimitStatus::default(),
            share: Arc::default(),
        };
        let answer = self.answer(&mut context, body).await;
        let outcome = answer.as_ref().map(Response::status);
        context.watched.end(&context.id, outcome);
        let mut response = answer.unwrap_or_else(|refusal| refusal.response());
        context.rate_limits.write_headers(response.headers_mut());
        headers::sign(&mut response, &context.id, context.organization, watch);
        response
    }

    async fn answer<B>(&self, context: &mut Context, body: B) -> Result<Response<Body>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let path = context.head.uri.path();
        if websocket::is_asked_for(&context.head) {
            return Ok(websocket::refusal());
        }
        let (methods, endpoint) = Endpoint::at(path).ok_or_else(|| Error::unknown_path(path))?;
        if !methods.contains(&context.head.method) {
            let refusal = Error::method_not_allowed(context.head.method.as_str(), path);
            let mut response: Response<Body> = refusal.response();
            let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            let allowed = HeaderValue::from_str(&names.join(", "));
            let allowed = allowed.map_err(|_| Error::internal())?;
            response.headers_mut().insert(http::header::ALLOW, allowed);
            return Ok(response);
        }
        context.watched.is_for(endpoint.name());
        match endpoint {
            Endpoint::Forwarded(dialect) => self.relay(dialect, context, body).await,
            // Rare, and large: it has a place of its own, so that every other request is smaller by it.
            Endpoint::Stored(place) => Box::pin(self.stored(place, context, body)).await,
            Endpoint::StoredResponse => {
                self.caller(context, Permission::ModelRequest).await?;
                Err(Error::refused("stored_responses_unavailable", NOT_KEPT))
            }
            Endpoint::Models => {
                let caller = self.reader(context).await?;
                Ok(self.0.models.list(caller.level().models.as_ref()))
            }
            Endpoint::Model(name) => {
                let caller = self.reader(context).await?;
                models::retrieve(&self.0.upstreams, &name, &caller)
            }
        }
    }

    /// Checks that the caller may look at models. A query means nothing here, and is passed over: programs add their version,
    /// or the time against caches.
    async fn reader(&self, context: &mut Context) -> Result<Caller> {
        let caller = self.caller(context, Permission::ModelRead).await?;
        self.touch(&caller);
        Ok(caller)
    }

    /// The caller, who needs this permission.
    pub(crate) async fn caller(&self, context: &mut Context, needs: Permission) -> Result<Caller> {
        crate::request_body::check_headers(&context.head.headers)?;
        let caller = self.0.identify(&context.head.headers).await?;
        context.organization = Some(caller.key.organization.header.clone());
        context.watched.is_of(&caller.key);
        caller.check_certificate(&context.head, &self.0.clock)?;
        caller.require(needs)?;
        Ok(caller)
    }

    /// Registers a request whose body has come, and looks at its caller once more: what was revoked, or set, while the body
    /// came holds. What is revoked from now on ends the request.
    ///
    /// # Errors
    /// Those of [`Self::caller`].
    pub(crate) fn caller_again(
        &self,
        context: &Context,
        before: &Caller,
        needs: Permission,
    ) -> Result<(Caller, Registered)> {
        // In this order: a revocation in between is seen by the one or by the other.
        let registered = self.0.flights.register(before.hashes, &before.key, needs);
        let caller = self.0.identify_again(before.hashes)?;
        caller.check_certificate(&context.head, &self.0.clock)?;
        caller.require(needs)?;
        Ok((caller, registered))
    }

    /// Notes that a key was used.
    pub(crate) fn touch(&self, caller: &Caller) {
        let key = &caller.key;
        let last_used = &self.0.last_used;
        last_used.touch(&key.organization.id, &key.id, key.user());
    }
}

/// Refuses any query: a parameter that changed nothing would be taken for one that works, and one that an upstream reads could
/// ask for something else than was checked.
///
/// # Errors
/// 400 naming the parameter.
pub(crate) fn no_query(query: Option<&str>) -> Result<()> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(());
    };
    let name: String = query
        .chars()
        .take_while(|it| !"=&".contains(*it))
        .take(80)
        .collect();
    let message = format!("{name} is not a parameter of this endpoint; it has none.");
    Err(Error::invalid(name, message))
}
