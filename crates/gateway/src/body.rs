//! Request bodies: read whole, within bounds.

use std::pin::pin;
use std::time::Duration;

use base::{BudgetPermit, Coding, Error, Exhausted, Result, without_mark};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http_body_util::BodyExt;

use crate::aside::aside;

/// The longest request body that is accepted, in bytes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// The longest pause between two pieces of a request body.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The longest time from the head of a request to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// The permit of a body whose length is not announced grows by at least so many bytes at a time.
const MEMORY_STEP_BYTES: usize = 256 * 1024;

/// Refuses headers that make no sense or announce too much, before anything is read.
///
/// # Errors
/// 413, 415 or 400.
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
    Coding::of(headers)?;
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        let message = "There is more than one Authorization header; send one.";
        return Err(Error::refused("invalid_header", message));
    }
    Ok(())
}

/// A request's body, and what it is charged for as long as any part of it lives.
struct Charged {
    bytes: Bytes,
    _memory: BudgetPermit,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The refusal of a body for which there is no memory.
pub(crate) fn refusal(exhausted: Exhausted) -> Error {
    exhausted.refusal("The bytes of request bodies under way")
}

/// Reads a request's body to its end, and decodes a body that has a content coding. A body that comes in one piece is not
/// copied. What is announced is charged to `memory` before the first byte is read, the rest as it comes, and what a coded body
/// stands for beside it until it is decoded; all of it until the last part of the body is dropped.
///
/// # Errors
/// 413 when it is too long, 408 when it does not come in time, 400 when it breaks off or cannot be decoded, 415 when its coding
/// is not taken, 429 or 503 when there is no memory.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B, mut memory: BudgetPermit) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes>,
{
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
    Ok(Bytes::from_owner(Charged { bytes, _memory }))
}

/// Decodes a body aside: a short body may stand for a long one, and decoders that run at the same time are bounded so.
async fn decode(
    coding: Coding,
    encoded: Bytes,
    mut memory: BudgetPermit,
) -> Result<(Bytes, BudgetPermit)> {
    let decoded = aside(move || {
        let grow = |room: usize| charge(&mut memory, encoded.len() + room);
        let decoded = coding.decode(&encoded, MAX_REQUEST_BYTES, grow)?;
        drop(encoded);
        memory.shrink_to(decoded.capacity() as u64);
        Ok((Bytes::from(decoded), memory))
    });
    decoded.await?
}

/// Returns a text of JSON without the byte order mark that it may begin with: RFC 8259 lets readers pass over the mark, and
/// model servers, of which some do not, get the text without it.
pub(crate) fn json_text(body: &Bytes) -> Bytes {
    body.slice_ref(without_mark(body))
}

async fn read_charged<B>(body: B, memory: &mut BudgetPermit) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes>,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let announced = announced.min(MAX_REQUEST_BYTES);
    memory.grow(announced as u64).map_err(refusal)?;
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
        let length = first.len() + rest.len() + data.len();
        charge(memory, length)?;
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        make_room(&mut rest, length.max(announced), memory)?;
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Makes room for `length` bytes, twice as much as there was if that can be charged.
fn make_room(rest: &mut BytesMut, length: usize, memory: &mut BudgetPermit) -> Result<()> {
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

/// Lets the permit hold at least `length` bytes.
fn charge(memory: &mut BudgetPermit, length: usize) -> Result<()> {
    let held = usize::try_from(memory.amount()).unwrap_or(usize::MAX);
    if length <= held {
        return Ok(());
    }
    let whole = length - held;
    let by = whole.max(MEMORY_STEP_BYTES);
    // Near a bound, what is needed is enough.
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
    use crate::abortable_body::BrokenOff;

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

    fn memory(total: u64) -> BudgetPermit {
        let limits = BudgetLimits::shared(total * 8);
        let budget = Budget::new(limits);
        budget
            .take("key", None, 0)
            .expect("nothing is always there")
    }

    async fn read(body: impl http_body::Body<Data = Bytes>) -> Result<Bytes> {
        super::read(&HeaderMap::new(), body, memory(MAX_REQUEST_BYTES as u64)).await
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

    #[tokio::test(start_paused = true)]
    async fn s8_a_body_that_drips_is_refused_when_its_time_is_over() {
        let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
        let drip = tokio::spawn(async move {
            // Never silent for long, and never at an end.
            while sender.send(Bytes::from_static(b"x")).await.is_ok() {
                tokio::time::sleep(MAX_PAUSE / 2).await;
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
    async fn a_body_in_one_piece_is_not_copied() {
        let text = "one piece";
        let whole = read(Pieces(vec![piece(text)])).await.expect("a body");
        assert_eq!(whole.as_ptr(), text.as_ptr());
    }
}
