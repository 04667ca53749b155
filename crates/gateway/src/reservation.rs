//! The promise that an admitted request ends in the ledger: exactly one row, whatever becomes of it.

use std::sync::Arc;

use access::LimitField;
use base::ids::{Id, RequestId};
use base::{BudgetPermit, UnixTime};
use usage::{Dimension, Kind, Metric, Outcome, Quantities, QueuePermit, Recorded, UsageEvent};

use crate::dialect::{Demand, Dialect, Spent, Tally};
use crate::identify::Caller;
use crate::limits::{Amounts, Held};
use crate::upstreams::Failure;
use crate::watched::Watched;

/// An admitted request that is not in the ledger yet. Settling it consumes it; dropped unsettled, it is settled with
/// an estimate.
pub(crate) struct Reservation {
    dialect: &'static Dialect,
    open: Option<Open>,
    watched: Watched,
    /// The permit for the memory in which a compressed answer is decoded; it holds no bytes yet.
    memory: Option<BudgetPermit>,
}

/// Kept small, for it is moved along with the request: the event is made at its end.
struct Open {
    slot: QueuePermit,
    /// What it took of its limits; `None` where all of that is to count.
    held: Option<Held>,
    id: RequestId,
    caller: Caller,
    /// The model as its upstream calls it.
    model: Arc<str>,
    demand: Demand,
    admitted_at: UnixTime,
}

impl Reservation {
    /// A place in the ledger's queue, and what was taken of limits, for the request `id` of `caller` to `model`, which
    /// asks for `demand`.
    pub(crate) fn new(
        (slot, held): (QueuePermit, Held),
        (id, dialect): (RequestId, &'static Dialect),
        caller: Caller,
        model: Arc<str>,
        demand: Demand,
        admitted_at: UnixTime,
        watched: Watched,
    ) -> Self {
        let open = Open {
            slot,
            held: Some(held),
            id,
            caller,
            model,
            demand,
            admitted_at,
        };
        Self {
            dialect,
            open: Some(open),
            watched,
            memory: None,
        }
    }

    /// The memory in which a compressed answer is decoded is charged to this permit.
    pub(crate) fn with_memory(mut self, memory: BudgetPermit) -> Self {
        self.memory = Some(memory);
        self
    }

    /// The permit of [`Self::with_memory`], for the one answer.
    pub(crate) fn take_memory(&mut self) -> Option<BudgetPermit> {
        self.memory.take()
    }

    /// Returns the caller of the request, until it is settled.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.open.as_ref().map(|open| &open.caller)
    }

    /// True if the client asked for a stream.
    pub(crate) fn is_streamed(&self) -> bool {
        (self.open.as_ref()).is_some_and(|open| open.demand.is_streamed)
    }

    /// The endpoint that it came to.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// What operators see of it.
    pub(crate) fn watched(&mut self) -> &mut Watched {
        &mut self.watched
    }

    /// The model that works on it after all.
    pub(crate) fn is_for(&mut self, model: &Arc<str>) {
        if let Some(open) = &mut self.open {
            open.model = Arc::clone(model);
        }
    }

    /// Writes down how it ended and what was read of its answer; nothing was consumed if no model worked on it. `None`
    /// only when there is nothing left to settle.
    pub(crate) fn settle(mut self, outcome: Outcome, tally: Option<Tally>) -> Option<Recorded> {
        self.record(outcome, tally)
    }

    /// Writes down that there was no answer. What no model server got does not count for the limits; other failures count
    /// as requests.
    pub(crate) fn fail(mut self, failure: &Failure) -> Option<Recorded> {
        if !failure.was_sent
            && let Some(open) = &mut self.open
        {
            drop(open.held.take());
        }
        self.record(failure.outcome, None)
    }

    fn record(&mut self, outcome: Outcome, tally: Option<Tally>) -> Option<Recorded> {
        let mut open = self.open.take()?;
        let (spent, consumed) = match tally {
            None => (Spent::nothing(), Amounts::nothing().with_requests(1)),
            Some(mut tally) => {
                let measure = |tally: &Tally| self.dialect.spent(&open.demand, &open.model, tally);
                tally.is_failed = is_failure(outcome);
                let spent = measure(&tally);
                let is_nothing = spent.quantities.or_zero(Metric::NumModelRequests) == 0;
                let consumed = if !is_nothing {
                    consumed(&spent.quantities)
                } else if tally.text.length == 0 {
                    Amounts::nothing().with_requests(1)
                } else {
                    // Limits count the text that came, also of an answer that has failed and costs nothing.
                    tally.is_failed = false;
                    consumed(&measure(&tally).quantities)
                };
                (spent, consumed)
            }
        };
        if let Some(held) = open.held.take() {
            held.settle(&consumed);
        }
        Some(open.record(self.dialect, outcome, spent, self.watched.take()))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // What was consumed will never be known: what was taken of the limits counts.
        if let Some(held) = self.open.as_mut().and_then(|open| open.held.take()) {
            held.leave();
        }
        drop(self.record(Outcome::ClientGone, Some(Tally::default())));
    }
}

/// True if an answer that ended so is not one: what it consumed is what was reported, and is not estimated.
fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::UpstreamFailed | Outcome::TimedOut)
}

/// What counts for the limits, as far as it is known.
fn consumed(quantities: &Quantities) -> Amounts {
    let mut consumed = Amounts::default();
    let (input, output) = (Metric::InputTokens, Metric::OutputTokens);
    if quantities.get(input).or(quantities.get(output)).is_some() {
        let tokens = quantities
            .or_zero(input)
            .saturating_add(quantities.or_zero(output));
        consumed.set(LimitField::TokensPerMinute, tokens);
    }
    if let Some(images) = quantities.get(Metric::Images) {
        consumed.set(LimitField::ImagesPerMinute, images);
    }
    consumed
}

impl Open {
    fn record(
        self,
        dialect: &Dialect,
        outcome: Outcome,
        spent: Spent,
        watched: Watched,
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
            quantities: spent.quantities,
            estimated: spent.estimated,
            outcome,
        };
        watched.settle(&event);
        let tools = spent.called.reports();
        let tools = tools.map(|(kind, metric, count)| of_tool(&event, kind, metric, count));
        let tools: Vec<UsageEvent> = tools.collect();
        let mut events = vec![event];
        events.extend(tools);
        self.slot.record_all(events)
    }
}

/// What a hosted tool did for a request: a row of its own, in the report of the tool.
fn of_tool(request: &UsageEvent, kind: Kind, metric: Metric, count: i64) -> UsageEvent {
    let has = |dimension| kind.dimensions().contains(&dimension);
    UsageEvent {
        id: format!("{}-{}", request.id, kind.as_str()),
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
        quantities: Quantities::default().with(metric, count),
        estimated: false,
        ..request.clone()
    }
}
