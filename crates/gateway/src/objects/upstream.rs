//! Requests to the upstreams that keep objects, and their answers: read whole, or passed through.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::ids::MAX_ID_LENGTH;
use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, request};
use http_body::{Body as _, SizeHint};
use proxy::{
    ForwardRequest, RequestBody, ResponseBody, ResponseDeadline, ResponseEnd, Target,
    UpstreamBilling, UpstreamResponse, Upstreams,
};
use serde::Deserialize;
use tokio::time::{Sleep, sleep};

use super::quota::QuotaShare;
use super::repository::UpstreamObject;
use crate::abortable_body::{BodyContent, BrokenOff};
use crate::headers;
use crate::object_kind::ObjectKind;
use crate::upstreams::ForwardFailure;
use crate::watchdog::AbortReason;

/// The maximum length of an answer that is read whole.
const MAX_BUFFERED_BYTES: usize = 4 * 1024 * 1024;

const BETA: HeaderName = HeaderName::from_static("openai-beta");

const NOT_OFFERED: &str = "This deployment keeps no files, batches, vector stores or containers. Its operator can set stores = true for one \
                           of its upstreams.";

/// Sends requests to the upstreams that keep objects.
pub(crate) struct ObjectClient(pub(crate) Arc<Upstreams>);

/// A request to an upstream.
pub(super) struct UpstreamRequest {
    forwarded: ForwardRequest,
    body: RequestBody,
    /// Share of the project's quota, released once the head of the answer has come.
    pub(super) share: Arc<QuotaShare>,
}

/// An answer that was read whole.
pub(super) struct BufferedResponse {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

#[derive(Deserialize)]
struct WithId {
    id: String,
}

impl UpstreamRequest {
    /// Returns a client's request with a new body, of this content type unless the body is empty.
    pub(super) fn of_client(
        head: &request::Parts,
        share: &Arc<QuotaShare>,
        body: impl Into<RequestBody>,
        content_type: HeaderValue,
    ) -> Self {
        let (path, body) = (head.uri.path(), body.into());
        let mut headers = head.headers.clone();
        // Projects share the upstream's account: with the same key, one would get the answer to the request of another.
        headers.remove(headers::IDEMPOTENCY_KEY);
        headers.remove(CONTENT_TYPE);
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, content_type);
        }
        let forwarded = ForwardRequest {
            method: head.method.clone(),
            path: path.strip_prefix("/v1").unwrap_or(path).to_owned().into(),
            query: head.uri.query().map(str::to_owned),
            headers,
            can_ask_for_usage: false,
        };
        Self {
            forwarded,
            body,
            share: Arc::clone(share),
        }
    }

    /// Returns a request of the gateway itself about an object; `suffix` is appended to the object's path.
    pub(super) fn of_gateway(method: Method, object: &UpstreamObject, suffix: &str) -> Self {
        let mut headers = HeaderMap::new();
        if object.kind == ObjectKind::VectorStore {
            headers.insert(BETA, HeaderValue::from_static("assistants=v2"));
        }
        let forwarded = ForwardRequest {
            method,
            path: format!("{}/{}{suffix}", object.kind.path(), object.id).into(),
            query: None,
            headers,
            can_ask_for_usage: false,
        };
        Self {
            forwarded,
            body: Bytes::new().into(),
            share: Arc::default(),
        }
    }
}

impl ObjectClient {
    /// Returns the upstream that new objects are created at.
    ///
    /// # Errors
    /// 404: no upstream keeps objects.
    pub(crate) fn storage(&self) -> Result<Target> {
        self.0.storage().ok_or_else(|| Error {
            status: StatusCode::NOT_FOUND,
            ..Error::refused("not_offered", NOT_OFFERED)
        })
    }

    /// Returns the upstream that keeps an object.
    ///
    /// # Errors
    /// 503: the upstream is not configured any more.
    pub(super) fn upstream_of(&self, object: &UpstreamObject) -> Result<Target> {
        self.0.by_name(&object.upstream).ok_or_else(|| {
            let message = format!(
                "The model server that keeps this {} is not configured any more. Tell its operator.",
                object.kind.noun()
            );
            Error::overloaded(message, 60)
        })
    }

    /// Returns the effect on prices of the upstream that keeps an object, if the upstream is still configured.
    pub(super) fn billing_of(&self, object: &UpstreamObject) -> UpstreamBilling {
        let target = self.0.by_name(&object.upstream);
        target.map(|target| target.billing()).unwrap_or_default()
    }

