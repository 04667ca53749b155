//! An answer on its way to the client: settled when the upstream has said all, read on in the background when the
//! client hangs up.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bodies::Capture;
use bytes::Bytes;
use http_body::SizeHint;
use usage::{Durable, Outcome};

use crate::Durability;
use crate::body::BrokenOff;
use crate::drain::Drains;
use crate::flights::Ending;
use crate::guarded::Content;
use crate::reservation::Reservation;
use crate::source::{Next, Source};

/// The body of a forwarded answer.
pub(crate) struct Stream {
    /// `None` once it has ended.
    source: Option<Source>,
    /// `None` once it is settled.
    reservation: Option<Reservation>,
    durability: Durability,
    drains: Drains,
    /// What the end of the answer waits for.
    recorded: Option<Durable>,
    /// The last bytes, which wait with it.
    held: Bytes,
    /// What keeps what passes, if anything does.
    capture: Option<Capture>,
}

impl Stream {
    pub(crate) fn new(
        source: Source,
        reservation: Reservation,
        durability: Durability,
        drains: Drains,
    ) -> Self {
        Self {
            source: Some(source),
            reservation: Some(reservation),
            durability,
            drains,
            recorded: None,
            held: Bytes::new(),
            capture: None,
        }
    }

    /// What passes is kept by this.
    pub(crate) fn seen_by(mut self, capture: Option<Capture>) -> Self {
        self.capture = capture;
        self
    }

    /// Writes down what was consumed, once.
    fn settle(&mut self, outcome: Outcome) {
        let (Some(reservation), Some(source)) = (self.reservation.take(), &mut self.source) else {
            return;
        };
        let recorded = source.settle(reservation, outcome);
        if self.durability == Durability::Strict {
            self.recorded = recorded.map(IntoFuture::into_future);
        }
    }
}

impl Content for Stream {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            if let Some(recorded) = &mut self.recorded {
                let durable = ready!(recorded.as_mut().poll(context));
                self.recorded = None;
                if durable.is_err() {
                    // The end of the answer would be the promise that its row is durable.
                    self.held = Bytes::new();
                    self.source = None;
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
            }
            if !self.held.is_empty() {
                let piece = std::mem::take(&mut self.held);
                if let Some(capture) = &mut self.capture {
                    capture.pass(&piece);
                }
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(source) = &mut self.source else {
                return Poll::Ready(None);
            };
            match ready!(source.poll_next(context)) {
                Next::Piece(piece) => {
                    self.held = piece;
                    if source.is_complete() {
                        self.settle(Outcome::Succeeded);
                    }
                }
                Next::End(rest) => {
                    self.held = rest;
                    self.settle(Outcome::Succeeded);
                    self.source = None;
                }
                Next::Broken(outcome) => {
                    self.settle(outcome);
                    self.source = None;
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.source
            .as_ref()
            .map_or_else(SizeHint::new, Source::size_hint)
    }

    fn overdue(&self) -> Option<Duration> {
        self.source.as_ref()?.overdue()
    }

    fn abandon(mut self, ending: Ending) {
        let Some(source) = &mut self.source else {
            return;
        };
        source.absolve();
        if ending == Ending::Overdue
            && !source.is_complete()
            && let (Some(source), Some(reservation)) = (self.source.take(), self.reservation.take())
        {
            self.drains.cut(source, reservation);
        }
        // Else it is dropped, and read on while there is time.
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(source) = &self.source else { return };
        if source.is_complete() {
            self.settle(Outcome::Succeeded);
        } else if let (Some(source), Some(reservation)) =
            (self.source.take(), self.reservation.take())
        {
            self.drains.read_on(source, reservation);
        }
    }
}
