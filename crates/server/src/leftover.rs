//! What a refusal leaves unread of a request: it is read and thrown away, so that the connection can carry the next
//! request. When there is too much of it, the answer says that the connection ends here; else a client would send its
//! next request into a connection that is about to be closed.

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

/// How much is read and thrown away, in bytes, and how long that may take.
const MOST: u64 = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Receives what is left of a request's body when its handler is done with it.
pub(crate) struct Leftover {
    body: oneshot::Receiver<Body>,
    /// Whether the client waits for a go-ahead before it sends the body: then it is not asked for.
    waits: bool,
}

impl Leftover {
    /// The request for its handler. `None` when nothing can be left that is in the way of another request: there is no
    /// body, or HTTP/2 has a stream for each request.
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
        let waits = request.headers().contains_key(EXPECT);
        let (unread, body) = oneshot::channel();
        let watched = |body| {
            Body::new(Watched {
                body: Some(body),
                unread: Some(unread),
            })
        };
        (request.map(watched), Some(Self { body, waits }))
    }

    /// Reads it to its end, within bounds; otherwise says in the answer that the connection ends.
    pub(crate) async fn settle(mut self, answer: &mut HeaderMap) {
        let Ok(body) = self.body.try_recv() else {
            return;
        };
        if self.waits || !discard(body).await {
            let close = http::HeaderValue::from_static("close");
            answer.insert(http::header::CONNECTION, close);
        }
    }
}

/// Reads a body and keeps nothing of it; whether it came to its end in time.
async fn discard(body: Body) -> bool {
    if body.size_hint().lower() > MOST {
        return false;
    }
    let all = async {
        let (mut pieces, mut length) = (body.into_data_stream(), 0);
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if length + piece.len() as u64 <= MOST => length += piece.len() as u64,
                _ => return false,
            }
        }
        true
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or(false)
}

/// A body that goes to its [`Leftover`] when it is dropped before its end.
struct Watched<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// `None` once it has gone.
    body: Option<B>,
    /// `None` once there is nothing left.
    unread: Option<oneshot::Sender<Body>>,
}

impl<B> HttpBody for Watched<B>
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

impl<B> Drop for Watched<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn drop(&mut self) {
        if let Some(unread) = self.unread.take()
            && let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            // Nobody waits for it any more when the client has hung up.
            let _ = unread.send(Body::new(body));
        }
    }
}
