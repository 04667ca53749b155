//! What is asked of an upstream that keeps something, and its answers.

use std::sync::Arc;

use access::stored::{Kind, Object};
use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use proxy::{ForwardRequest, Target, UpstreamResponse};
use serde::Deserialize;

use super::place::is_plausible;
use super::{ObjectShare, Passing, path_of};
use crate::dialect::JSON;
use crate::router::Context;
use crate::upstreams::ForwardFailure;
use crate::{Body, Shared, headers};

/// The longest answer that is looked at, in bytes.
const MAX_WHOLE: usize = 4 * 1024 * 1024;

const BETA: HeaderName = HeaderName::from_static("openai-beta");

/// A question to an upstream.
pub(super) struct Question {
    pub(super) method: Method,
    /// What follows the base URL, with a slash in front.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The share of the project's bounds, given back when the question has been answered.
    pub(super) share: Arc<ObjectShare>,
}

/// An answer that came to its end.
pub(super) struct Whole {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Question {
    /// Makes the client's request one to the upstream, with this body of JSON, if any.
    pub(super) fn of_client(context: &Context, body: Bytes) -> Self {
        let kind = (!body.is_empty()).then_some(JSON);
        Self::of_client_with(context, body, kind)
    }

    /// Makes the client's request one to the upstream, with a body of this type.
    pub(super) fn of_client_with(
        context: &Context,
        body: Bytes,
        kind: Option<HeaderValue>,
    ) -> Self {
        let uri = &context.head.uri;
        let path = uri.path();
        let mut headers = context.head.headers.clone();
        // Projects share the account, so one could be answered what another was that chose the same key.
        headers.remove(headers::IDEMPOTENCY_KEY);
        headers.remove(CONTENT_TYPE);
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind);
        }
        Self {
            method: context.head.method.clone(),
            path: path.strip_prefix("/v1").unwrap_or(path).to_owned(),
            query: uri.query().map(str::to_owned),
            headers,
            body,
            share: Arc::clone(&context.share),
        }
    }

    /// A question of our own about something, or about this part of it.
    pub(super) fn of_ours(method: Method, object: &Object, part: &str) -> Self {
        let mut headers = HeaderMap::new();
        if object.kind == Kind::VectorStore {
            headers.insert(BETA, HeaderValue::from_static("assistants=v2"));
        }
        Self {
            method,
            path: format!("{}/{}{part}", path_of(object.kind), object.id),
            query: None,
            headers,
            body: Bytes::new(),
            share: Arc::default(),
        }
    }
}

impl Shared {
    /// Asks an upstream; comes back with the beginning of its answer.
    pub(super) async fn ask(&self, route: Target, question: Question) -> Result<UpstreamResponse> {
        let request = ForwardRequest {
            method: question.method,
            path: question.path.into(),
            query: question.query,
            headers: question.headers,
            can_ask_for_usage: false,
        };
        let (body, share) = (question.body, question.share);
        let answer = self
            .upstreams
            .send(vec![route], request, |_, _| body.clone());
        let answer = answer.await;
        drop(share);
        answer.map_err(|error| ForwardFailure::from(error).error)
    }

    /// Asks an upstream, and reads its answer.
    pub(super) async fn ask_whole(&self, route: Target, question: Question) -> Result<Whole> {
        Whole::read(self.ask(route, question).await?).await
    }

    /// Asks about something, on our own.
    pub(super) async fn ask_about(&self, object: &Object) -> Result<Whole> {
        let question = Question::of_ours(Method::GET, object, "");
        self.ask_whole(self.keeper_of(object)?, question).await
    }

    /// The upstream that keeps something.
    ///
    /// # Errors
    /// 503: its operator has taken it out of the configuration.
    pub(super) fn keeper_of(&self, object: &Object) -> Result<Target> {
        let route = self.upstreams.by_name(&object.upstream);
        route.ok_or_else(|| {
            let message = format!(
                "The model server that keeps this {} is not configured any more. Tell its operator.",
                object.kind.noun()
            );
            Error::overloaded(message, 60)
        })
    }
}

impl Whole {
    async fn read(answer: UpstreamResponse) -> Result<Self> {
        let deadline = answer.deadline();
        let (head, body) = answer.response.into_parts();
        let mut passing = Passing::new(deadline, body);
        let mut body = BytesMut::new();
        while let Some(piece) = passing.next().await {
            let broken = |_| Error::upstream("The model server broke off its answer.");
            let piece = piece.map_err(broken)?;
            if body.len() + piece.len() > MAX_WHOLE {
                return Err(Error::upstream("The model server's answer is too long."));
            }
            body.extend_from_slice(&piece);
        }
        let body = body.freeze();
        Ok(Self { head, body })
    }

    pub(super) fn is_success(&self) -> bool {
        self.head.status.is_success()
    }

    /// Whether it says that there is no such thing. A proxy's page does not.
    pub(super) fn says_gone(&self) -> bool {
        let is_missing = [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&self.head.status);
        let kind = self.head.headers.get(CONTENT_TYPE);
        is_missing && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
    }

    /// The id of what it is about.
    ///
    /// # Errors
    /// 502: it has none, or one that no path can have.
    pub(super) fn id(&self) -> Result<String> {
        let named = serde_json::from_slice::<Named>(&self.body);
        let id = named.ok().map(|named| named.id);
        id.filter(|id| is_plausible(id))
            .ok_or_else(|| Error::upstream("The model server's answer has no id that can be used."))
    }

    /// Passes it on.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.head.status;
        *response.headers_mut() = headers::to_client(self.head.headers, false);
        response
    }
}

/// An answer that passes as it comes, which has this share of its project's bounds until then.
pub(super) fn passed(answer: UpstreamResponse, share: &Arc<ObjectShare>) -> Response<Passing> {
    let deadline = answer.deadline();
    let (head, body) = answer.response.into_parts();
    let passing = Passing::new(deadline, body).sharing(Arc::clone(share));
    let mut response = Response::new(passing);
    *response.status_mut() = head.status;
    *response.headers_mut() = headers::to_client(head.headers, false);
    response
}
