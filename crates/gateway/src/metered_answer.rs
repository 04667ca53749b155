//! An upstream's answer whose usage is read as it passes. A relayed answer and one that is drained after its client hung up
//! are both read here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http_body::{Body as _, SizeHint};
use proxy::{ResponseBody, UpstreamResponse};
use tokio::time::Sleep;
use usage::{Outcome, Recorded};

use crate::answer::{Answer, joined};
use crate::answer_settlement::AnswerSettlement;
use crate::caller::Caller;
use crate::in_flight::InFlightRequest;
use crate::state_recording::StateRecorded;
use crate::upstreams::ForwardFailure;

/// The longest wait for usage after the end of a stream, which may stay open.
const USAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of an answer, with the request that it settles. Dropped before that, the request is settled by an estimate.
pub(crate) struct MeteredAnswer {
    body: ResponseBody,
    /// Reader of the usage; `None` if the status is not one of success, so that nothing was consumed.
    /// Boxed, because it is 4 kB and the answer is moved often.
    reader: Option<Box<Answer>>,
    pub(crate) settlement: AnswerSettlement,
    idle_timer: Option<Pin<Box<Sleep>>>,
    /// True if the idle timer has been started since the last frame.
    is_idle: bool,
}

/// The next part of an answer.
pub(crate) enum AnswerPart {
    /// Bytes for the client, possibly none.
    Chunk(Bytes),
    /// The last bytes of a complete answer.
    End(Bytes),
    /// The end of an answer that will not be complete.
    Aborted(Outcome),
}

/// A request that has no answer, and its record in the ledger.
pub(crate) struct FailedRequest {
    pub(crate) failure: ForwardFailure,
    pub(crate) recorded: Option<Recorded>,
}

/// Begins to read the answer to a request, or settles the request if there is none. `hides_usage`: the client did not ask for
/// the event that reports usage.
///
/// # Errors
/// No upstream has answered.
pub(crate) fn begin(
    answered: Result<UpstreamResponse, ForwardFailure>,
    mut request: InFlightRequest,
    hides_usage: bool,
) -> Result<(Parts, MeteredAnswer), Box<FailedRequest>> {
    match answered {
        Ok(answer) => Ok(MeteredAnswer::new(answer, request, hides_usage)),
        Err(failure) => {
            request.observer.fail(&failure.error);
            let recorded = request.fail(&failure);
            Err(Box::new(FailedRequest { failure, recorded }))
        }
    }
}

impl MeteredAnswer {
    fn new(
        answer: UpstreamResponse,
        mut request: InFlightRequest,
        hides_usage: bool,
    ) -> (Parts, Self) {
        let upstream = answer.target.upstream_name();
        request.observer.set_upstream(upstream);
        let deadline = answer.deadline();
        let (head, body) = answer.response.into_parts();
        let memory = request.decoding_memory.take();
        let mode = (request.is_streamed(), hides_usage);
        let mut reader = head
            .status
            .is_success()
            .then(|| Box::new(Answer::new(request.dialect, &head.headers, mode, memory)));
        request.observer.respond(head.status);
        let mut settlement = AnswerSettlement::new(request, &answer.target, deadline);
        if let Some(reader) = &mut reader
            && let Some(ids) = settlement.begin_recording(&answer.target)
        {
            reader.find_ids(ids);
        }
        let answer = Self {
            body,
            reader,
            settlement,
            idle_timer: None,
            is_idle: false,
        };
        (head, answer)
    }

