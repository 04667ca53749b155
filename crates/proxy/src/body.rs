//! Bodies of responses.

use std::future::poll_fn;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::affinity::InFlightGuard;
use crate::http1::{Http1Connection, noop_context};
use crate::pool::Pool;

/// Body of an upstream's response. An HTTP/1.1 connection goes back to its pool at the end of the body; it is closed if the
/// body is dropped before.
pub struct ResponseBody {
    incoming: Incoming,
    /// HTTP/1.1 connection that the body comes on, until its end, and the pool that takes it back. `None` for HTTP/2.
    connection: Option<(Http1Connection, Arc<Pool>)>,
    /// Bytes that [`ResponseBody::peek`] has read.
    peeked: Bytes,
    /// Error that [`ResponseBody::peek`] came to.
    peeked_error: Option<hyper::Error>,
    /// Guard of the request, until the body is dropped.
    in_flight: Option<InFlightGuard>,
}

impl ResponseBody {
    /// Returns a body that comes on an HTTP/1.1 connection, which goes back to its pool at the end of the body, or on an HTTP/2
    /// connection, which a task drives.
    pub(crate) fn new(
        incoming: Incoming,
        connection: Option<(Http1Connection, Arc<Pool>)>,
    ) -> Self {
        let mut body = Self {
            incoming,
            connection,
            peeked: Bytes::new(),
            peeked_error: None,
            in_flight: None,
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// Counts the request as in flight until the body is dropped.
    pub(crate) fn hold(&mut self, in_flight: InFlightGuard) {
        self.in_flight = Some(in_flight);
    }

    /// Reads the beginning of the body without consuming it: at least `length` bytes, or all there are. What was read, and an
    /// error, is returned again when the body is read. Cancel-safe.
    pub(crate) async fn peek(&mut self, length: usize) -> &[u8] {
        while self.peeked.len() < length && self.peeked_error.is_none() {
            let frame = poll_fn(|context| Pin::new(&mut *self).poll_incoming(context)).await;
            match frame {
                None => break,
                Some(Err(error)) => self.peeked_error = Some(error),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    self.peeked = if self.peeked.is_empty() {
                        data
                    } else {
                        [&self.peeked[..], &data].concat().into()
                    };
                }
            }
        }
        &self.peeked
    }

    /// True if [`ResponseBody::peek`] came to an error.
    pub(crate) fn is_broken(&self) -> bool {
        self.peeked_error.is_some()
    }

    fn poll_incoming(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self {
            incoming,
            connection,
            ..
        } = &mut *self;
        let mut incoming = Pin::new(incoming);
        let Some((connection, _)) = connection else {
            return incoming.poll_frame(context);
        };
        // Only the connection, polled here, can bring a frame: its waker is enough.
        let mut frame = incoming.as_mut().poll_frame(&mut noop_context());
        if frame.is_pending() {
            connection.drive(context);
            frame = incoming.as_mut().poll_frame(&mut noop_context());
        }
        if matches!(frame, Poll::Ready(None)) || incoming.is_end_stream() {
            self.release();
        }
        frame
    }

    /// Puts the connection back into its pool, if it can carry another request.
    fn release(&mut self) {
        if let Some((mut connection, pool)) = self.connection.take()
            && connection.is_ready()
        {
            pool.put(connection);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if !self.peeked.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(take(&mut self.peeked)))));
        }
        match self.peeked_error.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None => self.poll_incoming(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.peeked.is_empty() && self.peeked_error.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, peeked) = (self.incoming.size_hint(), self.peeked.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(peeked));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(peeked));
        }
        hint
    }
}
