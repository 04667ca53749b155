//! A response that an upstream sends over WebSocket, whose usage is read as its events pass. A relayed response and one that is
//! drained after its client hung up are both read here.

use std::sync::Arc;

use base::Error;
use bytes::Bytes;
use http::StatusCode;
use proxy::UpstreamSocket;
use tokio::time::{Instant, timeout_at};
use usage::{Outcome, Recorded};
use websocket::{Incoming, ReceiveError};

use crate::answer::MessageReader;
use crate::answer_settlement::AnswerSettlement;
use crate::caller::Caller;
use crate::in_flight::InFlightRequest;
use crate::object_kind::ObjectKind;
use crate::state_recording::StateRecorded;
use crate::upstreams::ForwardFailure;

/// A response, with the connection that it comes on and the request that it settles. Dropped before that, the request is settled
/// by an estimate.
pub(crate) struct SocketAnswer {
    upstream: UpstreamSocket,
    reader: MessageReader,
    settlement: AnswerSettlement,
    /// The time until which the next event must have come; `None` if nobody has waited for it yet.
    due: Option<Instant>,
    is_sent: bool,
    has_begun: bool,
}

impl SocketAnswer {
    /// Returns the response to a request that is to be sent on this connection. `model` is the upstream's name of the model.
    pub(crate) fn new(
        upstream: UpstreamSocket,
        model: &Arc<str>,
        request: InFlightRequest,
    ) -> Self {
        let target = upstream.target(model);
        let mut reader = MessageReader::new(request.dialect);
        let mut settlement = AnswerSettlement::new(request, &target, upstream.deadline());
        if let Some(ids) = settlement.begin_recording(&target) {
            reader.find_ids(ids);
        }
        Self {
            upstream,
            reader,
            settlement,
            due: None,
            is_sent: false,
            has_begun: false,
        }
    }

    /// Returns the caller, until the request is settled.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.settlement.caller()
    }

    /// Sends the request. Cancelled, the connection is of no further use.
    ///
    /// # Errors
    /// The upstream has closed the connection, or does not take the request in time.
    pub(crate) async fn send(&mut self, body: Bytes) -> Result<(), Outcome> {
        let due = Instant::now() + self.settlement.deadline.left();
        match timeout_at(due, self.upstream.send_text(body)).await {
            Ok(Ok(())) => {
                self.is_sent = true;
                Ok(())
            }
            Ok(Err(_)) => Err(Outcome::UpstreamFailed),
            Err(_) => Err(Outcome::TimedOut),
        }
    }

    /// Waits for the next event. Must not be called after the last one. Cancel-safe.
    ///
    /// # Errors
    /// The response will not be complete.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Outcome> {
        let deadline = &self.settlement.deadline;
        let due = self
            .due
            .get_or_insert_with(|| Instant::now() + deadline.left());
        let due = *due;
        loop {
            match timeout_at(due, self.upstream.receive()).await {
                Ok(Ok(Incoming::Text(event))) => {
                    self.due = None;
                    self.read(&event);
                    return Ok(event);
                }
                Ok(Ok(Incoming::Control)) => {}
                Ok(Err(ReceiveError::NoMemory(_))) => {
                    // The lack is this side's.
                    self.settlement.deadline.ignore_end();
                    return Err(Outcome::UpstreamFailed);
                }
                Ok(Ok(Incoming::Binary) | Err(_)) => return Err(Outcome::UpstreamFailed),
                Err(_) => return Err(Outcome::TimedOut),
            }
        }
    }

    fn read(&mut self, event: &[u8]) {
        if !std::mem::replace(&mut self.has_begun, true)
            && let Some(request) = self.settlement.request()
        {
            request.observer.set_upstream(self.upstream.upstream_name());
            request.observer.respond(StatusCode::OK);
        }
        self.reader.read(event);
        if let Some(ids) = self.reader.stored_ids() {
            self.settlement.announce(ids);
        }
    }

    /// Returns the id of the response, once an event has named it, and true if its owner will be recorded when the response is
    /// settled.
    pub(crate) fn response_id(&self) -> Option<(&str, bool)> {
        let id = self.reader.response_id()?;
        let ids = self.reader.stored_ids();
        let is_stored = ids.is_some_and(|ids| ids.contains(ObjectKind::Response, id));
        Some((id, is_stored))
    }

    /// True if the last event has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.reader.is_complete()
    }

    /// Excludes the end of the response from the upstream's record: the upstream had to wait for the client.
    pub(crate) fn ignore_end(&mut self) {
        self.settlement.deadline.ignore_end();
    }

    /// Settles the request by the end of the response and the usage that came. Returns `None` if the request was settled before.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> Option<Recorded> {
        if self.settlement.is_settled() {
            return None;
        }
        let is_complete = self.is_complete();
        let settled = self.reader.settle(outcome);
        self.settlement
            .settle(outcome, settled, is_complete, self.reader.stored_ids())
    }

    /// Returns what the last event of a settled response waits for: the owner of what it has left at its upstream is recorded.
    pub(crate) fn take_recorded(&mut self) -> Option<StateRecorded> {
        self.settlement.take_recorded()
    }

    /// Settles the request of a response that will not be complete, and returns the error that the client gets.
    pub(crate) fn fail(&mut self, outcome: Outcome) -> (Option<Recorded>, Error) {
        let error = match outcome {
            Outcome::TimedOut => {
                Error::upstream_timeout("The model server did not respond in time.")
            }
            _ => Error::upstream("The model server broke off its response."),
        };
        if !self.has_begun
            && let Some(request) = self.settlement.request()
        {
            request.observer.fail(&error);
        }
        (self.settle(outcome), error)
    }

    /// Settles a request that was not sent in full, so that no model has worked on it. False if it was sent, or is settled.
    pub(crate) fn withdraw(&mut self) -> bool {
        if self.is_sent {
            return false;
        }
        let Some(request) = self.settlement.take_request() else {
            return false;
        };
        let failure = ForwardFailure::unsent(Error::internal(), Outcome::ClientGone);
        drop(request.fail(&failure));
        true
    }

    /// Reads to the end without a client, and returns the outcome.
    pub(crate) async fn drain(&mut self) -> Outcome {
        while !self.is_complete() {
            if let Err(outcome) = self.next().await {
                return outcome;
            }
        }
        Outcome::ClientGone
    }

    /// True once the request is settled.
    pub(crate) fn is_settled(&self) -> bool {
        self.settlement.is_settled()
    }

    /// Returns the connection, for the next response.
    pub(crate) fn into_upstream(self) -> UpstreamSocket {
        self.upstream
    }
}
