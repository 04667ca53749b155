//! The one writer of the ledger.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::Clock;
use store::Database;
use tokio::sync::oneshot;

use crate::{PriceBook, UsageEvent};

/// Takes usage events in.
#[derive(Clone)]
pub struct Recorder;

/// The recorder's thread.
pub struct RecorderTask;

/// A place in the recorder's queue.
pub struct Slot;

/// Resolves when the event is durable; dropping it is fine.
pub struct Recorded(oneshot::Receiver<()>);

impl Future for Recorded {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}

/// How many events were new, and how many known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Appended {
    pub accepted: usize,
    pub duplicates: usize,
}

impl Recorder {
    /// Starts the recorder's thread.
    ///
    /// # Errors
    /// The thread or its runtime could not be made.
    pub fn start(
        database: Database,
        prices: Arc<PriceBook>,
        clock: Clock,
    ) -> std::io::Result<(Self, RecorderTask)> {
        drop((database, prices, clock));
        unimplemented!()
    }

    /// A place in the queue.
    ///
    /// # Errors
    /// 503: none came free within about a second.
    pub async fn reserve(&self) -> base::Result<Slot> {
        unimplemented!()
    }

    /// Writes events; they are durable when it returns.
    ///
    /// # Errors
    /// 503: the queue is full or the database fails.
    pub async fn append(&self, events: Vec<UsageEvent>) -> base::Result<Appended> {
        drop(events);
        unimplemented!()
    }

    /// Waits until everything sent so far is durable.
    pub async fn flush(&self) {}

    /// How many places of the queue are taken.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        0
    }
}

impl Slot {
    /// Sends the event.
    pub fn record(self, event: UsageEvent) -> Recorded {
        drop(event);
        unimplemented!()
    }
}

impl RecorderTask {
    /// Writes everything that is waiting and ends the thread.
    pub async fn stop(self) {}
}
