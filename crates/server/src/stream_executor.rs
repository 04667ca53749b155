//! Executor of HTTP/2 streams, one task per request.
//!
//! Flow control allows a client to leave a response unread on an otherwise active connection. Each task therefore
//! measures the time for which its client accepts nothing.

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

use crate::activity::{ActiveRequest, Activity};
use crate::write_timeout::WRITE_TIMEOUT;

/// Maximum size of a DATA frame, in bytes, so that every accepted frame shows progress.
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// Side that a stream currently waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    /// The handler, or the source of the response body.
    Server,
    /// The client, which must accept available data.
    Client,
}

thread_local! {
    /// Side reported during the current poll of the task on this thread, if any.
    static WAITS_FOR: Cell<Option<WaitsFor>> = const { Cell::new(None) };
}

/// Executor of the streams of one connection.
#[derive(Clone)]
pub(crate) struct StreamExecutor {
    tasks: TaskTracker,
    activity: Arc<Activity>,
}

impl StreamExecutor {
    /// Creates an executor that spawns on `tasks`.
    pub(crate) fn new(tasks: TaskTracker, activity: Arc<Activity>) -> Self {
        Self { tasks, activity }
    }
}

impl<F> Executor<F> for StreamExecutor
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

/// Runs a stream until its end, or resets it by dropping it if its client accepts nothing for [`WRITE_TIMEOUT`].
async fn deliver(stream: impl Future) {
    let mut stream = pin!(stream);
    let mut stall = ClientStall::default();
    poll_fn(|context| {
        WAITS_FOR.set(None);
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        stall.poll(WAITS_FOR.take(), context)
    })
    .await;
}

/// Timer of a client that accepts nothing.
#[derive(Default)]
struct ClientStall {
    timer: Option<Pin<Box<Sleep>>>,
    waits_for_client: bool,
}

impl ClientStall {
    /// Ready after the client has been awaited for [`WRITE_TIMEOUT`]. `waits_for` is the side reported during this
    /// poll, if any.
    fn poll(&mut self, waits_for: Option<WaitsFor>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(waits_for) = waits_for {
            self.waits_for_client = waits_for == WaitsFor::Client;
        }
        if !self.waits_for_client {
            return Poll::Pending;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        if waits_for.is_some() {
            timer.as_mut().reset(Instant::now() + WRITE_TIMEOUT);
        }
        let stalled = timer.as_mut().poll(context);
        if stalled.is_ready() {
            tracing::debug!("stream reset: client accepts no data");
        }
        stalled
    }
}

/// Response body that reports its progress.
pub(crate) struct ResponseBody {
    body: Body,
    /// Remainder of a frame that is sent in pieces.
    rest: Bytes,
    /// Maximum size of a frame, in bytes.
    limit: usize,
    /// Running request over HTTP/1, which has no task of its own.
    _under_way: Option<ActiveRequest>,
}

impl ResponseBody {
    /// Wraps a response body. `under_way` is set for HTTP/1 only.
    pub(crate) fn new(body: Body, under_way: Option<ActiveRequest>) -> Self {
        WAITS_FOR.set(Some(WaitsFor::Client));
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

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            if polled.is_pending() {
                WAITS_FOR.set(Some(WaitsFor::Server));
            }
            match ready!(polled) {
                Some(Ok(frame)) if frame.data_ref().is_some_and(|data| data.len() > self.limit) => {
                    self.rest = frame.into_data().unwrap_or_default();
                }
                other => {
                    WAITS_FOR.set(Some(WaitsFor::Client));
                    return Poll::Ready(other);
                }
            }
        }
        WAITS_FOR.set(Some(WaitsFor::Client));
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
