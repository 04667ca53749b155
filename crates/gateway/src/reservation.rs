//! The promise that an admitted request ends in the ledger: exactly one row, whatever becomes of it.

use base::ids::RequestId;
use base::{Clock, UnixTime};
use usage::{Kind, Metric, Outcome, Quantities, Recorded, Slot, UsageEvent};

use crate::identify::Caller;

/// One token is about four bytes of text.
const BYTES_PER_TOKEN: usize = 4;

/// What a request consumed.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each request, and consumed at once"
)]
pub(crate) enum Spent {
    /// Nothing: no model worked on it.
    Nothing,
    /// What the upstream reported.
    Reported {
        quantities: Quantities,
        service_tier: Option<String>,
    },
    /// The upstream reported nothing; its answer has this many bytes of text.
    Unreported { text: usize },
}

/// An admitted request that is not in the ledger yet. Settling it consumes it; dropped unsettled, it is settled with
/// an estimate.
pub(crate) struct Reservation(Option<Open>);

struct Open {
    slot: Slot,
    event: UsageEvent,
    /// How many bytes of text the request has.
    text: usize,
}

impl Reservation {
    /// A place in the ledger's queue for the request `id` of `caller`; its messages have `text` bytes.
    pub(crate) fn new(
        slot: Slot,
        id: &RequestId,
        caller: &Caller,
        text: usize,
        clock: &Clock,
    ) -> Self {
        let event = blank(id, caller, clock.now());
        Self(Some(Open { slot, event, text }))
    }

    /// The model that works on it, as its upstream calls it.
    pub(crate) fn is_for(&mut self, model: &str) {
        if let Some(open) = &mut self.0 {
            open.event.model = Some(model.to_owned());
        }
    }

    /// Writes down how it ended. `None` only when there is nothing left to settle.
    pub(crate) fn settle(mut self, outcome: Outcome, spent: Spent) -> Option<Recorded> {
        self.0.take().map(|open| open.record(outcome, spent))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            drop(open.record(Outcome::ClientGone, Spent::Unreported { text: 0 }));
        }
    }
}

impl Open {
    fn record(mut self, outcome: Outcome, spent: Spent) -> Recorded {
        self.event.outcome = outcome;
        match spent {
            Spent::Nothing => self.event.quantities.set(Metric::NumModelRequests, 0),
            Spent::Reported {
                quantities,
                service_tier,
            } => {
                self.event.quantities = quantities;
                self.event.service_tier = service_tier;
            }
            Spent::Unreported { text } => {
                self.event.estimated = true;
                self.event.quantities = Quantities::default()
                    .with(Metric::NumModelRequests, 1)
                    .with(Metric::InputTokens, tokens(self.text))
                    .with(Metric::OutputTokens, tokens(text));
            }
        }
        self.slot.record(self.event)
    }
}

/// About how many tokens a text of so many bytes has, at least one.
fn tokens(bytes: usize) -> i64 {
    i64::try_from(bytes.div_ceil(BYTES_PER_TOKEN).max(1)).unwrap_or(i64::MAX)
}

fn blank(id: &RequestId, caller: &Caller, timestamp: UnixTime) -> UsageEvent {
    UsageEvent {
        id: id.to_string(),
        timestamp,
        organization_id: caller.key.organization.id.clone(),
        kind: Kind::Completions,
        project_id: caller.project.id.clone(),
        user_id: caller.key.user.clone(),
        api_key_id: Some(caller.key.id.clone()),
        model: None,
        batch: false,
        service_tier: None,
        size: None,
        source: None,
        vector_store_id: None,
        context_level: None,
        quantities: Quantities::default(),
        estimated: false,
        outcome: Outcome::Succeeded,
    }
}
