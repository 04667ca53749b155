//! The room for events that wait to be written: bounded in sum, and for each tenant that reports, so that no key takes all
//! of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base::Error;
use base::ids::Id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::REPORTS_CAPACITY;
use crate::jobs::Submission;
use crate::ledger::key::Source;

/// The number of events of one source that may wait; a submission with more waits until it is alone.
const MAX_EVENTS: usize = 100_000;
/// The number of reported events that may wait of one project, and of the admin keys of one organization.
pub(super) const MAX_TENANT_EVENTS: usize = MAX_EVENTS / 4;
/// The least that a submission of reported events takes: so many of them together have places in their queue.
const MIN_EVENTS: usize = MAX_EVENTS.div_ceil(REPORTS_CAPACITY);

/// The room of a recorder. Clones are the same room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    own: Arc<Semaphore>,
    reports: Arc<Semaphore>,
    /// By tenant; a tenant of which nothing waits may have none.
    shares: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// The room of a submission, given back when dropped.
#[derive(Debug)]
pub(crate) struct RoomPermit {
    _share: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            own: Arc::new(Semaphore::new(MAX_EVENTS)),
            reports: Arc::new(Semaphore::new(MAX_EVENTS)),
            shares: Arc::default(),
        }
    }

    /// Waits until there is room for a submission.
    ///
    /// # Errors
    /// At the deadline, 429: its tenant has used up its own share; 503: there is no room for anybody.
    pub(super) async fn take(
        &self,
        submission: &Submission,
        deadline: Instant,
    ) -> base::Result<RoomPermit> {
        let events = submission.events.len();
        let share = match tenant(submission) {
            None => None,
            Some(tenant) => {
                let size = events.clamp(MIN_EVENTS, MAX_TENANT_EVENTS);
                let share = acquire(self.share(tenant), size, deadline).await;
                Some(share.ok_or_else(share_exhausted)?)
            }
        };
        let (room, size) = match submission.source {
            Source::Gateway => (&self.own, events.min(MAX_EVENTS)),
            Source::Report | Source::Import => {
                (&self.reports, events.clamp(MIN_EVENTS, MAX_EVENTS))
            }
        };
        let all = acquire(Arc::clone(room), size, deadline).await;
        Ok(RoomPermit {
            _share: share,
            _all: all.ok_or_else(super::late)?,
        })
    }

    /// The share of a tenant. Those that nobody uses any more are removed whenever their number has doubled.
    fn share(&self, tenant: String) -> Arc<Semaphore> {
        // The map is whole between any two statements.
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

/// The tenant that reports: a project by its keys, an organization by its admin keys.
fn tenant(submission: &Submission) -> Option<String> {
    let event = (submission.source == Source::Report).then(|| submission.events.first())??;
    let (organization, project) = match &submission.allowance {
        Some(allowance) => (&allowance.organization_id, allowance.project_id.as_str()),
        None => (&event.organization_id, ""),
    };
    Some(format!("{}/{project}", organization.as_str()))
}

async fn acquire(
    room: Arc<Semaphore>,
    size: usize,
    deadline: Instant,
) -> Option<OwnedSemaphorePermit> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let acquired = timeout_at(deadline, room.acquire_many_owned(size)).await;
    acquired.ok()?.ok()
}

fn share_exhausted() -> Error {
    let message = format!(
        "The reported events that wait to be written are at most {MAX_TENANT_EVENTS} for one project, and for the admin \
         keys of one organization, and that is reached. Send less at once, or try again in a second."
    );
    Error::rate_limited("requests", message, Some(1))
}
