//! An admitted request in flight, which ends in exactly one settlement of its limits and its usage.

use std::sync::Arc;

use access::LimitField;
use base::ids::{Id, RequestId};
use base::{BudgetPermit, UnixTime};
use http::StatusCode;
use proxy::{Target, UpstreamBilling};
use usage::{
    DurableReservation, Metric, Outcome, Quantities, QueuePermit, Recorded, ReservationKey,
};

use crate::background_work::BackgroundWork;
use crate::caller::Caller;
use crate::dialect::{Dialect, Estimate, MeasuredUsage, UsageAccumulator};
use crate::document::StoredAnswer;
use crate::limits::{Amounts, RateLimitReservation};
use crate::request_events::MeteredRequest;
use crate::request_observer::RequestObserver;
use crate::state_recording::StateRecorder;
use crate::upstreams::ForwardFailure;

/// RAII guard of an admitted request. `settle` and `fail` record its usage; drop records an estimate, as if the client had
/// hung up.
pub(crate) struct InFlightRequest {
    pub(crate) dialect: &'static Dialect,
    /// `None` once the request is settled.
    pub(crate) admission: Option<Box<Admission>>,
    pub(crate) observer: RequestObserver,
    /// Empty permit for the memory in which a compressed answer is decoded.
    pub(crate) decoding_memory: Option<BudgetPermit>,
    /// Recorder of what the answer leaves at its upstream, and the kind of the answer; `None` if that is nothing.
    pub(crate) state_recorder: Option<(StateRecorder, StoredAnswer)>,
}

/// Everything that a request has acquired on its way to an upstream. The usage event is made from it at the end, because the
/// event is larger and would be moved along with the request.
pub(crate) struct Admission {
    /// Permit for the ledger's queue.
    pub(crate) queue_permit: QueuePermit,
    /// Rate limit reservation; `None` once the reserved amounts count for good.
    pub(crate) limits: Option<RateLimitReservation>,
    pub(crate) id: RequestId,
    pub(crate) caller: Caller,
    /// Upstream's name of the model.
    pub(crate) model: Arc<str>,
    /// Effect of the upstream on prices.
    pub(crate) billing: UpstreamBilling,
    pub(crate) estimate: Estimate,
    pub(crate) admitted_at: UnixTime,
    /// True if the upstream makes the response in the background: the answer may end before the response does.
    pub(crate) is_background: bool,
}

impl InFlightRequest {
    /// Returns the caller, until the request is settled.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.admission.as_ref().map(|admission| &admission.caller)
    }

    /// True if the client asked for a stream.
    pub(crate) fn is_streamed(&self) -> bool {
        let admission = self.admission.as_ref();
        admission.is_some_and(|admission| admission.estimate.is_streamed)
    }

    /// Returns the facts by which the response to a request is metered once it has ended in the background; `None` of any other
    /// request, and once the request is settled.
    pub(crate) fn background_work(&self) -> Option<BackgroundWork> {
        let admission = self.admission.as_ref()?;
        let durable = admission.queue_permit.durable();
        admission.is_background.then(|| BackgroundWork {
            request: admission.id.as_str().to_owned(),
            model: (*admission.model).to_owned(),
            uplift_billionths: admission.billing.uplift.billionths(),
            reports_cost: admission.billing.reports_cost,
            input_tokens: admission.estimate.input.tokens(&admission.model),
            known_containers: admission.estimate.known_containers.clone(),
            tool_variants: admission.estimate.tool_variants.clone(),
            admitted_at: admission.admitted_at.0,
            reservation: durable.map(|durable| durable.id().clone()),
        })
    }

    /// Returns the memory that the request names for new containers.
    pub(crate) fn container_memory(&self) -> Option<&str> {
        let admission = self.admission.as_ref()?;
        admission.estimate.tool_variants.named_memory()
    }

    /// Ends the request without a row, since its response is metered once that has ended. The amounts reserved from the rate
    /// limits count for good. Returns the spend reservation, which is the response's from now on.
    pub(crate) fn hand_over(mut self) -> Option<ReservationKey> {
        let mut admission = *self.admission.take()?;
        if let Some(limits) = admission.limits.take() {
            limits.forfeit();
        }
        self.observer.finish(&admission.id, Ok(StatusCode::OK));
        let durable = admission.queue_permit.into_durable();
        durable.map(DurableReservation::keep)
    }

    /// Sets the upstream and the model that have answered, which may be others than planned first.
    pub(crate) fn set_target(&mut self, target: &Target) {
        if let Some(admission) = &mut self.admission {
            admission.model = Arc::clone(&target.model);
            admission.billing = target.billing();
        }
    }

    /// Excludes containers from the sessions that the answer counts: their records are charged instead.
    pub(crate) fn exclude_containers<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        if let Some(admission) = &mut self.admission {
            admission.estimate.exclude_containers(ids);
        }
    }

    /// Settles the request by its outcome and by the usage that its answer reported; `None` as `accumulator` means that no model
    /// worked on it. Returns `None` only if the request was settled before.
    pub(crate) fn settle(
        mut self,
        outcome: Outcome,
        accumulator: Option<UsageAccumulator>,
    ) -> Option<Recorded> {
        self.record(outcome, accumulator)
    }

    /// Settles a request that has no answer. A request that reached no model server is refunded its rate limits; any other
    /// failed request counts as a request.
    pub(crate) fn fail(mut self, failure: &ForwardFailure) -> Option<Recorded> {
        if !failure.was_sent
            && let Some(admission) = &mut self.admission
        {
            drop(admission.limits.take());
        }
        self.record(failure.outcome, None)
    }

    fn record(
        &mut self,
        outcome: Outcome,
        accumulator: Option<UsageAccumulator>,
    ) -> Option<Recorded> {
        let mut admission = self.admission.take()?;
        let (spent, consumed) = match accumulator {
            None => (MeasuredUsage::none(), Amounts::zero().with_requests(1)),
            Some(accumulator) => admission.measure(self.dialect, outcome, accumulator),
        };
        if let Some(limits) = admission.limits.take() {
            limits.settle(&consumed);
        }
        let observer = self.observer.hand_over();
        Some(admission.record(self.dialect, outcome, spent, observer))
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        // The usage will never be known, so the amounts reserved from the limits count.
        let admission = self.admission.as_mut();
        if let Some(limits) = admission.and_then(|admission| admission.limits.take()) {
            limits.forfeit();
        }
        drop(self.record(Outcome::ClientGone, Some(UsageAccumulator::default())));
    }
}

