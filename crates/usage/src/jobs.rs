//! Jobs of the ledger's writer, and those that share a transaction.

use std::collections::HashSet;

use base::BudgetPermit;
use base::time::{DAY, Stopwatch};
use tokio::sync::{mpsc, oneshot};

use crate::ledger::key::Source;
use crate::recorder::RoomPermit;
use crate::{Allowance, Appended, Hold, Release, UsageEvent};

/// The most events that share a transaction, unless one job alone has more.
const MAX_BATCH_EVENTS: usize = 1_000;
/// The most days that the reported events of a transaction may lie on: each day without a table costs the making of one,
/// and the gateway's own events wait for it.
pub(crate) const MAX_BATCH_DAYS: usize = 16;

/// Events that are written in one transaction, or not at all.
pub(crate) struct Job {
    pub(crate) events: Vec<UsageEvent>,
    /// Told when they are durable, or refused.
    pub(crate) done: oneshot::Sender<base::Result<Appended>>,
    pub(crate) source: Source,
    /// The bounds of the key that reports them.
    pub(crate) allowance: Option<Allowance>,
    /// True if someone waits for the events.
    pub(crate) urgent: bool,
    /// The time since the events came.
    pub(crate) since: Stopwatch,
    /// The bound on the number of events that wait.
    #[expect(dead_code, reason = "given back when the job is dropped")]
    pub(crate) room: Option<RoomPermit>,
    /// The money that is set aside for the events until they count.
    pub(crate) hold: Option<Hold>,
    /// The reservations in the database that are released in the transaction in which the events count.
    pub(crate) releases: Vec<Release>,
    /// The tenant's share of the places in the queue.
    #[expect(dead_code, reason = "given back when the job is dropped")]
    pub(crate) share: Option<BudgetPermit>,
}

/// Events that are to be written in one transaction.
pub(crate) struct Submission {
    pub(crate) events: Vec<UsageEvent>,
    pub(crate) source: Source,
    /// The bounds of the key that reports them.
    pub(crate) allowance: Option<Allowance>,
    /// The reservations in the database that are released with the events.
    pub(crate) releases: Vec<Release>,
}

impl Submission {
    /// Returns a submission of no events, from this source.
    pub(crate) fn of(source: Source) -> Self {
        Self {
            events: Vec::new(),
            source,
            allowance: None,
            releases: Vec::new(),
        }
    }
}

/// The gateway's own jobs that share a transaction.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<Job>,
    events: usize,
    /// True if someone waits for one of the jobs.
    urgent: bool,
}

impl Batch {
    pub(crate) fn push(&mut self, job: Job) {
        self.events += job.events.len();
        self.urgent |= job.urgent;
        self.jobs.push(job);
    }

    /// Adds what waits in the queue, as far as there is room; whether it is to be written at once.
    pub(crate) fn take(&mut self, queue: &mut mpsc::Receiver<Job>) -> bool {
        while self.events < MAX_BATCH_EVENTS
            && let Ok(job) = queue.try_recv()
        {
            self.push(job);
        }
        self.urgent || self.events >= MAX_BATCH_EVENTS
    }
}

/// The queue of reported events.
pub(crate) struct Reports {
    queue: mpsc::Receiver<Job>,
    /// The first one, if it was received already.
    first: Option<Job>,
}

impl Reports {
    pub(crate) fn new(queue: mpsc::Receiver<Job>) -> Self {
        Self { queue, first: None }
    }

    /// Takes no more than those that wait.
    pub(crate) fn close(&mut self) {
        self.queue.close();
    }

    /// Waits until there is one: the time at which it came. None at the end.
    pub(crate) async fn ready(&mut self) -> Option<Stopwatch> {
        if self.first.is_none() {
            self.first = Some(self.queue.recv().await?);
        }
        self.first.as_ref().map(|job| job.since)
    }

    /// The next jobs that share a transaction; none if none waits. Those with an allowance are alone.
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
    let day = |event: &UsageEvent| event.timestamp.floor(DAY).0;
    events.iter().map(day).collect()
}

/// Divides events into parts of at most 16 days, each of which is a transaction.
#[must_use]
pub fn by_days(events: Vec<UsageEvent>) -> Vec<Vec<UsageEvent>> {
    if days_of(&events).len() <= MAX_BATCH_DAYS {
        return vec![events];
    }
    let mut events = events;
    events.sort_by_key(|event| event.timestamp.floor(DAY));
    let mut parts = Vec::new();
    let (mut part, mut days, mut last) = (Vec::new(), 0, None);
    for event in events {
        let day = event.timestamp.floor(DAY);
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
