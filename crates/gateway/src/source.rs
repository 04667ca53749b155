//! An upstream's answer as it comes in: what to forward of it, and what it says of its usage.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http_body::{Body as _, SizeHint};
use tokio::time::Sleep;
use usage::{Outcome, Recorded};

use crate::answer::Answer;
use crate::document::ReportedError;
use crate::reservation::Reservation;
use crate::upstreams::{AnswerBody, Patience};

/// The longest that usage is waited for after the end of a stream, which may stay open.
const USAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer of which the beginning has come.
pub(crate) struct Source {
    body: AnswerBody,
    /// `None` if its status is not one of success: nothing was consumed.
    answer: Option<Answer>,
    patience: Patience,
    silence: Option<Pin<Box<Sleep>>>,
    is_silent: bool,
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
        let memory = reservation.take_memory();
        let how = (reservation.is_streamed(), hides_usage);
        let answer = head
            .status
            .is_success()
            .then(|| Answer::new(reservation.dialect(), &head.headers, how, memory));
        Self {
            body,
            answer,
            patience,
            silence: None,
            is_silent: false,
        }
    }

    /// Whether the forwarded bytes may be fewer than the upstream's.
    pub(crate) fn changes_length(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::changes_length)
    }

    /// True if the forwarded bytes are decoded, whatever the upstream declares.
    pub(crate) fn is_decoded(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_decoded)
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
        self.answer.as_ref().is_none_or(Answer::is_complete) || self.has_come()
    }

    /// True if there is nothing more to come, and nothing that is still to be decoded.
    fn has_come(&self) -> bool {
        self.body.is_end_stream() && !self.is_decoded()
    }

    /// The next bytes. Not to be called again after the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(answer) = &mut self.answer {
                match answer.next() {
                    // The last piece comes with the end.
                    Ok(Some(piece)) if self.body.is_end_stream() && !answer.is_decoded() => {
                        return Poll::Ready(Next::End(self.finish(piece)));
                    }
                    Ok(Some(piece)) => return Poll::Ready(Next::Piece(piece)),
                    Ok(None) if self.body.is_end_stream() => {
                        return Poll::Ready(Next::End(self.finish(Bytes::new())));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, "answer not decoded");
                        return Poll::Ready(Next::Broken(Outcome::UpstreamFailed));
                    }
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.poll_silence(context));
                return Poll::Ready(match self.answer.as_ref().is_some_and(Answer::is_done) {
                    true => Next::End(self.finish(Bytes::new())),
                    false => Next::Broken(Outcome::TimedOut),
                });
            };
            self.is_silent = false;
            match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                Some(Ok(Ok(piece))) => match &mut self.answer {
                    Some(answer) => answer.push(piece),
                    None if self.body.is_end_stream() => return Poll::Ready(Next::End(piece)),
                    None => return Poll::Ready(Next::Piece(piece)),
                },
                Some(Ok(Err(_trailers))) => {}
                Some(Err(_)) => return Poll::Ready(Next::Broken(Outcome::UpstreamFailed)),
                None => return Poll::Ready(Next::End(self.finish(Bytes::new()))),
            }
        }
    }

    /// Writes down how the answer ended and what it consumed. An error of the upstream stays one however well it was
    /// delivered.
    pub(crate) fn settle(
        &mut self,
        reservation: Reservation,
        outcome: Outcome,
    ) -> Option<Recorded> {
        let has_come = self.has_come();
        let Some(answer) = &mut self.answer else {
            self.patience.end(outcome);
            return reservation.settle(Outcome::UpstreamFailed, None);
        };
        if has_come {
            answer.finish();
        }
        let (settled, tally) = answer.settle(outcome);
        match tally.error {
            // As with a status of 4xx, the upstream is well.
            Some(ReportedError::Client) => {}
            Some(ReportedError::Server) => self.patience.fail("it answered with an error"),
            None if settled != outcome => self.patience.fail("its answer is not a whole one"),
            None => self.patience.end(settled),
        }
        reservation.settle(settled, Some(tally))
    }

    /// Reads to the end without forwarding; how that was.
    pub(crate) async fn drain(&mut self) -> Outcome {
        // A client that leaves a complete stream has not hung up.
        let ended = match self.answer.as_ref().is_some_and(Answer::is_done) {
            true => Outcome::Succeeded,
            false => Outcome::ClientGone,
        };
        loop {
            match std::future::poll_fn(|context| self.poll_next(context)).await {
                Next::Piece(_) if !self.is_complete() => {}
                Next::Piece(_) | Next::End(_) => return ended,
                Next::Broken(outcome) => return outcome,
            }
        }
    }

    /// Ready when the upstream has been silent for too long, or the whole has taken too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut left = self.patience.left();
        if self.answer.as_ref().is_some_and(Answer::is_done) {
            left = left.min(USAGE_TIMEOUT);
        }
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
        if !std::mem::replace(&mut self.is_silent, true) {
            silence.set(tokio::time::sleep(left));
        }
        silence.as_mut().poll(context)
    }

    /// Returns the bytes that are left to forward at the end, after `piece`.
    fn finish(&mut self, piece: Bytes) -> Bytes {
        let rest = self.answer.as_mut().map(Answer::finish).unwrap_or_default();
        match (piece.is_empty(), rest.is_empty()) {
            (true, _) => rest,
            (_, true) => piece,
            _ => [piece, rest].concat().into(),
        }
    }
}
