//! The bodies of answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use base::Result;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::flights::Registered;
use crate::guarded::Guarded;
use crate::stored::Passing;
use crate::stream::Stream;

/// The body of an answer.
pub struct Body(BodyKind);

enum BodyKind {
    Whole(Bytes),
    /// An answer of a model, which is metered.
    Stream(Guarded<Stream>),
    /// An answer about a stored object, which passes unread.
    Passing(Guarded<Passing>),
}

impl Body {
    pub(crate) fn stream(stream: Stream, registered: Registered) -> Self {
        Self(BodyKind::Stream(Guarded::new(stream, registered)))
    }

    pub(crate) fn passing(passing: Passing, registered: Registered) -> Self {
        Self(BodyKind::Passing(Guarded::new(passing, registered)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(BodyKind::Whole(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(BodyKind::Whole(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.0 {
            BodyKind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            BodyKind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            BodyKind::Stream(stream) => stream
                .poll_next(context)
                .map(|next| next.map(|piece| piece.map(Frame::data))),
            BodyKind::Passing(passing) => passing
                .poll_next(context)
                .map(|next| next.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            BodyKind::Whole(bytes) => bytes.is_empty(),
            BodyKind::Stream(_) | BodyKind::Passing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            BodyKind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            BodyKind::Stream(stream) => stream.size_hint(),
            BodyKind::Passing(passing) => passing.size_hint(),
        }
    }
}

/// The error of a body whose model server has broken off, or fallen silent, before the end of its answer.
#[derive(Clone, Copy, Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model server broke off its answer")
    }
}

impl std::error::Error for BrokenOff {}
