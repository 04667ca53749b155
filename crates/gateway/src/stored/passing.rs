//! An answer that comes from an upstream and is not looked at on its way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, SizeHint};
use proxy::{ResponseBody, ResponseDeadline, ResponseEnd};
use tokio::time::{Sleep, sleep};

use super::ObjectShare;
use crate::BrokenOff;
use crate::flights::Ending;
use crate::guarded::Content;

/// The body of an upstream's answer; it breaks off when nothing comes for too long.
pub(crate) struct Passing {
    body: ResponseBody,
    deadline: ResponseDeadline,
    silence: Pin<Box<Sleep>>,
    /// The share of the project's bounds, given back at the end.
    share: Option<Arc<ObjectShare>>,
}

impl Passing {
    pub(super) fn new(deadline: ResponseDeadline, body: ResponseBody) -> Self {
        Self {
            body,
            silence: Box::pin(sleep(deadline.left())),
            deadline,
            share: None,
        }
    }

    /// Gives the answer this share of its project's bounds.
    pub(super) fn sharing(mut self, share: Arc<ObjectShare>) -> Self {
        self.share = Some(share);
        self
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl Content for Passing {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.silence.as_mut().poll(context));
                self.deadline.record_end(ResponseEnd::TimedOut);
                return Poll::Ready(Some(Err(BrokenOff)));
            };
            self.silence.set(sleep(self.deadline.left()));
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
                    Ok(piece) => Some(Ok(piece)),
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

    /// Does nothing: the answer is not metered, so it is not read on.
    fn abandon(self, _: Ending) {}
}
