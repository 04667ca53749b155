//! Jobs of the ledger writer, and how they are grouped into transactions.

use std::collections::HashSet;

use base::BudgetPermit;
use base::ids::Id;
use base::time::{SECONDS_PER_DAY, Stopwatch};
use tokio::sync::{mpsc, oneshot};

use crate::capacity::EventPermit;
use crate::ledger::key::Source;
use crate::{Allowance, ReservationKey, SpendReservation, UsageEvent};

/// The most events that share a transaction, unless one job alone has more.
const MAX_BATCH_EVENTS: usize = 1_000;
/// The most days on which reported events of a transaction may lie. Each day without a table needs one created, and
/// events of the gateway wait for that.
pub(crate) const MAX_BATCH_DAYS: usize = 16;

/// Events that are written in one transaction or not at all.
pub(crate) struct Job {
    pub(crate) events: Vec<UsageEvent>,
    /// Answered when the events are durable or refused.
    pub(crate) done: oneshot::Sender<base::Result<Appended>>,
    pub(crate) source: Source,
    /// The allowance of the key that reports the events.
    pub(crate) allowance: Option<Allowance>,
    /// True if a caller waits for the events.
    pub(crate) is_urgent: bool,
    /// The time since the events arrived.
    pub(crate) since: Stopwatch,
    /// The capacity that the events hold while they wait.
    pub(crate) capacity: Option<EventPermit>,
    /// The money that is reserved for the events until they count.
    pub(crate) spend: Option<SpendReservation>,
    /// The durable reservations that are released in the transaction in which the events count.
    pub(crate) releases: Vec<ReservationKey>,
    /// The id of the request, if the table of those under way has it.
    pub(crate) ended: Option<String>,
    /// The share of the queue that the tenant holds.
    #[expect(dead_code, reason = "given back when the job is dropped")]
    pub(crate) share: Option<BudgetPermit>,
}

/// The outcome of a job, once its events are durable or refused.
pub(crate) type Answer = oneshot::Receiver<base::Result<Appended>>;

/// The numbers of new events and of duplicates in an append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The number of events that were new.
    pub accepted: usize,
    /// The number of events whose id their organization had used before.
    pub duplicates: usize,
}

impl Job {
    /// Returns a job that holds nothing and for which a caller waits, and its outcome.
    pub(crate) fn new(source: Source, events: Vec<UsageEvent>) -> (Self, Answer) {
        let (done, answer) = oneshot::channel();
        let job = Self {
            events,
            done,
            source,
            allowance: None,
            is_urgent: true,
            since: Stopwatch::start(),
            capacity: None,
            spend: None,
            releases: Vec::new(),
            ended: None,
            share: None,
        };
        (job, answer)
    }

    /// Returns the tenant that reports the events: a project for its keys, an organization for its admin keys.
    pub(crate) fn tenant(&self) -> Option<String> {
        let event = (self.source == Source::Report).then(|| self.events.first())??;
        let (organization, project) = match &self.allowance {
            Some(allowance) => (&allowance.organization_id, allowance.project_id.as_str()),
            None => (&event.organization_id, ""),
        };
        Some(format!("{}/{project}", organization.as_str()))
    }
}

/// The jobs of the gateway that share a transaction.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Job>,
    events: usize,
    /// True if a caller waits for one of the jobs.
    is_urgent: bool,
}

impl Batch {
    pub(crate) fn push(&mut self, job: Job) {
        self.events += job.events.len();
        self.is_urgent |= job.is_urgent;
        self.jobs.push(job);
    }

    /// Adds the jobs that wait in the queue, as far as they fit. True if the batch should be written at once.
    pub(crate) fn take(&mut self, queue: &mut mpsc::Receiver<Job>) -> bool {
        while self.events < MAX_BATCH_EVENTS
            && let Ok(job) = queue.try_recv()
        {
            self.push(job);
        }
        self.is_urgent || self.events >= MAX_BATCH_EVENTS
    }
}

/// The queue of reported events.
pub(crate) struct ReportQueue {
    queue: mpsc::Receiver<Job>,
    /// The first job, if it was received already.
    first: Option<Job>,
}

impl ReportQueue {
    pub(crate) fn new(queue: mpsc::Receiver<Job>) -> Self {
        Self { queue, first: None }
    }

    /// Closes the queue; jobs that wait can still be taken.
    pub(crate) fn close(&mut self) {
        self.queue.close();
    }

    /// Waits for a job. Returns the time of its arrival, `None` at the end.
    pub(crate) async fn ready(&mut self) -> Option<Stopwatch> {
        if self.first.is_none() {
            self.first = Some(self.queue.recv().await?);
        }
        self.first.as_ref().map(|job| job.since)
    }

    /// Returns the next jobs that share a transaction, none if none wait. A job with an allowance is alone.
    pub(crate) fn take(&mut self) -> Vec<Job> {
        let first = self.first.take().or_else(|| self.queue.try_recv().ok());
        let Some(first) = first else {
            return Vec::new();
        };
        let source = first.source;
        let mut is_alone = first.allowance.is_some();
        let (mut events, mut days) = (first.events.len(), days_of(&first.events));
        let mut jobs = vec![first];
        while !is_alone && events < MAX_BATCH_EVENTS {
            let Ok(job) = self.queue.try_recv() else {
                break;
            };
            events += job.events.len();
            days.extend(days_of(&job.events));
            is_alone = job.source != source || job.allowance.is_some();
            if is_alone || days.len() > MAX_BATCH_DAYS {
                self.first = Some(job);
                break;
            }
            jobs.push(job);
        }
        jobs
    }
}

fn days_of(events: &[UsageEvent]) -> HashSet<i64> {
    let day = |event: &UsageEvent| event.timestamp.floor(SECONDS_PER_DAY).0;
    events.iter().map(day).collect()
}

/// Divides events into groups of at most 16 days, one for each transaction.
#[must_use]
pub fn by_days(events: Vec<UsageEvent>) -> Vec<Vec<UsageEvent>> {
    if days_of(&events).len() <= MAX_BATCH_DAYS {
        return vec![events];
    }
    let mut events = events;
    events.sort_by_key(|event| event.timestamp.floor(SECONDS_PER_DAY));
    let mut parts = Vec::new();
    let (mut part, mut days, mut last) = (Vec::new(), 0, None);
    for event in events {
        let day = event.timestamp.floor(SECONDS_PER_DAY);
        if last != Some(day) {
            if days == MAX_BATCH_DAYS {
                parts.push(std::mem::take(&mut part));
                days = 0;
            }
            (days, last) = (days + 1, Some(day));
        }
        part.push(event);
    }
    parts.push(part);
    parts
}