    /// Sends a request, and returns the answer once its head has come.
    pub(super) async fn send(
        &self,
        target: Target,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse> {
        let UpstreamRequest {
            forwarded,
            body,
            share,
        } = request;
        let answer = self.0.send(vec![target], forwarded, |_, _| body.clone());
        let answer = answer.await;
        drop(share);
        answer.map_err(|error| ForwardFailure::from(error).error)
    }

    /// Sends a request, and reads its answer whole.
    pub(super) async fn send_buffered(
        &self,
        target: Target,
        request: UpstreamRequest,
    ) -> Result<BufferedResponse> {
        BufferedResponse::read(self.send(target, request).await?).await
    }

    /// Fetches the upstream's description of an object.
    pub(super) async fn fetch(&self, object: &UpstreamObject) -> Result<BufferedResponse> {
        let request = UpstreamRequest::of_gateway(Method::GET, object, "");
        self.send_buffered(self.upstream_of(object)?, request).await
    }
}

impl BufferedResponse {
    async fn read(answer: UpstreamResponse) -> Result<Self> {
        let (head, mut answer) = PassthroughBody::of(answer);
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.next().await {
            let aborted = |_| Error::upstream("The model server broke off its answer.");
            let chunk = chunk.map_err(aborted)?;
            if body.len() + chunk.len() > MAX_BUFFERED_BYTES {
                return Err(Error::upstream("The model server's answer is too long."));
            }
            body.extend_from_slice(&chunk);
        }
        let body = body.freeze();
        Ok(Self { head, body })
    }

    pub(super) fn is_success(&self) -> bool {
        self.head.status.is_success()
    }

    /// True if the upstream says that the object does not exist. An error page of a proxy does not say that.
    pub(super) fn is_gone(&self) -> bool {
        let is_missing = [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&self.head.status);
        let content_type = self.head.headers.get(CONTENT_TYPE);
        let is_json =
            |content_type: &HeaderValue| content_type.as_bytes().starts_with(b"application/json");
        is_missing && content_type.is_some_and(is_json)
    }

    /// Returns the id of the object that the answer describes.
    ///
    /// # Errors
    /// 502: the id is missing, or no path can contain it.
    pub(super) fn id(&self) -> Result<String> {
        let id = serde_json::from_slice::<WithId>(&self.body).map(|it| it.id);
        id.ok()
            .filter(|id| is_plausible(id))
            .ok_or_else(|| Error::upstream("The model server's answer has no id that can be used."))
    }

    /// Returns the response for the client.
    pub(super) fn into_response(self) -> Response<Bytes> {
        response(self.head, self.body)
    }
}

/// The body of an answer that passes through to the client unread. It breaks off if the upstream is silent for too long.
pub(crate) struct PassthroughBody {
    body: ResponseBody,
    deadline: ResponseDeadline,
    idle_timer: Pin<Box<Sleep>>,
    /// Share of the project's quota, released at the end.
    _share: Option<Arc<QuotaShare>>,
}

impl PassthroughBody {
    /// Returns the head and the body of an answer.
    pub(super) fn of(answer: UpstreamResponse) -> (Parts, Self) {
        let deadline = answer.deadline();
        let (head, body) = answer.response.into_parts();
        let body = Self {
            body,
            idle_timer: Box::pin(sleep(deadline.left())),
            deadline,
            _share: None,
        };
        (head, body)
    }

    /// Returns the response for the client, which holds a share of the project's quota until its end.
    pub(super) fn response(answer: UpstreamResponse, share: &Arc<QuotaShare>) -> Response<Self> {
        let (head, mut body) = Self::of(answer);
        body._share = Some(Arc::clone(share));
        response(head, body)
    }

    /// Returns the next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl BodyContent for PassthroughBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.idle_timer.as_mut().poll(context));
                self.deadline.record_end(ResponseEnd::TimedOut);
                return Poll::Ready(Some(Err(BrokenOff)));
            };
            self.idle_timer.set(sleep(self.deadline.left()));
            return Poll::Ready(match frame {
                None => {
                    self.deadline.record_end(ResponseEnd::Complete);
                    None
                }
                Some(Err(_)) => {
                    self.deadline.record_end(ResponseEnd::Broken);
                    Some(Err(BrokenOff))
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => Some(Ok(chunk)),
                    Err(_trailers) => continue,
                },
            });
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn overdue(&self) -> Option<Duration> {
        self.deadline.overdue()
    }

    /// Drops the answer: it is not metered, so there is nothing to drain.
    fn abandon(self, _: AbortReason) {}
}

/// True if a path segment can be an id, or a word between ids. No server could take it for a part of another path.
pub(super) fn is_plausible(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_ID_LENGTH).contains(&segment.len()) && segment.bytes().all(is_plain)
}

fn response<B>(head: Parts, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = headers::to_client(head.headers, false);
    response
}
