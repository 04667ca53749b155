//! An upstream's answer as it comes in: what to forward of it, and what it says of its usage.

use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::BudgetPermit;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http_body::{Body as _, SizeHint};
use tokio::time::Sleep;
use usage::{Outcome, Recorded};

use crate::dialect::{Dialect, Tally};
use crate::reservation::Reservation;
use crate::sse::Scanner;
use crate::upstreams::{AnswerBody, Patience};

/// The longest answer in one piece that is kept until its usage can be read, in bytes.
const MAX_KEPT: usize = 32 * 1024 * 1024;
/// The permit of an answer that is kept grows by at least so many bytes at a time.
const MEMORY_STEP_BYTES: u64 = 64 * 1024;

/// An answer of which the beginning has come.
pub(crate) struct Source {
    body: AnswerBody,
    dialect: &'static Dialect,
    reader: Reader,
    tally: Tally,
    patience: Patience,
    silence: Option<Pin<Box<Sleep>>>,
    is_silent: bool,
}

/// How usage is found in an answer.
enum Reader {
    /// In an event of its stream.
    Events(Scanner),
    /// In the whole of it, of which the parts are kept until then.
    Whole(Kept),
    /// Nowhere: all that counts was in the request.
    Unread,
    /// Nowhere: it is an error.
    Refusal,
}

/// An answer in one piece, as far as it has come.
struct Kept {
    parts: Vec<Bytes>,
    /// The length of the answer, with what is not kept.
    length: usize,
    /// The answer's part of the memory for answers. `None` once it is not kept, since it is too long or there is no room.
    memory: Option<BudgetPermit>,
}

impl Kept {
    fn new(memory: Option<BudgetPermit>) -> Self {
        Self {
            parts: Vec::new(),
            length: 0,
            memory,
        }
    }

    fn push(&mut self, piece: &Bytes) {
        self.length += piece.len();
        let Some(memory) = &mut self.memory else {
            return;
        };
        let missing = (self.length as u64).saturating_sub(memory.amount());
        // Near a bound, what is needed is enough.
        let has_room = missing == 0
            || memory.grow(missing.max(MEMORY_STEP_BYTES)).is_ok()
            || memory.grow(missing).is_ok();
        if self.length <= MAX_KEPT && has_room {
            self.parts.push(piece.clone());
        } else {
            tracing::debug!(bytes = self.length, "answer not kept: usage is estimated");
            self.parts = Vec::new();
            self.memory = None;
        }
    }
}

/// What comes next.
pub(crate) enum Next {
    /// Bytes to forward; there can be none.
    Piece(Bytes),
    /// The answer is complete, but for these last bytes.
    End(Bytes),
    /// It will not be completed, for this reason.
    Broken(Outcome),
}

