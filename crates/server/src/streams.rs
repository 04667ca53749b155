//! The requests of HTTP/2, each in a task of its own. Flow control lets a client leave an answer unread while the
//! connection is as lively as ever, so each task watches that its client takes something.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::task::TaskTracker;

use crate::activity::{Activity, UnderWay};
use crate::write_timeout::WRITE_TIMEOUT;

/// The most bytes of an answer that go into one frame, so that taking them is a sign of life.
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// The side that a request waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The handler, or what the body of the answer comes from.
    Server,
    /// The client, which has to take what there is.
    Client,
}

thread_local! {
    /// The side that the task polled on this thread waits for, if something has been said of it since it was last polled.
    static CURRENT_TURN: Cell<Option<Turn>> = const { Cell::new(None) };
}

/// Runs the requests of a connection over HTTP/2.
#[derive(Clone)]
pub(crate) struct Streams {
    tasks: TaskTracker,
    activity: Arc<Activity>,
}

impl Streams {
    /// Runs them as tasks of `tasks`.
    pub(crate) fn new(tasks: TaskTracker, activity: Arc<Activity>) -> Self {
        Self { tasks, activity }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let under_way = self.activity.request();
        self.tasks.spawn(async move {
            deliver(stream).await;
            drop(under_way);
        });
    }
}

/// Runs a request to its end, unless its client takes nothing of the answer for [`WRITE_TIMEOUT`]: then it is dropped, which
/// resets its stream.
async fn deliver(stream: impl Future) {
    let mut stream = pin!(stream);
    let mut stall = Stall::default();
    poll_fn(|context| {
        CURRENT_TURN.set(None);
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        stall.poll(CURRENT_TURN.take(), context)
    })
    .await;
}

/// The time for which a client has taken nothing.
#[derive(Default)]
struct Stall {
    timer: Option<Pin<Box<Sleep>>>,
    is_clients_turn: bool,
}

impl Stall {
    /// Is ready when the client has had its turn for too long. `turn` is the turn that has begun just now, if any.
    fn poll(&mut self, turn: Option<Turn>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(turn) = turn {
            self.is_clients_turn = turn == Turn::Client;
        }
        if !self.is_clients_turn {
            return Poll::Pending;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        if turn.is_some() {
            timer.as_mut().reset(Instant::now() + WRITE_TIMEOUT);
        }
        let stalled = timer.as_mut().poll(context);
        if stalled.is_ready() {
            tracing::debug!("stream reset: its client takes nothing of the answer");
        }
        stalled
    }
}

/// The body of an answer on its way to a client.
pub(crate) struct Delivery {
    body: Body,
    /// The rest of a frame that is delivered in pieces.
    rest: Bytes,
    /// The most bytes of a frame.
    limit: usize,
    /// The request, where no task of its own stands for it.
    _under_way: Option<UnderWay>,
}

impl Delivery {
    /// The body of an answer to a request on a connection, of which `under_way` is counted already if it is over HTTP/1.
    pub(crate) fn new(body: Body, under_way: Option<UnderWay>) -> Self {
        CURRENT_TURN.set(Some(Turn::Client));
        let is_http2 = under_way.is_none();
        Self {
            body,
            rest: Bytes::new(),
            limit: if is_http2 {
                MAX_FRAME_BYTES
            } else {
                usize::MAX
            },
            _under_way: under_way,
        }
    }
}

impl HttpBody for Delivery {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            if polled.is_pending() {
                CURRENT_TURN.set(Some(Turn::Server));
            }
            match ready!(polled) {
                Some(Ok(frame)) if frame.data_ref().is_some_and(|data| data.len() > self.limit) => {
                    self.rest = frame.into_data().unwrap_or_default();
                }
                other => {
                    CURRENT_TURN.set(Some(Turn::Client));
                    return Poll::Ready(other);
                }
            }
        }
        CURRENT_TURN.set(Some(Turn::Client));
        let length = self.limit.min(self.rest.len());
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
