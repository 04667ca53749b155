//! The recorder's other end: gathers events into batches and writes each until it is written.
//!
//! The gateway's own events come first and share no transaction with reported ones. Each of them ends in the ledger, or is
//! set aside: a row that the database refuses takes no other with it. A panic while something is written counts as a refusal.

mod apart;
mod outcome;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use base::{Clock, Error};
use store::cooperative;
use tasks::Task;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Sleep, sleep};

use crate::jobs::{Batch, Job, Reports};
use crate::ledger::key::Source;
use crate::ledger::{Ledger, Written};
use crate::metrics::Metrics;
use crate::recorder::Running;
use crate::{Allowance, Appended, Release, Spend, UsageEvent};
use apart::Retries;
use outcome::{NotWritten, caught};

/// How long the first event of a batch waits for others.
const LINGER: Duration = Duration::from_millis(50);
/// After what time a batch is late, which is to be durable after 200 ms.
const LATE: Duration = Duration::from_millis(120);
/// How long to wait after the first failure; doubled with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often is looked for what other programs have written.
const LOOK: Duration = Duration::from_millis(500);

/// The queues of the writer, and what it is told.
pub(crate) struct Inbox {
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) reports: mpsc::Receiver<Job>,
    pub(crate) hurry: Arc<Notify>,
    /// The time, once the writer is told to stop, for what is under way and for a database that fails.
    pub(crate) stop: watch::Receiver<Option<Duration>>,
}

/// Writes the ledger.
pub(crate) struct Writer {
    ledger: Ledger,
    clock: Clock,
    /// What the ledger comes to.
    spend: Spend,
    /// Whether `spend` may lack something that is in the ledger.
    may_lack: bool,
    /// Runs from the last look.
    looked: Stopwatch,
    retries: Retries,
    jobs: mpsc::Receiver<Job>,
    reports: Reports,
    hurry: Arc<Notify>,
    /// The time, once the writer is told to stop, for what is under way and for a database that fails.
    stop: watch::Receiver<Option<Duration>>,
    /// Runs from when the writer was told to stop.
    last_patience: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
    /// The gateway's jobs that are gathered, and those that are being written, each part in a transaction of its own.
    batch: Batch,
    parts: VecDeque<Vec<Job>>,
    _running: Running,
}

/// The work that comes first.
#[expect(
    clippy::large_enum_variant,
    reason = "one for each batch, and taken apart at once"
)]
enum Next {
    Own(Job),
    Report(Stopwatch),
}

impl Writer {
    pub(crate) fn new(
        ledger: Ledger,
        clock: Clock,
        spend: Spend,
        inbox: Inbox,
        running: Running,
    ) -> Self {
        Self {
            ledger,
            clock,
            spend,
            may_lack: false,
            looked: Stopwatch::start(),
            retries: Retries::default(),
            jobs: inbox.jobs,
            reports: Reports::new(inbox.reports),
            hurry: inbox.hurry,
            stop: inbox.stop,
            last_patience: None,
            metrics: Arc::clone(&running.0),
            batch: Batch::default(),
            parts: VecDeque::new(),
            _running: running,
        }
    }

    /// Gathers the gateway's next jobs; maybe none if reports wait. False at the end. While it lingers it does not look at the
    /// queue, so that a request that is recorded does not wake this thread.
    async fn gather(&mut self) -> bool {
        let Some(first) = self.first().await else {
            return false;
        };
        let (since, reports_wait) = match first {
            Next::Own(job) => {
                let since = job.since;
                self.batch.push(job);
                (since, false)
            }
            Next::Report(since) => (since, true),
        };
        cooperative::set_deadline(since, LATE);
        self.metrics.takes_up(since);
        let due = self.batch.take(&mut self.jobs) || reports_wait || self.last_patience.is_some();
        if !due {
            tokio::select! {
                () = self.hurry.notified() => {}
                () = sleep(LINGER.saturating_sub(since.elapsed())) => {}
            }
            self.batch.take(&mut self.jobs);
        }
        true
    }

