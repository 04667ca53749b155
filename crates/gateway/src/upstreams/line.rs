//! A connection in HTTP/1.1, which carries one request at a time. No task of its own drives it: who waits for the answer
//! does. So nobody else has to be woken, and what is read from the socket is passed on in the same step.

use std::future::poll_fn;
use std::mem::take;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base::time::Stopwatch;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use tokio::task::unconstrained;

use super::connect::Stream;
use super::pool::Pool;

/// Such a connection.
pub(super) struct Line(Box<Parts>);

struct Parts {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    connection: Option<Connection<Stream, Full<Bytes>>>,
    /// Whether an answer came on it.
    is_used: bool,
    /// Since when nobody uses it.
    idle: Stopwatch,
}

impl Line {
    pub(super) async fn begin(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(stream).await?;
        Ok(Self(Box::new(Parts {
            sender,
            connection: Some(connection),
            is_used: false,
            idle: Stopwatch::start(),
        })))
    }

    /// Sends a request, and waits for the head of its answer. The error has the request if nothing of it was sent.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        // Nothing but the connection resolves it, so it has to wake nobody, nor to yield by itself.
        let Parts {
            sender, connection, ..
        } = &mut *self.0;
        let mut answer = pin!(unconstrained(sender.try_send_request(request)));
        let answer = poll_fn(|context| {
            drive(connection, context);
            answer.as_mut().poll(&mut nobody())
        });
        let answer = answer.await?;
        self.0.is_used = true;
        Ok(answer)
    }

    /// Whether it has not ended, as far as can be seen without waiting.
    pub(super) fn is_open(&mut self) -> bool {
        drive(&mut self.0.connection, &mut nobody());
        self.0.connection.is_some()
    }

    /// Whether an answer came on it.
    pub(super) fn is_used(&self) -> bool {
        self.0.is_used
    }

    /// From now on nobody uses it.
    pub(super) fn rests(&mut self) {
        self.0.idle = Stopwatch::start();
    }

    /// How long nobody has used it.
    pub(super) fn idle(&self) -> Duration {
        self.0.idle.elapsed()
    }

    /// Whether it can carry the next request.
    fn is_ready(&mut self) -> bool {
        self.is_open() && self.0.sender.is_ready()
    }
}

/// Goes on with whatever can be done; a connection that has ended is dropped, which tells who waits for an answer.
fn drive(connection: &mut Option<Connection<Stream, Full<Bytes>>>, context: &mut Context<'_>) {
    if let Some(open) = connection
        && Pin::new(open).poll(context).is_ready()
    {
        *connection = None;
    }
}

fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The body of an upstream's answer.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    /// What it comes on, until its end, and where that belongs then. `None` as well where others come on it too.
    line: Option<(Line, Arc<Pool>)>,
    /// The bytes that were read before the answer is passed on.
    ahead: Bytes,
    /// The error that broke the body off while they were read.
    broken: Option<hyper::Error>,
}

impl AnswerBody {
    /// One that comes on this connection, which is of use to others after its end.
    pub(super) fn on_line(incoming: Incoming, line: Line, pool: Arc<Pool>) -> Self {
        let mut body = Self {
            incoming,
            line: Some((line, pool)),
            ahead: Bytes::new(),
            broken: None,
        };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// One that comes on a connection that a task drives.
    pub(super) fn shared(incoming: Incoming) -> Self {
        Self {
            incoming,
            line: None,
            ahead: Bytes::new(),
            broken: None,
        }
    }

    /// Reads the beginning of the answer: so many bytes and what comes with them, or all there is. It comes once more when the
    /// answer is read, and so does what breaks it off. Dropped before its end, it has lost nothing.
    pub(super) async fn read_ahead(&mut self, most: usize) -> &[u8] {
        while self.ahead.len() < most && self.broken.is_none() {
            let frame = poll_fn(|context| Pin::new(&mut *self).poll_upstream(context)).await;
            match frame {
                None => break,
                Some(Err(error)) => self.broken = Some(error),
                Some(Ok(frame)) => {
                    let piece = frame.into_data().unwrap_or_default();
                    self.ahead = if self.ahead.is_empty() {
                        piece
                    } else {
                        [&self.ahead[..], &piece].concat().into()
                    };
                }
            }
        }
        &self.ahead
    }

    /// True if the upstream broke off while the beginning was read.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The next of what the upstream sends.
    fn poll_upstream(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { incoming, line, .. } = &mut *self;
        let mut incoming = Pin::new(incoming);
        let Some((line, _)) = line else {
            return incoming.poll_frame(context);
        };
        // As above: nothing but the connection puts something in.
        let mut frame = incoming.as_mut().poll_frame(&mut nobody());
        if frame.is_pending() {
            drive(&mut line.0.connection, context);
            frame = incoming.as_mut().poll_frame(&mut nobody());
        }
        if matches!(frame, Poll::Ready(None)) || incoming.is_end_stream() {
            self.release();
        }
        frame
    }

    fn release(&mut self) {
        if let Some((mut line, pool)) = self.line.take()
            && line.is_ready()
        {
            pool.put(line);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(take(&mut self.ahead)))));
        }
        match self.broken.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None => self.poll_upstream(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.broken.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_rest, ahead) = (self.incoming.size_hint(), self.ahead.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(of_rest.lower().saturating_add(ahead));
        if let Some(upper) = of_rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}