    /// Returns the caller, until the request is settled.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.settlement.caller()
    }

    /// True if the client's bytes may differ in number from the upstream's.
    pub(crate) fn changes_length(&self) -> bool {
        self.reader.as_deref().is_some_and(Answer::changes_length)
    }

    /// True if the client's bytes are decoded, whatever content coding the upstream declares.
    pub(crate) fn is_decoded(&self) -> bool {
        self.reader.as_deref().is_some_and(Answer::is_decoded)
    }

    /// Returns the known bounds of the client's remaining bytes.
    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.changes_length() {
            return SizeHint::new();
        }
        self.body.size_hint()
    }

    /// True if all usage has come. A stream that says so may stay open, and an answer can be empty.
    pub(crate) fn is_complete(&self) -> bool {
        self.reader.as_deref().is_none_or(Answer::is_complete) || self.has_ended()
    }

    /// True if nothing is left to receive or to decode.
    fn has_ended(&self) -> bool {
        self.body.is_end_stream() && !self.is_decoded()
    }

    /// True if a stream has announced its end.
    fn is_done(&self) -> bool {
        self.reader.as_deref().is_some_and(Answer::is_done)
    }

    /// Returns the next part. Must not be called after the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<AnswerPart> {
        loop {
            if let Some(part) = self.next_decoded() {
                return Poll::Ready(part);
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                ready!(self.poll_idle_timeout(context));
                return Poll::Ready(match self.is_done() {
                    true => AnswerPart::End(self.finish(Bytes::new())),
                    false => AnswerPart::Aborted(Outcome::TimedOut),
                });
            };
            self.is_idle = false;
            match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
                Some(Ok(Ok(chunk))) => match &mut self.reader {
                    Some(reader) => reader.push(chunk),
                    None if self.body.is_end_stream() => {
                        return Poll::Ready(AnswerPart::End(chunk));
                    }
                    None => return Poll::Ready(AnswerPart::Chunk(chunk)),
                },
                Some(Ok(Err(_trailers))) => {}
                Some(Err(_)) => return Poll::Ready(AnswerPart::Aborted(Outcome::UpstreamFailed)),
                None => return Poll::Ready(AnswerPart::End(self.finish(Bytes::new()))),
            }
        }
    }

    /// Returns the next part of the bytes that have been received; `None` if more must be received first.
    fn next_decoded(&mut self) -> Option<AnswerPart> {
        let reader = self.reader.as_mut()?;
        let next = reader.next();
        if let Some(ids) = reader.stored_ids()
            && reader.is_events()
        {
            self.settlement.announce(ids);
        }
        match next {
            // The last chunk comes together with the end.
            Ok(Some(chunk)) if self.body.is_end_stream() && !reader.is_decoded() => {
                Some(AnswerPart::End(self.finish(chunk)))
            }
            Ok(Some(chunk)) => Some(AnswerPart::Chunk(chunk)),
            Ok(None) if self.body.is_end_stream() => {
                Some(AnswerPart::End(self.finish(Bytes::new())))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "failed to decode answer");
                Some(AnswerPart::Aborted(Outcome::UpstreamFailed))
            }
        }
    }

    /// Settles the request by the end of the answer and the usage that came. An error of the upstream remains one even if it
    /// was delivered in full. A request whose response goes on in the background is left to the poller. Returns `None` if the
    /// request was settled before, or if what [`Self::take_recorded`] returns waits for the ledger too.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> Option<Recorded> {
        if self.settlement.is_settled() {
            return None;
        }
        let has_ended = self.has_ended();
        let Some(reader) = &mut self.reader else {
            return self.settlement.settle_refused(outcome);
        };
        if has_ended {
            reader.finish();
        }
        let settled = reader.settle(outcome);
        let has_response_end = reader.has_response_end(&settled.1);
        let ids = reader.stored_ids();
        self.settlement
            .settle(outcome, settled, has_response_end, ids)
    }

    /// True if the response is made in the background and is recorded, so that it is metered without the rest of the answer.
    pub(crate) fn is_left_to_poller(&self) -> bool {
        self.settlement.is_left_to_poller()
    }

    /// Takes what the next bytes, or the end of a settled answer, wait for: the owner of what the answer has left at its upstream
    /// is recorded.
    pub(crate) fn take_recorded(&mut self) -> Option<StateRecorded> {
        self.settlement.take_recorded()
    }

    /// Reads to the end without a client, or until the answer is left to the poller, and returns the outcome.
    pub(crate) async fn drain(&mut self) -> Outcome {
        // A client that leaves after the end of a stream has not hung up.
        let ended = match self.is_done() {
            true => Outcome::Succeeded,
            false => Outcome::ClientGone,
        };
        loop {
            match std::future::poll_fn(|context| self.poll_next(context)).await {
                AnswerPart::Chunk(_) if !self.is_complete() && !self.is_left_to_poller() => {}
                AnswerPart::Chunk(_) | AnswerPart::End(_) => return ended,
                AnswerPart::Aborted(outcome) => return outcome,
            }
        }
    }

    /// Resolves when the upstream has been silent for too long, or the deadline of the answer has passed.
    fn poll_idle_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut left = self.settlement.deadline.left();
        if self.is_done() {
            left = left.min(USAGE_TIMEOUT);
        }
        let timer = self
            .idle_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
        if !std::mem::replace(&mut self.is_idle, true) {
            timer.set(tokio::time::sleep(left));
        }
        timer.as_mut().poll(context)
    }

    /// Returns the client's last bytes: `chunk`, and those that the reader has held back.
    fn finish(&mut self, chunk: Bytes) -> Bytes {
        let rest = self
            .reader
            .as_deref_mut()
            .map(Answer::finish)
            .unwrap_or_default();
        joined(chunk, rest)
    }
}