    /// Puts the newest sums where reports find them fast.
    async fn fold(&mut self) {
        // What comes from now on waits for this, too.
        cooperative::set_deadline(Stopwatch::start(), LATE / 2);
        match caught(self.ledger.fold()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "the newest sums could not be moved on; trying again after the next batch");
            }
            None => self.recover(),
        }
    }

    /// Waits for the next job. When told to stop, takes no new ones and waits a while for those who have a place.
    async fn first(&mut self) -> Option<Next> {
        while self.last_patience.is_none() {
            // By the clock and not by a timer: where jobs always wait, a timer that is made anew for each never ends.
            let until_look = self.until_look();
            if until_look.is_zero() {
                self.look().await;
                continue;
            }
            tokio::select! {
                biased;
                () = sleep(until_look) => {}
                job = self.jobs.recv() => match job {
                    Some(job) => return Some(Next::Own(job)),
                    None => self.close(),
                },
                Some(since) = self.reports.ready() => return Some(Next::Report(since)),
                () = stopped(&mut self.stop) => self.close(),
            }
        }
        let (mut jobs_end, mut reports_end) = (false, false);
        while !(jobs_end && reports_end) {
            tokio::select! {
                biased;
                job = self.jobs.recv(), if !jobs_end => match job {
                    Some(job) => return Some(Next::Own(job)),
                    None => jobs_end = true,
                },
                since = self.reports.ready(), if !reports_end => match since {
                    Some(since) => return Some(Next::Report(since)),
                    None => reports_end = true,
                },
                () = waited(&mut self.last_patience) => {
                    tracing::error!("stopped while requests were under way: their usage is not recorded");
                    return None;
                }
            }
        }
        None
    }

    fn close(&mut self) {
        self.jobs.close();
        self.reports.close();
        let patience = self.stop.borrow().unwrap_or_default();
        self.last_patience = Some(Box::pin(sleep(patience)));
    }

    fn until_look(&self) -> Duration {
        LOOK.saturating_sub(self.looked.elapsed())
    }

    /// Takes in what is in the ledger and not yet in `spend`, and what was set aside into the ledger.
    async fn look(&mut self) {
        self.looked = Stopwatch::start();
        self.look_at_spend().await;
        if self.retries.is_due() {
            self.retry_set_aside().await;
        }
    }

    async fn look_at_spend(&mut self) {
        let database = self.ledger.database();
        let (spend, may_lack) = (&self.spend, self.may_lack);
        let look = async {
            if may_lack {
                spend.reload(database).await
            } else {
                spend.look(database).await
            }
        };
        match caught(look).await {
            Some(Ok(())) => self.may_lack = false,
            Some(Err(error)) => {
                tracing::warn!(%error, "what others have spent could not be looked for");
            }
            None => self.may_lack = true,
        }
    }

    /// Writes reported events: each job is written or refused as a whole.
    async fn write_reports(&mut self, mut jobs: Vec<Job>) {
        match self.persist(&mut jobs).await {
            Ok(new) => answer(jobs, &new),
            // One of them is at fault. Alone, the others can be written.
            Err(NotWritten::Refused(_) | NotWritten::Panicked) if jobs.len() > 1 => {
                for job in jobs {
                    let mut job = [job];
                    match self.persist(&mut job).await {
                        Ok(new) => answer(job, &new),
                        Err(error) => refuse(job, &error.into()),
                    }
                }
            }
            Err(error) => refuse(jobs, &error.into()),
        }
    }

    /// Appends the events of jobs and counts what was spent; of each event, whether it was new. Where that panics, it may have
    /// been done all the same: then the events are known the next time.
    async fn persist(&mut self, jobs: &mut [Job]) -> Result<Vec<bool>, NotWritten> {
        let persisted = caught(self.try_persist(jobs)).await;
        persisted.unwrap_or_else(|| {
            self.recover();
            Err(NotWritten::Panicked)
        })
    }

    async fn try_persist(&mut self, jobs: &mut [Job]) -> Result<Vec<bool>, NotWritten> {
        let events: Vec<_> = jobs.iter().flat_map(|job| &job.events).collect();
        let releases: Vec<_> = (jobs.iter())
            .flat_map(|job| job.releases.iter().cloned())
            .collect();
        let source = jobs.first().map_or(Source::Gateway, |job| job.source);
        let allowance = jobs.first().and_then(|job| job.allowance.clone());
        let written = self.append(&events, source, allowance.as_ref(), &releases);
        let written = written.await?;
        // Before anything is given back that was set aside for it.
        if self.may_lack {
            self.look_at_spend().await;
        }
        let holds = jobs.iter_mut().filter_map(|job| job.hold.take());
        self.spend.count(&written.spent, &written.reserved, holds);
        Ok(written.new)
    }

    /// Appends to the ledger until it works, unless it never will.
    async fn append(
        &mut self,
        events: &[&UsageEvent],
        source: Source,
        allowance: Option<&Allowance>,
        releases: &[Release],
    ) -> Result<Written, NotWritten> {
        let mut pause = FIRST_PAUSE;
        loop {
            let watch = Stopwatch::start();
            let appended = self.ledger.append(events, source, allowance, releases);
            let error = match appended.await {
                Ok(Written {
                    refusal: Some(refusal),
                    ..
                }) => return Err(NotWritten::Bounded(refusal)),
                Ok(written) => {
                    self.metrics.wrote(events.len(), watch.elapsed());
                    self.metrics.conflicted(written.conflicts);
                    return Ok(written);
                }
                Err(error) => error,
            };
            self.metrics.failed();
            if error.is_permanent() {
                return Err(NotWritten::Refused(error));
            }
            // A commit that failed may have been made all the same; then its rows are known the next time.
            self.may_lack = true;
            tracing::error!(%error, events = events.len(), "the ledger cannot be written; trying again");
            if self.paused(&mut pause).await.is_err() {
                return Err(NotWritten::Stopped(error));
            }
        }
    }

    /// Waits before the next try; an error when the writer may wait no more.
    async fn paused(&mut self, pause: &mut Duration) -> Result<(), ()> {
        tokio::select! {
            () = sleep(*pause) => {}
            () = stopped(&mut self.stop), if self.last_patience.is_none() => self.close(),
            () = waited(&mut self.last_patience) => return Err(()),
        }
        *pause = LONGEST_PAUSE.min(*pause * 2);
        Ok(())
    }
}

