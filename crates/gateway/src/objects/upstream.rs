//! Requests to the upstreams that keep objects, and their answers: read whole, or passed through.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, request};
use http_body::{Body as _, SizeHint};
use proxy::{
    ForwardRequest, RequestBody, ResponseBody, ResponseDeadline, ResponseEnd, Target,
    UpstreamBilling, UpstreamResponse, Upstreams,
};
use serde::Deserialize;
use tokio::time::{Sleep, sleep};

use super::followed_response::FollowedResponse;
use super::quota::QuotaShare;
use super::repository::UpstreamObject;
use crate::abortable_body::{BodyContent, BrokenOff};
use crate::document::{StoredAnswer, StoredIdScanner};
use crate::headers;
use crate::object_kind::{ObjectKind, is_plausible};
use crate::state_recording::{StateRecorded, StateRecording};
use crate::upstreams::ForwardFailure;
use crate::watchdog::AbortReason;

/// The maximum length of an answer that is read whole.
const MAX_BUFFERED_BYTES: usize = 4 * 1024 * 1024;

const BETA: HeaderName = HeaderName::from_static("openai-beta");

const NOT_OFFERED: &str = "This deployment keeps no files, batches, vector stores, containers, conversations, responses or chat \
                           completions. Its operator can set stores = true for an upstream that stores them.";

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

    /// Asks for an answer without a content coding, so that it can be read.
    pub(super) fn uncompressed(mut self) -> Self {
        self.forwarded.headers.remove(ACCEPT_ENCODING);
        self
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

    /// True if the upstream says that the object does not exist.
    pub(super) fn is_gone(&self) -> bool {
        is_gone(self.head.status, &self.head.headers)
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
    /// Recording of the items of a list; `None` of any other answer.
    list: Option<Box<ListRecording>>,
    /// Reader of a response that is not metered yet; `None` of any other answer.
    followed: Option<Box<FollowedResponse>>,
}

/// The recording of the items of a list that passes through. The last bytes are held back until it is complete.
struct ListRecording {
    ids: StoredIdScanner,
    /// `None` once the list has ended.
    recording: Option<StateRecording>,
    recorded: Option<StateRecorded>,
    held: Option<Bytes>,
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
            list: None,
            followed: None,
        };
        (head, body)
    }

    /// Returns the response for the client, which holds a share of the project's quota until its end.
    pub(super) fn response(answer: UpstreamResponse, share: &Arc<QuotaShare>) -> Response<Self> {
        let (head, mut body) = Self::of(answer);
        body._share = Some(Arc::clone(share));
        response(head, body)
    }

    /// Records the items of the answer, a list.
    pub(super) fn record_items(&mut self, recording: StateRecording) {
        self.list = Some(Box::new(ListRecording {
            ids: StoredIdScanner::new(StoredAnswer::ItemList),
            recording: Some(recording),
            recorded: None,
            held: None,
        }));
    }

    /// Reads the answer, a response, as it passes.
    pub(super) fn follow(&mut self, followed: FollowedResponse) {
        self.followed = Some(Box::new(followed));
    }

    /// Returns the next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl ListRecording {
    /// Reads the next bytes, and returns those before.
    fn pass(&mut self, chunk: Bytes) -> Option<Bytes> {
        self.ids.feed(&chunk);
        self.held.replace(chunk)
    }

    /// Ends the list, and returns its last bytes once its items are recorded. Those that could not be can be listed again.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(recording) = self.recording.take() {
            self.recorded = recording.finish(&self.ids, None);
        }
        if let Some(recorded) = &mut self.recorded {
            // An error is logged where it happens.
            let _ = ready!(recorded.as_mut().poll(context));
            self.recorded = None;
        }
        Poll::Ready(self.held.take())
    }

    fn has_ended(&self) -> bool {
        self.recording.is_none()
    }
}

impl PassthroughBody {
    /// Returns the next bytes that the upstream sends; `None` at the end.
    fn poll_upstream(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
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
}

impl BodyContent for PassthroughBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            if let Some(list) = &mut self.list
                && list.has_ended()
            {
                return list.poll_end(context).map(|last| last.map(Ok));
            }
            let next = ready!(self.poll_upstream(context));
            let Some(list) = &mut self.list else {
                if let Some(followed) = &mut self.followed {
                    followed.read(next.as_ref());
                }
                return Poll::Ready(next);
            };
            match next {
                Some(Ok(chunk)) => {
                    if let Some(before) = list.pass(chunk) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Some(Err(broken_off)) => return Poll::Ready(Some(Err(broken_off))),
                None => return list.poll_end(context).map(|last| last.map(Ok)),
            }
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

/// True if an upstream that answers so says that an object does not exist. An error page of a proxy does not say that.
pub(super) fn is_gone(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_missing = [StatusCode::NOT_FOUND, StatusCode::GONE].contains(&status);
    let is_json =
        |content_type: &HeaderValue| content_type.as_bytes().starts_with(b"application/json");
    is_missing && headers.get(CONTENT_TYPE).is_some_and(is_json)
}

fn response<B>(head: Parts, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = headers::to_client(head.headers, false);
    response
}