impl Source {
    /// The body of the answer to a reserved request that `head` begins. `hides_usage`: the client did not ask for the event
    /// that usage comes in.
    pub(crate) fn new(
        reservation: &mut Reservation,
        head: &Parts,
        body: AnswerBody,
        hides_usage: bool,
        patience: Patience,
    ) -> Self {
        let dialect = reservation.dialect();
        let kind = head.headers.get(CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let reader = if !head.status.is_success() {
            Reader::Refusal
        } else if is_stream {
            Reader::Events(Scanner::new(hides_usage))
        } else if dialect.read_whole.is_some() {
            Reader::Whole(Kept::new(reservation.take_memory()))
        } else {
            Reader::Unread
        };
        Self {
            body,
            dialect,
            reader,
            tally: Tally::default(),
            patience,
            silence: None,
            is_silent: false,
        }
    }

    /// Whether the forwarded bytes may be fewer than the upstream's.
    pub(crate) fn changes_length(&self) -> bool {
        matches!(&self.reader, Reader::Events(scanner) if scanner.hides())
    }

    /// How long the forwarded bytes are, as far as is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.changes_length() {
            return SizeHint::new();
        }
        self.body.size_hint()
    }

    /// Returns the time for which the whole answer has been overdue; `None` while it is not.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        self.patience.overdue()
    }

    /// Lets its end tell nothing of its upstream, which had to wait for the client.
    pub(crate) fn absolve(&mut self) {
        self.patience.absolve();
    }

    /// Whether all that matters has come: a stream that says so may stay open, and an answer can be empty.
    pub(crate) fn is_complete(&self) -> bool {
        let is_refusal = matches!(self.reader, Reader::Refusal);
        is_refusal || self.tally.is_done || self.body.is_end_stream()
    }

    /// The next bytes. Not to be called again after the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.poll_silence(context));
                return Poll::Ready(Next::Broken(Outcome::TimedOut));
            };
            self.is_silent = false;
            return Poll::Ready(match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if self.body.is_end_stream() => {
                        let piece = self.push(piece);
                        Next::End(joined(&[piece, self.finish()]))
                    }
                    Ok(piece) => Next::Piece(self.push(piece)),
                    Err(_trailers) => continue,
                },
                Some(Err(_)) => Next::Broken(Outcome::UpstreamFailed),
                None => Next::End(self.finish()),
            });
        }
    }

    /// Writes down how the answer ended and what it consumed. An error of the upstream stays one however well it was
    /// delivered.
    pub(crate) fn settle(
        &mut self,
        reservation: Reservation,
        outcome: Outcome,
    ) -> Option<Recorded> {
        self.patience.end(outcome);
        let tally = self.read();
        let is_failed = tally.as_ref().is_none_or(|tally| tally.is_failed);
        let outcome = if is_failed {
            Outcome::UpstreamFailed
        } else {
            outcome
        };
        reservation.settle(outcome, tally)
    }

    /// Reads to the end without forwarding; how that was.
    pub(crate) async fn drain(&mut self) -> Outcome {
        loop {
            match std::future::poll_fn(|context| self.poll_next(context)).await {
                Next::Piece(_) if !self.is_complete() => {}
                Next::Piece(_) | Next::End(_) => return Outcome::ClientGone,
                Next::Broken(outcome) => return outcome,
            }
        }
    }

    /// Ready when the upstream has been silent for too long, or the whole has taken too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
        if !std::mem::replace(&mut self.is_silent, true) {
            silence.set(tokio::time::sleep(self.patience.left()));
        }
        silence.as_mut().poll(context)
    }

    fn push(&mut self, piece: Bytes) -> Bytes {
        match &mut self.reader {
            Reader::Events(scanner) => {
                let (tally, read) = (&mut self.tally, self.dialect.read_event);
                scanner.push(piece, |data| read(tally, data))
            }
            Reader::Whole(kept) => {
                kept.push(&piece);
                piece
            }
            Reader::Unread | Reader::Refusal => piece,
        }
    }

    /// What is left to forward at the end.
    fn finish(&mut self) -> Bytes {
        match &mut self.reader {
            Reader::Events(scanner) => {
                let (tally, read) = (&mut self.tally, self.dialect.read_event);
                scanner.finish(|data| read(tally, data))
            }
            Reader::Whole(_) | Reader::Unread | Reader::Refusal => Bytes::new(),
        }
    }

    /// What was read of the answer; `None` if it is an error.
    fn read(&mut self) -> Option<Tally> {
        let mut tally = take(&mut self.tally);
        match &mut self.reader {
            Reader::Refusal => return None,
            Reader::Events(_) | Reader::Unread => {}
            Reader::Whole(kept) => {
                if let Some(read_whole) = self.dialect.read_whole {
                    read_whole(&mut tally, &joined(&take(&mut kept.parts)));
                }
                kept.memory = None;
                if tally.text.length == 0 {
                    // Not what an answer looks like, or not kept: all of it counts.
                    tally.text.length = kept.length;
                }
            }
        }
        Some(tally)
    }
}

/// The parts in one piece; what is in one piece is not copied.
fn joined(parts: &[Bytes]) -> Bytes {
    let mut parts = parts.iter().filter(|part| !part.is_empty());
    let (Some(first), second) = (parts.next(), parts.next()) else {
        return Bytes::new();
    };
    let Some(second) = second else {
        return first.clone();
    };
    let mut whole = BytesMut::from(first.as_ref());
    for part in [second].into_iter().chain(parts) {
        whole.extend_from_slice(part);
    }
    whole.freeze()
}
