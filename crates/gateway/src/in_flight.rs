//! An admitted request in flight, which ends in exactly one settlement of its limits and its usage.

use std::sync::Arc;

use access::LimitField;
use base::ids::{Id, RequestId};
use base::{BudgetPermit, UnixTime};
use proxy::{Target, UpstreamBilling};
use usage::{
    ApiSource, Dimension, Metric, Outcome, Quantities, QueuePermit, Recorded, UsageEvent,
    UsageKind, tool_row_id,
};

use crate::budget::with_billing;
use crate::caller::Caller;
use crate::dialect::{Dialect, Estimate, MeasuredUsage, UsageAccumulator};
use crate::limits::{Amounts, RateLimitReservation};
use crate::request_observer::RequestObserver;
use crate::state_recording::StateRecorder;
use crate::upstreams::ForwardFailure;

/// RAII guard of an admitted request. `settle` and `fail` record its usage; drop records an estimate, as if the client had
/// hung up.
pub(crate) struct InFlightRequest {
    pub(crate) dialect: &'static Dialect,
    /// `None` once the request is settled.
    pub(crate) admission: Option<Admission>,
    pub(crate) observer: RequestObserver,
    /// Empty permit for the memory in which a compressed answer is decoded.
    pub(crate) decoding_memory: Option<BudgetPermit>,
    /// Recorder of what the answer leaves at its upstream; `None` if the upstream is asked to store nothing.
    pub(crate) state_recorder: Option<StateRecorder>,
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

    /// Sets the upstream and the model that have answered, which may be others than planned first.
    pub(crate) fn set_target(&mut self, target: &Target) {
        if let Some(admission) = &mut self.admission {
            admission.model = Arc::clone(&target.model);
            admission.billing = target.billing();
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
fn is_failure(outcome: Outcome) -> bool {
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
        let has_tier = dialect.kind.dimensions().contains(&Dimension::ServiceTier);
        let event = UsageEvent {
            id: self.id.as_str().to_owned(),
            timestamp: self.admitted_at,
            organization_id: key.organization.id.clone(),
            kind: dialect.kind,
            project_id: self.caller.project.id.clone(),
            user_id: key.user().cloned(),
            api_key_id: Some(key.id.clone()),
            model: Some((*self.model).to_owned()),
            batch: false,
            service_tier: spent.service_tier.filter(|_| has_tier),
            size: spent.size,
            source: dialect.source.map(str::to_owned),
            vector_store_id: None,
            context_level: None,
            api_source: ApiSource::Unlabeled,
            quantities: with_billing(spent.quantities, self.billing, spent.cost),
            estimated: spent.estimated,
            outcome,
        };
        observer.settle(&event);
        let tools = spent.hosted_tools.reports();
        let tools = tools.map(|(kind, metric, count)| {
            let quantities = Quantities::default().with(metric, count);
            let quantities = with_billing(quantities, self.billing, None);
            let (level, memory) = (&spent.context_level, &spent.container_memory);
            UsageEvent {
                context_level: level.clone().filter(|_| kind == UsageKind::WebSearchCalls),
                size: memory
                    .clone()
                    .filter(|_| kind == UsageKind::CodeInterpreterSessions),
                ..tool_event(&event, kind, quantities)
            }
        });
        let tools: Vec<UsageEvent> = tools.collect();
        let mut events = vec![event];
        events.extend(tools);
        self.queue_permit.record_all(events)
    }
}

/// Returns the usage event of a hosted tool that a request used, for the report of the tool.
fn tool_event(request: &UsageEvent, kind: UsageKind, quantities: Quantities) -> UsageEvent {
    let has = |dimension| kind.dimensions().contains(&dimension);
    UsageEvent {
        id: tool_row_id(&request.id, kind),
        kind,
        user_id: request.user_id.clone().filter(|_| has(Dimension::UserId)),
        api_key_id: request
            .api_key_id
            .clone()
            .filter(|_| has(Dimension::ApiKeyId)),
        model: request.model.clone().filter(|_| has(Dimension::Model)),
        service_tier: None,
        size: None,
        source: None,
        quantities,
        estimated: false,
        ..request.clone()
    }
}
