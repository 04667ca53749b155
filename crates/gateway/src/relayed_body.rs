//! The body of a relayed answer: settled once the upstream has sent all usage, drained in the background if the client hangs
//! up before.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bodies::Capture;
use bytes::Bytes;
use http_body::SizeHint;
use usage::{Durable, Outcome};

use crate::abortable_body::{BodyContent, BrokenOff};
use crate::drain::Drains;
use crate::metered_answer::{AnswerPart, MeteredAnswer};
use crate::options::Durability;
use crate::state_recording::StateRecorded;
use crate::watchdog::AbortReason;

/// The body of a relayed answer.
pub(crate) struct RelayedBody {
    /// `None` once the answer has ended.
    pub(crate) answer: Option<MeteredAnswer>,
    pub(crate) durability: Durability,
    pub(crate) drains: Drains,
    /// Record in the ledger that the end of the body waits for.
    pub(crate) recorded: Option<Durable>,
    /// Record of what the answer has left at its upstream, which the end of the body waits for.
    pub(crate) state_recorded: Option<StateRecorded>,
    /// Bytes that are sent next, once both are recorded.
    pub(crate) pending: Bytes,
    pub(crate) capture: Option<Capture>,
}

impl RelayedBody {
    fn settle(&mut self, outcome: Outcome) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        let recorded = answer.settle(outcome);
        if let Some(recorded) = answer.take_recorded() {
            self.state_recorded = Some(recorded);
        }
        if self.durability == Durability::Strict
            && let Some(recorded) = recorded
        {
            self.recorded = Some(recorded.into_future());
        }
    }

    /// Waits for the records that the end of the body would promise.
    fn poll_recorded(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BrokenOff>> {
        if let Some(recorded) = &mut self.recorded {
            let recorded = ready!(recorded.as_mut().poll(context));
            self.recorded = None;
            recorded.map_err(|_| BrokenOff)?;
        }
        if let Some(recorded) = &mut self.state_recorded {
            let recorded = ready!(recorded.as_mut().poll(context));
            self.state_recorded = None;
            recorded.map_err(|_| BrokenOff)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl BodyContent for RelayedBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            if let Err(broken_off) = ready!(self.poll_recorded(context)) {
                self.pending = Bytes::new();
                self.answer = None;
                self.state_recorded = None;
                return Poll::Ready(Some(Err(broken_off)));
            }
            if !self.pending.is_empty() {
                let chunk = std::mem::take(&mut self.pending);
                if let Some(capture) = &mut self.capture {
                    capture.pass(&chunk);
                }
                return Poll::Ready(Some(Ok(chunk)));
            }
            let Some(answer) = &mut self.answer else {
                return Poll::Ready(None);
            };
            match ready!(answer.poll_next(context)) {
                AnswerPart::Chunk(chunk) => {
                    self.pending = chunk;
                    if let Some(recorded) = answer.take_recorded() {
                        self.state_recorded = Some(recorded);
                    }
                    if answer.is_complete() {
                        self.settle(Outcome::Succeeded);
                    }
                }
                AnswerPart::End(rest) => {
                    self.pending = rest;
                    self.settle(Outcome::Succeeded);
                    self.answer = None;
                }
                AnswerPart::Aborted(outcome) => {
                    self.settle(outcome);
                    self.answer = None;
                    return Poll::Ready(Some(Err(BrokenOff)));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.answer.as_ref();
        answer.map_or_else(SizeHint::new, MeteredAnswer::size_hint)
    }

    fn overdue(&self) -> Option<Duration> {
        self.answer.as_ref()?.settlement.deadline.overdue()
    }

    fn abandon(mut self, reason: AbortReason) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        // The upstream had to wait for the client.
        answer.settlement.deadline.ignore_end();
        if reason == AbortReason::Overdue
            && !answer.is_complete()
            && let Some(answer) = self.answer.take()
        {
            self.drains.cut(answer);
        }
        // Otherwise the drop drains the rest of the answer as long as its deadline allows.
    }
}

impl Drop for RelayedBody {
    fn drop(&mut self) {
        let Some(mut answer) = self.answer.take() else {
            return;
        };
        if answer.is_complete() {
            drop(answer.settle(Outcome::Succeeded));
        } else if answer.is_left_to_poller() {
            // Whatever the rest of the answer says, the response goes on.
            drop(answer.settle(Outcome::ClientGone));
        } else {
            self.drains.read_on(answer);
        }
    }
}
