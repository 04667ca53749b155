//! An answer that passes to the client as it comes and is not looked at.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::BrokenOff;

/// The body of an upstream's answer; breaks off when nothing comes for too long.
pub(crate) struct Passing {
    body: Incoming,
    /// The longest silence.
    patience: Duration,
    silence: Pin<Box<Sleep>>,
}

impl Passing {
    pub(super) fn new(body: Incoming, patience: Duration) -> Self {
        Self {
            body,
            patience,
            silence: Box::pin(sleep(patience)),
        }
    }

    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                return self
                    .silence
                    .as_mut()
                    .poll(context)
                    .map(|()| Some(Err(BrokenOff)));
            };
            self.silence.as_mut().reset(Instant::now() + self.patience);
            return Poll::Ready(match frame {
                None => None,
                Some(Err(_)) => Some(Err(BrokenOff)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => Some(Ok(piece)),
                    Err(_trailers) => continue,
                },
            });
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
