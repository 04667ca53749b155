//! The promise that an admitted request ends in the ledger: exactly one row, whatever becomes of it.

use std::sync::Arc;

use base::UnixTime;
use base::ids::{Id, RequestId};
use usage::{Outcome, Recorded, Slot, UsageEvent};

use crate::dialect::{Demand, Dialect, Spent, Tally};
use crate::identify::Caller;
use crate::watched::Watched;

/// An admitted request that is not in the ledger yet. Settling it consumes it; dropped unsettled, it is settled with
/// an estimate.
pub(crate) struct Reservation {
    dialect: &'static Dialect,
    open: Option<Open>,
    watched: Watched,
}

/// Kept small, for it is moved along with the request: the event is made at its end.
struct Open {
    slot: Slot,
    id: RequestId,
    caller: Caller,
    /// The model as its upstream calls it.
    model: Arc<str>,
    demand: Demand,
    admitted_at: UnixTime,
}

impl Reservation {
    /// A place in the ledger's queue for the request `id` of `caller` to `model`, which asks for `demand`.
    pub(crate) fn new(
        slot: Slot,
        (id, dialect): (RequestId, &'static Dialect),
        caller: Caller,
        model: Arc<str>,
        demand: Demand,
        admitted_at: UnixTime,
        watched: Watched,
    ) -> Self {
        let open = Open {
            slot,
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
        }
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

    fn record(&mut self, outcome: Outcome, tally: Option<Tally>) -> Option<Recorded> {
        let open = self.open.take()?;
        let spent = match tally {
            None => Spent::nothing(),
            Some(tally) => (self.dialect.spent)(&open.demand, &open.model, tally),
        };
        Some(open.record(self.dialect, outcome, spent, self.watched.take()))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        drop(self.record(Outcome::ClientGone, Some(Tally::default())));
    }
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
            service_tier: spent.service_tier,
            size: spent.size,
            source: dialect.source.map(str::to_owned),
            vector_store_id: None,
            context_level: None,
            quantities: spent.quantities,
            estimated: spent.estimated,
            outcome,
        };
        watched.settle(&event);
        self.slot.record(event)
    }
}
