//! The body of a response of the gateway.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::abortable_body::{AbortableBody, BrokenOff};
use crate::objects::PassthroughBody;
use crate::relayed_body::RelayedBody;
use crate::watchdog::Registration;

/// The body of a response. A drop before the end means that the client has hung up.
pub struct Body(Variant);

enum Variant {
    Buffered(Bytes),
    Relayed(AbortableBody<RelayedBody>),
    Passthrough(AbortableBody<PassthroughBody>),
}

impl Body {
    /// Returns the body of a metered answer.
    pub(crate) fn relayed(body: RelayedBody, registration: Registration) -> Self {
        Self(Variant::Relayed(AbortableBody::new(body, registration)))
    }

    /// Returns the body of an answer that is not metered.
    pub(crate) fn passthrough(body: PassthroughBody, registration: Registration) -> Self {
        Self(Variant::Passthrough(AbortableBody::new(body, registration)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Variant::Buffered(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Variant::Buffered(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let next = match &mut self.0 {
            Variant::Buffered(bytes) if bytes.is_empty() => Poll::Ready(None),
            Variant::Buffered(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Variant::Relayed(body) => body.poll_next(context),
            Variant::Passthrough(body) => body.poll_next(context),
        };
        next.map(|next| next.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Variant::Buffered(bytes) => bytes.is_empty(),
            Variant::Relayed(_) | Variant::Passthrough(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Variant::Buffered(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Variant::Relayed(body) => body.size_hint(),
            Variant::Passthrough(body) => body.size_hint(),
        }
    }
}
