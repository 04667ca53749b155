//! The promise that an admitted request ends in the ledger: exactly one row, whatever becomes of it.

use std::sync::Arc;

use base::UnixTime;
use base::ids::{Id, RequestId};
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

/// Kept small, for it is moved along with the request: the event is made at its end.
struct Open {
    slot: Slot,
    id: RequestId,
    caller: Caller,
    /// The model as its upstream calls it.
    model: Arc<str>,
    /// How many bytes of text the request has.
    text: usize,
    admitted_at: UnixTime,
}

impl Reservation {
    /// A place in the ledger's queue for the request `id` of `caller` to `model`, whose messages have `text` bytes.
    pub(crate) fn new(
        slot: Slot,
        id: RequestId,
        caller: Caller,
        model: Arc<str>,
        text: usize,
        admitted_at: UnixTime,
    ) -> Self {
        Self(Some(Open {
            slot,
            id,
            caller,
            model,
            text,
            admitted_at,
        }))
    }

    /// The model that works on it after all.
    pub(crate) fn is_for(&mut self, model: &Arc<str>) {
        if let Some(open) = &mut self.0 {
            open.model = Arc::clone(model);
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
    fn record(self, outcome: Outcome, spent: Spent) -> Recorded {
        let estimated = matches!(spent, Spent::Unreported { .. });
        let (quantities, service_tier) = match spent {
            Spent::Nothing => (
                Quantities::default().with(Metric::NumModelRequests, 0),
                None,
            ),
            Spent::Reported {
                quantities,
                service_tier,
            } => (quantities, service_tier),
            Spent::Unreported { text } => {
                let quantities = Quantities::default()
                    .with(Metric::NumModelRequests, 1)
                    .with(Metric::InputTokens, tokens(self.text))
                    .with(Metric::OutputTokens, tokens(text));
                (quantities, None)
            }
        };
        let key = &self.caller.key;
        self.slot.record(UsageEvent {
            id: self.id.as_str().to_owned(),
            timestamp: self.admitted_at,
            organization_id: key.organization.id.clone(),
            kind: Kind::Completions,
            project_id: self.caller.project.id.clone(),
            user_id: key.user().cloned(),
            api_key_id: Some(key.id.clone()),
            model: Some((*self.model).to_owned()),
            batch: false,
            service_tier,
            size: None,
            source: None,
            vector_store_id: None,
            context_level: None,
            quantities,
            estimated,
            outcome,
        })
    }
}

/// About how many tokens a text of so many bytes has, at least one.
fn tokens(bytes: usize) -> i64 {
    i64::try_from(bytes.div_ceil(BYTES_PER_TOKEN).max(1)).unwrap_or(i64::MAX)
}
