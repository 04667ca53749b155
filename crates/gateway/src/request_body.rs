//! The bodies of requests, which are read whole, within bounds of length, time and memory.

use std::pin::pin;
use std::time::Duration;

use base::{BudgetPermit, Coding, Error, Exhausted, Result, without_mark};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http_body_util::BodyExt;

use crate::offload::offload;

/// The longest request body.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// The longest part of an upload.
pub(crate) const MAX_PART_BYTES: usize = MAX_REQUEST_BYTES;
/// The longest form of a part.
pub(crate) const MAX_PART_FORM_BYTES: usize = MAX_PART_BYTES + 64 * 1024;
/// The longest pause between two pieces of a request body.
pub(crate) const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time from the head of a request to the end of its body.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// The least growth of the memory permit of a body whose length is not announced.
const MIN_GROWTH_BYTES: usize = 256 * 1024;

/// The body of a request.
pub(crate) trait RequestBody: http_body::Body<Data = Bytes> + Send + 'static {}

impl<B: http_body::Body<Data = Bytes> + Send + 'static> RequestBody for B {}

/// Checks the headers of a request before its body, of at most `max_bytes` bytes, is read.
///
/// # Errors
/// 413: the body is announced as too long. 415: an unsupported content coding. 400: a header is malformed or repeated.
pub(crate) fn check_headers(headers: &HeaderMap, max_bytes: usize) -> Result<()> {
    let header = |name| {
        headers
            .get(name)
            .map(|value: &http::HeaderValue| value.to_str().unwrap_or_default())
    };
    if let Some(length) = header(CONTENT_LENGTH) {
        let message = "The Content-Length header is not a number.";
        let wrong = |_| Error::refused("invalid_header", message);
        let length: u64 = length.parse().map_err(wrong)?;
        if length > max_bytes as u64 {
            return Err(Error::too_large(max_bytes));
        }
    }
    Coding::of(headers)?;
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        let message = "There is more than one Authorization header; send one.";
        return Err(Error::refused("invalid_header", message));
    }
    Ok(())
}

/// A request body with its memory permit, which is held until the last slice of the body is dropped.
struct ChargedBytes {
    bytes: Bytes,
    _memory: BudgetPermit,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns the refusal of a body for which there is no memory.
pub(crate) fn refusal(exhausted: Exhausted) -> Error {
    exhausted.refusal("The bytes of request bodies under way")
}

/// Reads a request body to its end, and decodes it if it has a content coding. A body that comes in one piece is not copied.
///
/// The announced length is charged to `memory` before the first byte is read, the rest as it comes, and the decoded body too.
/// The charge ends when the last slice of the body is dropped.
///
/// # Errors
/// 413: too long. 408: too slow. 400: incomplete, or not decodable. 415: an unsupported content coding. 429, 503: no memory.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: impl RequestBody,
    mut memory: BudgetPermit,
) -> Result<Bytes> {
    let coding = Coding::of(headers)?;
    let read = tokio::time::timeout(BODY_TIMEOUT, read_charged(body, &mut memory));
    let bytes = read.await.map_err(|_| Error::too_slow())??;
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let (bytes, _memory) = match coding {
        Some(coding) => decode(coding, bytes, memory).await?,
        None => (bytes, memory),
    };
    Ok(Bytes::from_owner(ChargedBytes { bytes, _memory }))
}

/// Decodes a body on another thread: a short body may decode to a long one, and the number of concurrent decoders is bounded so.
async fn decode(
    coding: Coding,
    encoded: Bytes,
    mut memory: BudgetPermit,
) -> Result<(Bytes, BudgetPermit)> {
    let decoded = offload(move || {
        let grow = |room: usize| charge(&mut memory, encoded.len() + room);
        let decoded = coding.decode(&encoded, MAX_REQUEST_BYTES, grow)?;
        drop(encoded);
        memory.shrink_to(decoded.capacity() as u64);
        Ok((Bytes::from(decoded), memory))
    });
    decoded.await?
}

