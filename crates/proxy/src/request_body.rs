//! Bodies of requests to upstreams: bytes, which can be sent again, or a stream, which can be sent once.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

/// Error of a streamed body that does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body of the request broke off")]
pub struct RequestBroken;

/// Body of a request. Clones are the same body.
#[derive(Clone)]
pub struct RequestBody(Content);

#[derive(Clone)]
enum Content {
    Bytes(Bytes),
    Stream(Arc<RequestStream>),
}

/// Streamed body, and the progress of sending it.
pub(crate) struct RequestStream {
    /// `None` once the body is being sent.
    body: Mutex<Option<UnsyncBoxBody<Bytes, RequestBroken>>>,
    is_sent: AtomicBool,
}

/// Body of an HTTP request.
pub(crate) enum HttpBody {
    Bytes(Option<Bytes>),
    Stream {
        /// `None` if the stream was sent before.
        body: Option<UnsyncBoxBody<Bytes, RequestBroken>>,
        stream: Arc<RequestStream>,
    },
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl RequestBody {
    /// Returns a body that is read while it is sent. The request cannot be repeated: it goes out on a new connection, or on a
    /// shared one over HTTP/2, and its target must be the only one.
    #[must_use]
    pub fn stream(body: impl Body<Data = Bytes, Error = RequestBroken> + Send + 'static) -> Self {
        Self(Content::Stream(Arc::new(RequestStream {
            body: Mutex::new(Some(body.boxed_unsync())),
            is_sent: AtomicBool::new(false),
        })))
    }

    /// True if the body is known to have no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Content::Bytes(bytes) if bytes.is_empty())
    }

    /// True if the body can be sent once only.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.0, Content::Stream(_))
    }

    /// True if a part of a streamed body has not been sent.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(&self.0, Content::Stream(stream) if !stream.is_sent.load(Ordering::Relaxed))
    }

    /// Returns the body of an HTTP request. A stream that was sent before breaks off at once.
    pub(crate) fn open(&self) -> HttpBody {
        match &self.0 {
            Content::Bytes(bytes) => {
                HttpBody::Bytes(Some(bytes.clone()).filter(|bytes| !bytes.is_empty()))
            }
            Content::Stream(stream) => {
                let mut body = stream.body.lock().unwrap_or_else(PoisonError::into_inner);
                HttpBody::Stream {
                    body: body.take(),
                    stream: Arc::clone(stream),
                }
            }
        }
    }
}

impl Body for HttpBody {
    type Data = Bytes;
    type Error = RequestBroken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBroken>>> {
        let (body, stream) = match &mut *self {
            Self::Bytes(bytes) => return Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Self::Stream { body, stream } => (body, stream),
        };
        let Some(body) = body else {
            return Poll::Ready(Some(Err(RequestBroken)));
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() || body.is_end_stream() {
            stream.is_sent.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Bytes(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream { body, .. } => body.as_ref().map(Body::size_hint).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    async fn read(body: &RequestBody) -> Option<Bytes> {
        let read = body.open().collect().await;
        read.ok().map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn bytes_are_sent_again_and_a_stream_is_not() {
        let bytes = RequestBody::from(Bytes::from_static(b"ab"));
        let stream = Full::new(Bytes::from_static(b"ab")).map_err(|never| match never {});
        let stream = RequestBody::stream(stream);
        assert!(!bytes.is_stream() && !bytes.is_unsent());
        assert!(stream.is_stream() && stream.is_unsent());
        for body in [&bytes, &stream] {
            assert_eq!(read(body).await.as_deref(), Some(&b"ab"[..]));
        }
        assert!(!stream.is_unsent());
        assert_eq!(read(&bytes).await.as_deref(), Some(&b"ab"[..]));
        assert_eq!(read(&stream.clone()).await, None);
        let empty = RequestBody::from(Bytes::new());
        assert!(empty.is_empty() && empty.open().is_end_stream());
    }
}
