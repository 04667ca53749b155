//! Requests under way: durable before they end, so that the ledger has a row of each, also if the process is killed.
//!
//! A request is registered when it is admitted. The ledger's writer inserts each request that is older than
//! [`MIN_AGE`] into a table, with the event that is recorded if the process dies, and deletes it there in the
//! transaction that writes its row. What a process has left is recorded by [`record_lost`] or by another node.

mod lost;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::time::Stopwatch;
use tokio::sync::{mpsc, oneshot};

use crate::UsageEvent;
pub use lost::record_lost;
pub(crate) use lost::{LostRequests, epochs_over, release_slices};
pub(crate) use table::{delete, write};

/// The interval at which the writer looks for requests to insert.
pub(crate) const WRITE_INTERVAL: Duration = Duration::from_millis(250);
/// The age from which on a request is inserted: requests are durable after twice this age.
pub(crate) const MIN_AGE: Duration = Duration::from_millis(250);
/// The session of a process that serves its database alone.
pub(crate) const LOCAL_EPOCH_ID: i64 = 0;
/// The most requests that are inserted in one transaction.
const MAX_BATCH: usize = 1_000;

/// Makes the event of a request that is lost.
pub(crate) type MakeEvent = Box<dyn Fn() -> UsageEvent + Send + Sync>;

/// The requests of this process that are under way. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<Mutex<Requests>>);

#[derive(Default)]
struct Requests {
    /// The number of the next request.
    next: u64,
    /// The requests that are not in the table, oldest first.
    unwritten: BTreeMap<u64, UnwrittenRequest>,
    /// The numbers of requests that are in the table, or on their way there.
    written: HashSet<u64>,
    /// The ids of requests in the table that have ended without a row.
    abandoned: Vec<String>,
}

/// A request that is not in the table.
pub(crate) struct UnwrittenRequest {
    since: Stopwatch,
    event: MakeEvent,
    /// True if an insertion has failed, which may have taken effect all the same.
    is_uncertain: bool,
}

/// A request that is to be in the table before it is forwarded.
pub(crate) struct StrictRequest {
    number: u64,
    /// Answered when the request is in the table; dropped if the table could not be written.
    done: oneshot::Sender<()>,
}

/// The queue of requests that are to be in the table before they are forwarded.
pub(crate) type StrictQueue = mpsc::Receiver<StrictRequest>;

/// RAII guard of a registered request. Drop forgets the request, and has it deleted from the table.
pub(crate) struct RegisteredRequest {
    requests: UnderWay,
    number: u64,
    /// `None` once the request has ended.
    id: Option<String>,
}

/// Changes that the writer makes in the table.
#[derive(Default)]
pub(crate) struct DueRequests {
    pub(crate) requests: Vec<(u64, UnwrittenRequest)>,
    /// The ids to delete.
    pub(crate) abandoned: Vec<String>,
}

impl UnderWay {
    /// Registers a request.
    pub(crate) fn register(&self, id: String, event: MakeEvent) -> RegisteredRequest {
        let request = UnwrittenRequest {
            since: Stopwatch::start(),
            event,
            is_uncertain: false,
        };
        let mut requests = self.lock();
        let number = requests.next;
        requests.next += 1;
        requests.unwritten.insert(number, request);
        drop(requests);
        RegisteredRequest {
            requests: self.clone(),
            number,
            id: Some(id),
        }
    }

    /// Takes what is due: requests of [`MIN_AGE`], and those that have ended without a row.
    pub(crate) fn take_due(&self) -> DueRequests {
        let mut requests = self.lock();
        let is_due = |(_, request): &(&u64, &UnwrittenRequest)| request.since.elapsed() >= MIN_AGE;
        let due = requests.unwritten.iter().take_while(is_due);
        let numbers: Vec<u64> = due.map(|(number, _)| *number).take(MAX_BATCH).collect();
        DueRequests {
            requests: requests.take(&numbers),
            abandoned: std::mem::take(&mut requests.abandoned),
        }
    }

    /// Takes the requests of messages that are under way and not in the table.
    pub(crate) fn take_strict(&self, requests: &[StrictRequest]) -> DueRequests {
        let numbers: Vec<u64> = requests.iter().map(|request| request.number).collect();
        DueRequests {
            requests: self.lock().take(&numbers),
            abandoned: Vec::new(),
        }
    }

    /// Takes back what could not be written.
    pub(crate) fn put_back(&self, due: DueRequests) {
        let mut requests = self.lock();
        requests.abandoned.extend(due.abandoned);
        for (number, request) in due.requests {
            // A request that has ended meanwhile is deleted with its row.
            if requests.written.remove(&number) {
                let request = UnwrittenRequest {
                    is_uncertain: true,
                    ..request
                };
                requests.unwritten.insert(number, request);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn take(&mut self, numbers: &[u64]) -> Vec<(u64, UnwrittenRequest)> {
        let mut taken = Vec::with_capacity(numbers.len());
        for number in numbers {
            if let Some(request) = self.unwritten.remove(number) {
                self.written.insert(*number);
                taken.push((*number, request));
            }
        }
        taken
    }
}

impl DueRequests {
    /// True if there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.abandoned.is_empty()
    }
}

impl StrictRequest {
    /// Tells the sender that the request is in the table.
    pub(crate) fn written(self) {
        // The receiver may have been dropped.
        let _ = self.done.send(());
    }
}

impl UnwrittenRequest {
    /// Returns the event that is recorded if the process dies.
    fn event(&self) -> UsageEvent {
        (self.event)()
    }
}

impl RegisteredRequest {
    /// Returns the message by which the request is written at once, and its answer.
    pub(crate) fn strict(&self) -> (StrictRequest, oneshot::Receiver<()>) {
        let (done, written) = oneshot::channel();
        let number = self.number;
        (StrictRequest { number, done }, written)
    }

    /// Ends the request, whose row is written from now on. Returns its id if the table has the request.
    pub(crate) fn end(mut self) -> Option<String> {
        let id = self.id.take();
        id.filter(|_| self.forget())
    }

    /// Forgets the request. True if the table may have it.
    fn forget(&self) -> bool {
        let mut requests = self.requests.lock();
        match requests.unwritten.remove(&self.number) {
            Some(request) => request.is_uncertain,
            None => requests.written.remove(&self.number),
        }
    }
}

impl Drop for RegisteredRequest {
    fn drop(&mut self) {
        if let Some(id) = self.id.take()
            && self.forget()
        {
            self.requests.lock().abandoned.push(id);
        }
    }
}