/// Returns a JSON text without a byte order mark. RFC 8259 lets readers skip the mark, but some model servers do not.
pub(crate) fn json_text(body: &Bytes) -> Bytes {
    body.slice_ref(without_mark(body))
}

async fn read_charged(body: impl RequestBody, memory: &mut BudgetPermit) -> Result<Bytes> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let announced = announced.min(MAX_REQUEST_BYTES);
    memory.grow(announced as u64).map_err(refusal)?;
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(PIECE_TIMEOUT, body.frame())
            .await
            .map_err(|_| Error::too_slow())?;
        let Some(frame) = frame else { break };
        let message = "The request body broke off before its end.";
        let frame = frame.map_err(|_| Error::refused("incomplete_body", message))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > MAX_REQUEST_BYTES {
            return Err(Error::too_large(MAX_REQUEST_BYTES));
        }
        let length = first.len() + rest.len() + data.len();
        charge(memory, length)?;
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        grow(&mut rest, length.max(announced), memory)?;
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Grows the capacity of `rest` to at least `length` bytes: to twice as many as before, if that can be charged.
fn grow(rest: &mut BytesMut, length: usize, memory: &mut BudgetPermit) -> Result<()> {
    if length <= rest.capacity() {
        return Ok(());
    }
    let most = MAX_REQUEST_BYTES.max(length);
    let mut room = (rest.capacity() * 2).clamp(length, most);
    if charge(memory, room).is_err() {
        room = length;
        charge(memory, room)?;
    }
    let mut larger = BytesMut::with_capacity(room);
    larger.extend_from_slice(rest);
    *rest = larger;
    Ok(())
}

/// Grows the permit to at least `length` bytes.
fn charge(memory: &mut BudgetPermit, length: usize) -> Result<()> {
    let held = usize::try_from(memory.amount()).unwrap_or(usize::MAX);
    if length <= held {
        return Ok(());
    }
    let whole = length - held;
    let by = whole.max(MIN_GROWTH_BYTES);
    // Near its bound, the permit grows by no more than is needed.
    let grown = memory
        .grow(by as u64)
        .or_else(|_| memory.grow(whole as u64));
    grown.map_err(refusal)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use base::{Budget, BudgetLimits};
    use http_body::Frame;

    use super::*;
    use crate::BrokenOff;

    /// A body in pieces, which stalls at a `None`.
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

    fn memory(total: u64) -> BudgetPermit {
        let limits = BudgetLimits::shared(total * 8);
        let budget = Budget::new(limits);
        budget
            .take("key", None, 0)
            .expect("nothing is always there")
    }

    async fn read(body: impl RequestBody) -> Result<Bytes> {
        super::read(&HeaderMap::new(), body, memory(MAX_REQUEST_BYTES as u64)).await
    }

    #[tokio::test(start_paused = true)]
    async fn body_is_read_to_its_end_or_refused() {
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

    #[tokio::test(start_paused = true)]
    async fn s8_slow_body_is_refused_at_its_deadline() {
        let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
        let drip = tokio::spawn(async move {
            // The pauses are short, and the body has no end.
            while sender.send(Bytes::from_static(b"x")).await.is_ok() {
                tokio::time::sleep(PIECE_TIMEOUT / 2).await;
            }
        });
        let since = tokio::time::Instant::now();
        let body = http_body_util::StreamBody::new(futures_util::stream::poll_fn(move |context| {
            let piece = pieces.poll_recv(context);
            piece.map(|piece| piece.map(|piece| Ok::<_, BrokenOff>(Frame::data(piece))))
        }));
        let refused = read(body).await.expect_err("it takes too long");
        assert_eq!(refused.status.as_u16(), 408);
        assert_eq!(since.elapsed(), BODY_TIMEOUT);
        drip.abort();
    }

    #[tokio::test]
    async fn body_in_one_piece_is_not_copied() {
        let text = "one piece";
        let whole = read(Pieces(vec![piece(text)])).await.expect("a body");
        assert_eq!(whole.as_ptr(), text.as_ptr());
    }
}