impl Task for Writer {
    /// Writes until nobody can send any more.
    async fn run(&mut self) {
        self.retry_set_aside().await;
        // After a panic there may be jobs that were taken up before it.
        while !self.parts.is_empty() || !self.batch.jobs.is_empty() || self.gather().await {
            let batch = std::mem::take(&mut self.batch).jobs;
            self.parts.extend((!batch.is_empty()).then_some(batch));
            self.write_own().await;
            let reports = self.reports.take();
            if !reports.is_empty() {
                self.write_reports(reports).await;
            }
            self.fold().await;
            self.metrics.is_done();
        }
    }

    /// Forgets what is known of the database: a panic may have left it half changed.
    fn recover(&mut self) {
        self.ledger = self.ledger.anew();
        self.may_lack = true;
    }
}

/// Waits until the writer is told to stop; for ever when nobody is left who could tell.
async fn stopped(stop: &mut watch::Receiver<Option<Duration>>) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn waited(patience: &mut Option<Pin<Box<Sleep>>>) {
    match patience {
        Some(patience) => patience.await,
        None => std::future::pending().await,
    }
}

/// Tells each job how many of its events were new.
fn answer(batch: impl IntoIterator<Item = Job>, new: &[bool]) {
    let mut new = new.iter();
    for job in cooperative::yield_every(batch) {
        let count = job.events.len();
        let accepted = new.by_ref().take(count).filter(|new| **new).count();
        let appended = Appended {
            accepted,
            duplicates: count - accepted,
        };
        // Whoever does not want to know has dropped the other end.
        let _ = job.done.send(Ok(appended));
    }
}

/// Tells jobs of reported events that they are not written.
fn refuse(jobs: impl IntoIterator<Item = Job>, error: &Error) {
    for job in jobs {
        drop(job.hold);
        let _ = job.done.send(Err(error.clone()));
    }
}
