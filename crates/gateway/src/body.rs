//! Bodies: a request's is read whole, within bounds; an answer's is whole or passes through.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::stored::Passing;
use crate::stream::Stream;

/// The longest request body that is accepted, in bytes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// The longest pause between two pieces of a request body.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// What is set aside for a body before its first byte came, whatever its header announces.
const MAX_ANNOUNCED: usize = 1024 * 1024;

/// Refuses headers that make no sense or announce too much, before anything is read.
///
/// # Errors
/// 413 or 400.
pub(crate) fn check_headers(headers: &HeaderMap) -> Result<()> {
    let header = |name| {
        headers
            .get(name)
            .map(|value: &http::HeaderValue| value.to_str().unwrap_or_default())
    };
    if let Some(length) = header(CONTENT_LENGTH) {
        let length: u64 = length.parse().map_err(|_| {
            Error::refused(
                "invalid_header",
                "The Content-Length header is not a number.",
            )
        })?;
        if length > MAX_REQUEST_BYTES as u64 {
            return Err(Error::too_large(MAX_REQUEST_BYTES));
        }
    }
    if header(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        let message =
            "The Content-Encoding of a request must be identity: send the body uncompressed.";
        return Err(Error::refused("invalid_header", message));
    }
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        let message = "There is more than one Authorization header; send one.";
        return Err(Error::refused("invalid_header", message));
    }
    Ok(())
}

/// Reads a request's body to its end. A body that comes in one piece is not copied.
///
/// # Errors
/// 413 when it is too long, 408 when it does not come in time, 400 when it breaks off.
pub(crate) async fn read<B>(body: B) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes>,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(MAX_PAUSE, body.frame())
            .await
            .map_err(|_| Error::too_slow())?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| {
            Error::refused(
                "incomplete_body",
                "The request body broke off before its end.",
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > MAX_REQUEST_BYTES {
            return Err(Error::too_large(MAX_REQUEST_BYTES));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(announced.min(MAX_ANNOUNCED));
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Whole(Bytes),
    Stream(Box<Stream>),
    Passing(Box<Passing>),
}

impl Body {
    pub(crate) fn stream(stream: Stream) -> Self {
        Self(Kind::Stream(Box::new(stream)))
    }

    pub(crate) fn passing(passing: Passing) -> Self {
        Self(Kind::Passing(Box::new(passing)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Whole(bytes.into()))
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
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Stream(stream) => stream
                .poll_next(context)
                .map(|next| next.map(|piece| piece.map(Frame::data))),
            Kind::Passing(passing) => passing
                .poll_next(context)
                .map(|next| next.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Stream(_) | Kind::Passing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
            Kind::Passing(passing) => passing.size_hint(),
        }
    }
}

/// The model server broke off, or fell silent, in the middle of its answer; so does the answer to the client.
#[derive(Clone, Copy, Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model server broke off its answer")
    }
}

impl std::error::Error for BrokenOff {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a body; it stalls at a `None`.
    struct Pieces(Vec<Option<Result<Bytes, BrokenOff>>>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = BrokenOff;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
            match self.0.first() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(_)) => Poll::Ready(self.0.remove(0).map(|piece| piece.map(Frame::data))),
            }
        }
    }

    fn piece(text: &'static str) -> Option<Result<Bytes, BrokenOff>> {
        Some(Ok(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_to_its_end_or_refused() {
        let status = |read: Result<Bytes>| read.err().map(|error| error.status.as_u16());
        let whole = read(Pieces(vec![piece("ab"), piece(""), piece("c"), piece("d")])).await;
        assert_eq!(whole.ok().as_deref(), Some(&b"abcd"[..]));
        let broken = read(Pieces(vec![piece("ab"), Some(Err(BrokenOff))])).await;
        assert_eq!(status(broken), Some(400));
        assert_eq!(
            status(read(Pieces(vec![piece("ab"), None])).await),
            Some(408)
        );
        let long: &'static str = "x".repeat(MAX_REQUEST_BYTES / 2 + 1).leak();
        assert_eq!(
            status(read(Pieces(vec![piece(long), piece(long)])).await),
            Some(413)
        );
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let text = "one piece";
        let whole = read(Pieces(vec![piece(text)])).await.expect("a body");
        assert_eq!(whole.as_ptr(), text.as_ptr());
    }
}
