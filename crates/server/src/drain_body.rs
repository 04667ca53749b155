//! Draining of request bodies that a handler has not read.
//!
//! A small rest is read and discarded, so that the connection can carry the next request. For a larger rest the
//! response says `connection: close`; otherwise the client would send its next request into a closing connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use futures_util::StreamExt;
use http::header::EXPECT;
use http::{HeaderMap, Request, Version};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// Maximum number of bytes drained per request.
const MAX_DRAIN_BYTES: u64 = 256 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Receiver of the unread part of a request body.
pub(crate) struct DrainBody {
    body: oneshot::Receiver<Body>,
    /// True if the client sent `expect: 100-continue` and waits with its body: the body is then not read.
    expects_continue: bool,
}

impl DrainBody {
    /// Wraps the request body so that its unread part is returned here. `None` if no rest can block a later request:
    /// the request has no body, or uses HTTP/2, where each request has its own stream.
    pub(crate) fn watch<B>(request: Request<B>) -> (Request<Body>, Option<Self>)
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if request.body().is_end_stream() {
            return (request.map(|_| Body::empty()), None);
        }
        if request.version() == Version::HTTP_2 {
            return (request.map(Body::new), None);
        }
        let expects_continue = request.headers().contains_key(EXPECT);
        let (unread, body) = oneshot::channel();
        let watched = |body| {
            Body::new(ObservedBody {
                body: Some(body),
                unread: Some(unread),
            })
        };
        (
            request.map(watched),
            Some(Self {
                body,
                expects_continue,
            }),
        )
    }

    /// Drains the rest within `MAX_DRAIN_BYTES` and `DRAIN_TIMEOUT`; otherwise adds `connection: close` to the
    /// response.
    pub(crate) async fn settle(mut self, answer: &mut HeaderMap) {
        let Ok(body) = self.body.try_recv() else {
            return;
        };
        if self.expects_continue || !discard(body).await {
            let close = http::HeaderValue::from_static("close");
            answer.insert(http::header::CONNECTION, close);
        }
    }
}

/// Reads a body and discards it. Returns true if the end was reached within the limits.
async fn discard(body: Body) -> bool {
    if body.size_hint().lower() > MAX_DRAIN_BYTES {
        return false;
    }
    let all = async {
        let (mut pieces, mut length) = (body.into_data_stream(), 0);
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if length + piece.len() as u64 <= MAX_DRAIN_BYTES => {
                    length += piece.len() as u64;
                }
                _ => return false,
            }
        }
        true
    };
    tokio::time::timeout(DRAIN_TIMEOUT, all)
        .await
        .unwrap_or(false)
}

/// Request body that is handed to its [`DrainBody`] if it is dropped before its end.
struct ObservedBody<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// `None` after the body was handed over.
    body: Option<B>,
    /// `None` after the end of the body.
    unread: Option<oneshot::Sender<Body>>,
}

impl<B> HttpBody for ObservedBody<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = &frame {
            self.unread = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = SizeHint::with_exact(0);
        self.body.as_ref().map_or(none, HttpBody::size_hint)
    }
}

impl<B> Drop for ObservedBody<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn drop(&mut self) {
        if let Some(unread) = self.unread.take()
            && let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            // Nobody expects_continue for it any more when the client has hung up.
            let _ = unread.send(Body::new(body));
        }
    }
}
