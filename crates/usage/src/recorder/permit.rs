//! Places of the recorder's queue: one is taken before a request is forwarded, so that its event can always be sent.

use std::pin::Pin;
use std::sync::Arc;

use base::time::Stopwatch;
use base::{BudgetPermit, Error};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::Answer;
use crate::jobs::Job;
use crate::ledger::key::Source;
use crate::set_aside::json_of;
use crate::{Hold, PriceBook, UsageEvent};

/// A place in the recorder's queue. Given back when dropped.
pub struct Slot {
    place: mpsc::OwnedPermit<Job>,
    hurry: Arc<Notify>,
    hold: Option<Hold>,
    share: Option<BudgetPermit>,
    writer: watch::Receiver<()>,
    prices: Arc<PriceBook>,
}

impl Slot {
    pub(super) fn new(
        place: mpsc::OwnedPermit<Job>,
        hurry: Arc<Notify>,
        writer: watch::Receiver<()>,
        prices: Arc<PriceBook>,
    ) -> Self {
        Self {
            place,
            hurry,
            writer,
            prices,
            hold: None,
            share: None,
        }
    }

    /// Returns the slot with the share of the queue that its tenant uses, given back together with the place: not when the
    /// event is sent, but once it is written.
    #[must_use]
    pub fn sharing(self, share: BudgetPermit) -> Self {
        Self {
            share: Some(share),
            ..self
        }
    }

    /// Adds the money that is set aside for the event, which is given back when the cost of the event is counted.
    #[must_use]
    pub fn holding(self, hold: Option<Hold>) -> Self {
        Self { hold, ..self }
    }

    /// Sends the event. Never waits and cannot fail, so a `Drop` can call it.
    pub fn record(self, event: UsageEvent) -> Recorded {
        self.record_all(vec![event])
    }

    /// Sends the events of one request, which are written together. Never waits and cannot fail. What was set aside for them
    /// becomes what they cost.
    pub fn record_all(mut self, events: Vec<UsageEvent>) -> Recorded {
        if let Some(hold) = &mut self.hold {
            let costs = events.iter().map(|event| self.prices.cost(event));
            hold.becomes(costs.sum());
        }
        let (done, answer) = oneshot::channel();
        if self.writer.has_changed().is_err() {
            for event in &events {
                let (id, event) = (event.id.as_str(), json_of(event));
                tracing::error!(id, event, "usage event lost: the ledger writer has ended");
            }
        }
        self.place.send(Job {
            events,
            done,
            source: Source::Gateway,
            allowance: None,
            urgent: false,
            since: Stopwatch::start(),
            room: None,
            hold: self.hold,
            releases: Vec::new(),
            share: self.share,
        });
        Recorded {
            answer,
            hurry: self.hurry,
            writer: self.writer,
        }
    }
}

/// An event that was sent to the ledger. Dropping it is fine; awaiting it makes the recorder not linger, and resolves when
/// the event is durable, or when that will never be: 503.
pub struct Recorded {
    answer: Answer,
    hurry: Arc<Notify>,
    /// Closed when the writer has ended.
    writer: watch::Receiver<()>,
}

/// The wait for a [`Recorded`] event.
pub type Durable = Pin<Box<dyn Future<Output = base::Result<()>> + Send>>;

impl IntoFuture for Recorded {
    type Output = base::Result<()>;
    type IntoFuture = Durable;

    fn into_future(self) -> Durable {
        self.hurry.notify_one();
        Box::pin(self.written())
    }
}

impl Recorded {
    async fn written(mut self) -> base::Result<()> {
        // What is sent after the writer has ended is answered by nobody.
        let answer = tokio::select! {
            biased;
            answer = &mut self.answer => answer.ok(),
            _ = self.writer.changed() => self.answer.try_recv().ok(),
        };
        match answer {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => Err(not_durable()),
        }
    }
}

fn not_durable() -> Error {
    let message =
        "The ledger ended before the usage of the request was written. Try again in a few seconds.";
    Error::overloaded(message, 5)
}
