//! Permits to enqueue: one is reserved before a request is forwarded, so that its event can always be sent.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::{BudgetPermit, Error, NanoDollars};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use crate::jobs::{Answer, Job};
use crate::ledger::key::Source;
use crate::set_aside::json_of;
use crate::under_way::{RegisteredRequest, StrictRequest, UnderWay};
use crate::{DurableReservation, PriceBook, SpendReservation, UsageEvent};

/// The longest wait for a request to be durable.
const STRICT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reserved capacity in the recorder's queue. Drop releases it.
pub struct QueuePermit {
    permit: mpsc::OwnedPermit<Job>,
    flush_requested: Arc<Notify>,
    spend: Option<SpendReservation>,
    durable: Option<DurableReservation>,
    share: Option<BudgetPermit>,
    under_way: UnderWay,
    strict: mpsc::Sender<StrictRequest>,
    request: Option<RegisteredRequest>,
    writer: watch::Receiver<()>,
    prices: Arc<PriceBook>,
}

impl QueuePermit {
    pub(super) fn new(
        permit: mpsc::OwnedPermit<Job>,
        flush_requested: Arc<Notify>,
        (under_way, strict): (UnderWay, mpsc::Sender<StrictRequest>),
        writer: watch::Receiver<()>,
        prices: Arc<PriceBook>,
    ) -> Self {
        Self {
            permit,
            flush_requested,
            under_way,
            strict,
            writer,
            prices,
            spend: None,
            durable: None,
            share: None,
            request: None,
        }
    }

    /// Returns the permit with the share of its tenant, which is released once the event is written.
    #[must_use]
    pub fn with_share(self, share: BudgetPermit) -> Self {
        Self {
            share: Some(share),
            ..self
        }
    }

    /// Returns the permit with the money that is reserved for the event, which is released when the cost of the event
    /// counts.
    #[must_use]
    pub fn with_spend(self, spend: Option<SpendReservation>) -> Self {
        Self { spend, ..self }
    }

    /// Returns the permit with the money that is reserved in the database for the event, which is released in the
    /// transaction in which the cost of the event counts.
    #[must_use]
    pub fn with_durable(self, durable: Option<DurableReservation>) -> Self {
        Self { durable, ..self }
    }

    /// Registers the request of the permit, which is under way from now on. If the process dies before the event of the
    /// request is sent, the ledger gets the row of `event` instead, which has this id.
    pub fn register(&mut self, id: String, event: impl Fn() -> UsageEvent + Send + Sync + 'static) {
        self.request = Some(self.under_way.register(id, Box::new(event)));
    }

    /// Waits until the registered request is durable, if there is one.
    ///
    /// # Errors
    /// 503: the database did not take the request in time.
    pub async fn make_durable(&self) -> base::Result<()> {
        let Some(request) = &self.request else {
            return Ok(());
        };
        let (message, written) = request.strict();
        // Each permit sends one message at most, so the queue has room.
        let is_sent = self.strict.try_send(message).is_ok();
        match timeout(STRICT_TIMEOUT, written).await {
            Ok(Ok(())) if is_sent => Ok(()),
            _ => Err(Error::overloaded(
                "The request could not be recorded before it is forwarded. Try again in a second.",
                1,
            )),
        }
    }

    /// Returns the amount of the money that is reserved in memory for the event.
    #[must_use]
    pub fn reserved(&self) -> Option<NanoDollars> {
        self.spend.as_ref().map(SpendReservation::amount)
    }

    /// Returns the money that is reserved in the database for the event.
    #[must_use]
    pub fn durable(&self) -> Option<&DurableReservation> {
        self.durable.as_ref()
    }

    /// Gives up the permit, and returns the money that is reserved in the database for the event.
    #[must_use]
    pub fn into_durable(self) -> Option<DurableReservation> {
        self.durable
    }

    /// Sends the event. Never blocks and never fails, so `Drop` can call it.
    pub fn record(self, event: UsageEvent) -> Recorded {
        self.record_all(vec![event])
    }

    /// Sends the events of one request, which are written together. Never blocks and never fails. The reservation is
    /// set to their cost.
    pub fn record_all(mut self, events: Vec<UsageEvent>) -> Recorded {
        if let Some(spend) = &mut self.spend {
            let costs = events.iter().map(|event| self.prices.cost(event));
            spend.set_amount(costs.sum());
        }
        if self.writer.has_changed().is_err() {
            for event in &events {
                let (id, event) = (event.id.as_str(), json_of(event));
                tracing::error!(id, event, "usage event lost: the ledger writer has ended");
            }
        }
        let (job, answer) = Job::new(Source::Gateway, events);
        self.permit.send(Job {
            is_urgent: false,
            spend: self.spend,
            releases: self
                .durable
                .map(DurableReservation::keep)
                .into_iter()
                .collect(),
            ended: self.request.and_then(RegisteredRequest::end),
            share: self.share,
            ..job
        });
        Recorded {
            answer,
            flush_requested: self.flush_requested,
            writer: self.writer,
        }
    }
}

/// An event that was sent to the ledger. Awaiting it makes the writer write the batch at once, and resolves when the
/// event is durable, or fails with 503 when it will never be. It may be dropped.
pub struct Recorded {
    answer: Answer,
    flush_requested: Arc<Notify>,
    /// Closed when the writer has ended.
    writer: watch::Receiver<()>,
}

/// The wait for a [`Recorded`] event.
pub type Durable = Pin<Box<dyn Future<Output = base::Result<()>> + Send>>;

impl IntoFuture for Recorded {
    type Output = base::Result<()>;
    type IntoFuture = Durable;

    fn into_future(self) -> Durable {
        self.flush_requested.notify_one();
        Box::pin(self.wait_durable())
    }
}

impl Recorded {
    async fn wait_durable(mut self) -> base::Result<()> {
        // Events sent after the writer has ended are never answered.
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