/// True if an answer with this outcome counts only as far as it reported its usage: nothing is estimated.
pub(crate) fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::UpstreamFailed | Outcome::TimedOut)
}

/// Returns the known amounts that count for the rate limits.
fn limited_amounts(quantities: &Quantities) -> Amounts {
    let mut amounts = Amounts::default();
    let (input, output) = (Metric::InputTokens, Metric::OutputTokens);
    if quantities.get(input).or(quantities.get(output)).is_some() {
        let tokens = quantities
            .or_zero(input)
            .saturating_add(quantities.or_zero(output));
        amounts.set(LimitField::TokensPerMinute, tokens);
    }
    if let Some(images) = quantities.get(Metric::Images) {
        amounts.set(LimitField::ImagesPerMinute, images);
    }
    amounts
}

impl Admission {
    /// Returns the usage for the ledger, and the amounts that count for the rate limits.
    fn measure(
        &self,
        dialect: &Dialect,
        outcome: Outcome,
        mut accumulator: UsageAccumulator,
    ) -> (MeasuredUsage, Amounts) {
        let spent = |accumulator: &UsageAccumulator| {
            dialect.measure(&self.estimate, &self.model, accumulator)
        };
        accumulator.is_failed = is_failure(outcome);
        let usage = spent(&accumulator);
        let is_nothing = usage.quantities.or_zero(Metric::NumModelRequests) == 0;
        let amounts = if !is_nothing {
            limited_amounts(&usage.quantities)
        } else if accumulator.text.length == 0 {
            Amounts::zero().with_requests(1)
        } else {
            // Rate limits count the text that came, although a failed answer costs nothing.
            accumulator.is_failed = false;
            limited_amounts(&spent(&accumulator).quantities)
        };
        (usage, amounts)
    }

    fn record(
        self,
        dialect: &Dialect,
        outcome: Outcome,
        spent: MeasuredUsage,
        observer: RequestObserver,
    ) -> Recorded {
        let key = &self.caller.key;
        let request = MeteredRequest {
            id: self.id.as_str().to_owned(),
            admitted_at: self.admitted_at,
            organization: key.organization.id.clone(),
            project: self.caller.project.id.clone(),
            user: key.user().cloned(),
            key: Some(key.id.clone()),
            model: (*self.model).to_owned(),
            billing: self.billing,
        };
        let events = request.events(dialect, outcome, spent);
        if let Some(event) = events.first() {
            observer.settle(event);
        }
        self.queue_permit.record_all(events)
    }
}
