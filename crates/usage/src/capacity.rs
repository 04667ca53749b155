//! The bound on events that wait to be written: in sum, and for each tenant that reports, so that no key takes all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::ledger::key::Source;

/// The most jobs of reported events that may wait.
pub(crate) const REPORTS_CAPACITY: usize = 1_024;
/// The most events of one source that may wait. A larger job waits until it is alone.
const MAX_EVENTS: usize = 100_000;
/// The most reported events that may wait for one project, or for the admin keys of one organization.
const MAX_TENANT_EVENTS: usize = MAX_EVENTS / 4;
/// The least capacity that a job of reported events takes, so that its queue of jobs never fills before the
/// capacity.
const MIN_EVENTS: usize = MAX_EVENTS.div_ceil(REPORTS_CAPACITY);

/// The capacity for events that wait. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct EventCapacity {
    gateway: Arc<Semaphore>,
    reports: Arc<Semaphore>,
    /// The semaphores of tenants, by tenant; there may be none for a tenant without waiting events.
    shares: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// The capacity that events hold while they wait. Drop releases it.
#[derive(Debug)]
pub(crate) struct EventPermit {
    _share: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl EventCapacity {
    pub(crate) fn new() -> Self {
        Self {
            gateway: Arc::new(Semaphore::new(MAX_EVENTS)),
            reports: Arc::new(Semaphore::new(MAX_EVENTS)),
            shares: Arc::default(),
        }
    }

    /// Waits for the capacity of events that are written together. Those of a tenant take its share, too.
    ///
    /// # Errors
    /// At the deadline, 429 if the tenant has used up its share, 503 if the whole capacity is used.
    pub(crate) async fn acquire(
        &self,
        events: usize,
        source: Source,
        tenant: Option<String>,
        deadline: Instant,
    ) -> base::Result<EventPermit> {
        let share = match tenant {
            None => None,
            Some(tenant) => {
                let size = events.clamp(MIN_EVENTS, MAX_TENANT_EVENTS);
                let share = acquire(self.share(tenant), size, deadline).await;
                Some(share.ok_or_else(share_exhausted)?)
            }
        };
        let (capacity, size) = match source {
            Source::Gateway | Source::Lost => (&self.gateway, events.min(MAX_EVENTS)),
            Source::Report | Source::Import => {
                (&self.reports, events.clamp(MIN_EVENTS, MAX_EVENTS))
            }
        };
        let all = acquire(Arc::clone(capacity), size, deadline).await;
        Ok(EventPermit {
            _share: share,
            _all: all.ok_or_else(late)?,
        })
    }

    /// Returns the semaphore of a tenant. Unused ones are removed whenever their number has doubled.
    fn share(&self, tenant: String) -> Arc<Semaphore> {
        // The map is consistent between any two statements, so poisoning is harmless.
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&tenant).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(MAX_TENANT_EVENTS));
        shares.insert(tenant, Arc::downgrade(&share));
        share
    }
}

async fn acquire(
    capacity: Arc<Semaphore>,
    size: usize,
    deadline: Instant,
) -> Option<OwnedSemaphorePermit> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let acquired = timeout_at(deadline, capacity.acquire_many_owned(size)).await;
    acquired.ok()?.ok()
}

fn share_exhausted() -> Error {
    let message = format!(
        "The reported events that wait to be written are at most {MAX_TENANT_EVENTS} for one project, and for the admin \
         keys of one organization, and that is reached. Send less at once, or try again in a second."
    );
    Error::rate_limited("requests", message, Some(1))
}

/// Returns the error of events that were not written in time.
pub(crate) fn late() -> Error {
    let message = "The usage could not be written in time. Send it again: what was written is known by its ids.";
    Error::overloaded(message, 1)
}
