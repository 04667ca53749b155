//! Places of the recorder's queue: one is taken before a request is forwarded, so that its event can always be sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::BudgetPermit;
use base::time::Stopwatch;
use tokio::sync::{Notify, mpsc, oneshot};

use super::Answer;
use crate::jobs::Job;
use crate::ledger::key::Source;
use crate::{Hold, UsageEvent};

/// A place in the recorder's queue. Given back when dropped.
pub struct Slot {
    place: mpsc::OwnedPermit<Job>,
    hurry: Arc<Notify>,
    hold: Option<Hold>,
    share: Option<BudgetPermit>,
}

impl Slot {
    pub(super) fn new(place: mpsc::OwnedPermit<Job>, hurry: Arc<Notify>) -> Self {
        Self {
            place,
            hurry,
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

    /// Sends the events of one request, which are written together. Never waits and cannot fail.
    pub fn record_all(self, events: Vec<UsageEvent>) -> Recorded {
        let (done, answer) = oneshot::channel();
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
            hurry: Some(self.hurry),
        }
    }
}

/// Resolves when the event is durable. Dropping it is fine; waiting for it makes the recorder not linger.
pub struct Recorded {
    answer: Answer,
    hurry: Option<Arc<Notify>>,
}

impl Future for Recorded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(hurry) = self.hurry.take() {
            hurry.notify_one();
        }
        Pin::new(&mut self.answer).poll(context).map(|_| ())
    }
}
