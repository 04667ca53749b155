//! The settlement of an answer, whether it comes over HTTP or over WebSocket: its request is settled once, the upstream's record
//! learns how it ended, and the owner of what it leaves at its upstream is recorded.

use proxy::{ResponseDeadline, Target};
use usage::{Outcome, Recorded};

use crate::caller::Caller;
use crate::dialect::{ResponseStatus, UsageAccumulator};
use crate::document::{ReportedError, StoredIdScanner};
use crate::in_flight::InFlightRequest;
use crate::object_kind::ObjectKind;
use crate::state_recording::{BackgroundEnd, StateExpiry, StateRecorded, StateRecording};
use crate::upstreams::response_end;

/// The settlement of one answer. Dropped before that, the request is settled by an estimate.
pub(crate) struct AnswerSettlement {
    pub(crate) deadline: ResponseDeadline,
    /// `None` once the request is settled.
    request: Option<InFlightRequest>,
    /// Recording of what the answer leaves at its upstream; `None` if that is nothing, or once the request is settled.
    recording: Option<Box<StateRecording>>,
    /// Resolves once a recording is complete; `None` if there is none to wait for.
    recorded: Option<StateRecorded>,
}

impl AnswerSettlement {
    /// Returns the settlement of an answer that `target` gives to a request until this deadline.
    pub(crate) fn new(
        mut request: InFlightRequest,
        target: &Target,
        deadline: ResponseDeadline,
    ) -> Self {
        request.set_target(target);
        Self {
            deadline,
            request: Some(request),
            recording: None,
            recorded: None,
        }
    }

    /// Begins to record what the answer leaves at its upstream, and returns the scanner of its ids; `None` if the upstream stores
    /// nothing for a project.
    pub(crate) fn begin_recording(&mut self, target: &Target) -> Option<StoredIdScanner> {
        let request = self.request.as_mut()?;
        let (recorder, answer) = request.state_recorder.take()?;
        if !target.stores() {
            return None;
        }
        let recording = recorder.begin(request.caller()?, target, StateExpiry::OfAnswer);
        let recording = recording
            .with_work(request.background_work())
            .with_container_memory(request.container_memory());
        self.recording = Some(Box::new(recording));
        Some(StoredIdScanner::new(answer))
    }

    /// Records the first ids of a stream, so that its client can use them before the stream ends. Only the first event of a response
    /// that is made in the background waits for that.
    pub(crate) fn announce(&mut self, ids: &StoredIdScanner) {
        if let Some(recording) = &mut self.recording {
            self.recorded = recording.announce(ids).or(self.recorded.take());
        }
    }

    /// True if the response is made in the background and is recorded, so that it is metered without the rest of the answer.
    pub(crate) fn is_left_to_poller(&self) -> bool {
        let recording = self.recording.as_ref();
        recording.is_some_and(|recording| recording.is_left_to_poller())
    }

    /// Returns the request, until it is settled.
    pub(crate) fn request(&mut self) -> Option<&mut InFlightRequest> {
        self.request.as_mut()
    }

    /// Takes the request out of the settlement, which is over then.
    pub(crate) fn take_request(&mut self) -> Option<InFlightRequest> {
        self.recording = None;
        self.request.take()
    }

    /// Returns the caller, until the request is settled.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.request.as_ref()?.caller()
    }

    /// True once the request is settled.
    pub(crate) fn is_settled(&self) -> bool {
        self.request.is_none()
    }

    /// Settles the request of an answer whose status is not one of success, so that nothing was consumed. Returns `None` if the
    /// request was settled before.
    pub(crate) fn settle_refused(&mut self, transfer: Outcome) -> Option<Recorded> {
        let request = self.take_request()?;
        self.deadline.record_end(response_end(transfer));
        request.settle(Outcome::UpstreamFailed, None)
    }

    /// Settles the request by the usage that came. `transfer` is how the transfer ended, `settled` the outcome of the answer: an
    /// error of the upstream remains one even if it was delivered in full. `has_response_end`: what the answer says of the usage of
    /// a response is final; else a response in the background is left to the poller. `ids` are those that the answer has named.
    /// Returns `None` if the request was settled before, or if what [`Self::take_recorded`] returns waits for the ledger too.
    pub(crate) fn settle(
        &mut self,
        transfer: Outcome,
        (mut settled, accumulator): (Outcome, UsageAccumulator),
        has_response_end: bool,
        ids: Option<&StoredIdScanner>,
    ) -> Option<Recorded> {
        let mut request = self.request.take()?;
        match accumulator.error {
            // As with a status of 4xx, the upstream is healthy.
            Some(ReportedError::Client) => {}
            Some(ReportedError::Server) => self.deadline.record_failure("error in an answer"),
            None if settled != transfer => self.deadline.record_failure("answer is not whole"),
            None => self.deadline.record_end(response_end(settled)),
        }
        if accumulator.status == ResponseStatus::Cancelled && settled == Outcome::Succeeded {
            settled = Outcome::ClientGone;
        }
        let Some((recording, ids)) = self.recording.take().zip(ids) else {
            return request.settle(settled, Some(accumulator));
        };
        if recording.has_response(ids) && !has_response_end {
            let end = BackgroundEnd::HandedOver(Box::new(request));
            self.recorded = recording.finish(ids, Some(end));
            return None;
        }
        let found = ids.found();
        let containers = found.filter(|(kind, _)| *kind == ObjectKind::Container);
        request.exclude_containers(containers.map(|(_, id)| id));
        let is_left_to_poller = recording.is_left_to_poller();
        let recorded = request.settle(settled, Some(accumulator))?;
        if is_left_to_poller {
            let end = BackgroundEnd::Settled(recorded);
            self.recorded = recording.finish(ids, Some(end));
            return None;
        }
        self.recorded = recording.finish(ids, None);
        Some(recorded)
    }

    /// Takes what the next bytes, or the end of a settled answer, wait for: the owner of what the answer has left at its upstream
    /// is recorded.
    pub(crate) fn take_recorded(&mut self) -> Option<StateRecorded> {
        self.recorded.take()
    }
}
