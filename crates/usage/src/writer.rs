//! The ledger writer: gathers events into batches and writes each batch until it is durable.
//!
//! Events of the gateway come first and share no transaction with reported ones. Each of them ends in the ledger, or is
//! set aside: a row that the database refuses takes no other row with it. A panic during a write counts as a refusal.

mod gateway_events;
mod node;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::Error;
use base::time::Stopwatch;
use store::cooperative;
use tasks::Task;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Sleep, sleep};

use crate::jobs::{Appended, Batch, Job, ReportQueue};
use crate::ledger::key::Source;
use crate::ledger::{Append, Ledger, Written};
use crate::metrics::LedgerMetrics;
use crate::session::LedgerNode;
use crate::under_way::{StrictQueue, UnderWay};
use crate::{Spend, UsageEvent};
use gateway_events::Retries;
use outcome::{NotWritten, caught};

/// The time for which the first event of a batch waits for others.
const MAX_BATCH_DELAY: Duration = Duration::from_millis(50);
/// The age from which on a batch yields the CPU to nothing: events must be durable after 200 ms.
const LATE_AGE: Duration = Duration::from_millis(120);
/// The delay after the first failure; doubled with each further one.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The interval at which the spend of other nodes is read.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// The queues of the writer, and its signals.
pub(crate) struct WriterInbox {
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) reports: ReportQueue,
    pub(crate) flush_requested: Arc<Notify>,
    /// The requests that hold a permit.
    pub(crate) under_way: UnderWay,
    pub(crate) strict: StrictQueue,
    /// The node, where several nodes share the database.
    pub(crate) node: Option<LedgerNode>,
    /// The timeout for requests under way and for a failing database, once the writer is told to stop.
    pub(crate) stop: watch::Receiver<Option<Duration>>,
    pub(crate) running: RunningGuard,
}

/// A guard that lives as long as the writer. Drop reports the end of the writer, however it came.
pub(crate) struct RunningGuard {
    metrics: Arc<LedgerMetrics>,
    #[expect(dead_code, reason = "closed when it is dropped")]
    ended: watch::Sender<()>,
}

impl RunningGuard {
    pub(crate) fn new(metrics: Arc<LedgerMetrics>, ended: watch::Sender<()>) -> Self {
        Self { metrics, ended }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.metrics.ended();
    }
}

/// Writes the ledger.
pub(crate) struct LedgerWriter {
    ledger: Ledger,
    /// The spend, kept equal to the ledger.
    spend: Spend,
    /// True if `spend` may lack rows of the ledger.
    is_spend_stale: bool,
    /// The time since the last refresh.
    refreshed: Stopwatch,
    /// The time since requests under way were last written.
    requests_written: Stopwatch,
    /// The time since sessions that are over were last looked for.
    lost_recorded: Stopwatch,
    retries: Retries,
    /// The end of the stop timeout, once the writer was told to stop.
    stop_deadline: Option<Pin<Box<Sleep>>>,
    metrics: Arc<LedgerMetrics>,
    /// The jobs of the gateway that are gathered.
    batch: Batch,
    parts: VecDeque<Vec<Job>>,
    inbox: WriterInbox,
}

/// The work to be done next.
#[expect(
    clippy::large_enum_variant,
    reason = "one for each batch, and taken apart at once"
)]
enum NextWork {
    Gateway(Job),
    Report(Stopwatch),
}

impl LedgerWriter {
    pub(crate) fn new(ledger: Ledger, spend: Spend, inbox: WriterInbox) -> Self {
        Self {
            ledger,
            spend,
            is_spend_stale: false,
            refreshed: Stopwatch::start(),
            requests_written: Stopwatch::start(),
            lost_recorded: Stopwatch::start(),
            retries: Retries::default(),
            stop_deadline: None,
            metrics: Arc::clone(&inbox.running.metrics),
            batch: Batch::default(),
            parts: VecDeque::new(),
            inbox,
        }
    }

    /// Gathers the next jobs of the gateway, possibly none if reported events wait. False at the end. Does not poll the
    /// queue while the batch waits for more, so that recording a request does not wake this thread.
    async fn gather(&mut self) -> bool {
        let Some(first) = self.first().await else {
            return false;
        };
        let (since, reports_wait) = match first {
            NextWork::Gateway(job) => {
                let since = job.since;
                self.batch.push(job);
                (since, false)
            }
            NextWork::Report(since) => (since, true),
        };
        cooperative::set_deadline(since, LATE_AGE);
        self.metrics.set_oldest(since);
        let due =
            self.batch.take(&mut self.inbox.jobs) || reports_wait || self.stop_deadline.is_some();
        if !due {
            tokio::select! {
                () = self.inbox.flush_requested.notified() => {}
                Some(request) = self.inbox.strict.recv() => self.write_strict(request).await,
                () = sleep(MAX_BATCH_DELAY.saturating_sub(since.elapsed())) => {}
            }
            self.batch.take(&mut self.inbox.jobs);
        }
        true
    }

    /// Compacts the rollups.
    async fn compact(&mut self) {
        // Jobs that arrive meanwhile wait for the compaction.
        cooperative::set_deadline(Stopwatch::start(), LATE_AGE / 2);
        match caught(self.ledger.compact()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "rollup compaction failed; trying again after the next batch");
            }
            None => self.recover(),
        }
    }

    /// Waits for the next job. When told to stop, accepts no new ones and waits for holders of permits until the
    /// timeout.
    async fn first(&mut self) -> Option<NextWork> {
        while self.stop_deadline.is_none() {
            // By the clock, not by a timer: where jobs always wait, a timer that starts anew for each job never fires.
            let (until_refresh, until_write) = (self.until_refresh(), self.until_write());
            if until_write.is_zero() {
                self.write_under_way().await;
                continue;
            }
            if until_refresh.is_zero() {
                self.refresh().await;
                continue;
            }
            tokio::select! {
                biased;
                () = sleep(until_refresh.min(until_write)) => {}
                Some(request) = self.inbox.strict.recv() => self.write_strict(request).await,
                job = self.inbox.jobs.recv() => match job {
                    Some(job) => return Some(NextWork::Gateway(job)),
                    None => self.close(),
                },
                Some(since) = self.inbox.reports.ready() => return Some(NextWork::Report(since)),
                () = stopped(&mut self.inbox.stop) => self.close(),
            }
        }
        let (mut jobs_end, mut reports_end) = (false, false);
        while !(jobs_end && reports_end) {
            let until_write = self.until_write();
            if until_write.is_zero() {
                self.write_under_way().await;
                continue;
            }
            tokio::select! {
                biased;
                () = sleep(until_write) => {}
                job = self.inbox.jobs.recv(), if !jobs_end => match job {
                    Some(job) => return Some(NextWork::Gateway(job)),
                    None => jobs_end = true,
                },
                since = self.inbox.reports.ready(), if !reports_end => match since {
                    Some(since) => return Some(NextWork::Report(since)),
                    None => reports_end = true,
                },
                () = elapsed(&mut self.stop_deadline) => {
                    tracing::error!("stop timeout elapsed with requests in flight; usage not recorded");
                    return None;
                }
            }
        }
        None
    }

    fn close(&mut self) {
        self.inbox.jobs.close();
        self.inbox.reports.close();
        let timeout = self.inbox.stop.borrow().unwrap_or_default();
        self.stop_deadline = Some(Box::pin(sleep(timeout)));
    }

    fn until_refresh(&self) -> Duration {
        REFRESH_INTERVAL.saturating_sub(self.refreshed.elapsed())
    }

    /// Refreshes the spend, and retries events that were set aside.
    async fn refresh(&mut self) {
        self.refreshed = Stopwatch::start();
        self.refresh_spend().await;
        if self.retries.is_due() {
            self.retry_set_aside().await;
        }
        self.refresh_slices().await;
    }

    async fn refresh_spend(&mut self) {
        let database = self.ledger.database();
        let (spend, is_spend_stale) = (&self.spend, self.is_spend_stale);
        let refresh = async {
            if is_spend_stale {
                spend.reload(database).await
            } else {
                spend.refresh(database).await
            }
        };
        match caught(refresh).await {
            Some(Ok(())) => self.is_spend_stale = false,
            Some(Err(error)) => {
                tracing::warn!(%error, "failed to refresh spend of other nodes");
            }
            None => self.is_spend_stale = true,
        }
    }

    /// Writes reported events. Each job is written or refused as a whole.
    async fn write_reports(&mut self, mut jobs: Vec<Job>) {
        match self.persist(&mut jobs).await {
            Ok(new) => answer(jobs, &new),
            // One of the jobs is at fault; the others can be written alone.
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

    /// Appends the events of jobs and updates the spend. Returns for each event whether it was new. After a panic the
    /// events may be in the ledger all the same; then they are duplicates at the next attempt.
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
        let mut first = 0;
        let settlements = jobs.iter().filter_map(|job| {
            let event = first;
            first += job.events.len();
            job.spend.as_ref()?.settlement(Some(event))
        });
        let settlements: Vec<_> = settlements.collect();
        let ended: Vec<_> = jobs.iter().filter_map(|job| job.ended.clone()).collect();
        let append = Append {
            source: jobs.first().map_or(Source::Gateway, |job| job.source),
            allowance: jobs.first().and_then(|job| job.allowance.as_ref()),
            releases: &releases,
            ended: &ended,
            settlements: &settlements,
        };
        let written = self.append(&events, append).await?;
        // The rows must count before the money that is reserved for them is released.
        if self.is_spend_stale {
            self.refresh_spend().await;
        }
        if self.is_spend_stale {
            self.spend.distrust_slices();
        }
        let reservations = jobs.iter_mut().filter_map(|job| job.spend.take());
        self.spend.count(written.counted(), reservations);
        Ok(written.new)
    }

    /// Appends to the ledger, retrying until it works or never will.
    async fn append(
        &mut self,
        events: &[&UsageEvent],
        append: Append<'_>,
    ) -> Result<Written, NotWritten> {
        let mut delay = MIN_RETRY_DELAY;
        loop {
            let watch = Stopwatch::start();
            let error = match self.ledger.append(events, append).await {
                Ok(Written {
                    refusal: Some(refusal),
                    ..
                }) => return Err(NotWritten::OverAllowance(refusal)),
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
            // A commit that failed may have taken effect; then its rows are duplicates at the next attempt.
            self.is_spend_stale = true;
            tracing::error!(%error, events = events.len(), "ledger write failed; trying again");
            if self.back_off(&mut delay).await.is_err() {
                return Err(NotWritten::Stopped(error));
            }
        }
    }

    /// Waits before the next attempt. Fails once the stop timeout has elapsed.
    async fn back_off(&mut self, delay: &mut Duration) -> Result<(), ()> {
        tokio::select! {
            () = sleep(*delay) => {}
            () = stopped(&mut self.inbox.stop), if self.stop_deadline.is_none() => self.close(),
            () = elapsed(&mut self.stop_deadline) => return Err(()),
        }
        *delay = MAX_RETRY_DELAY.min(*delay * 2);
        Ok(())
    }
}

impl Task for LedgerWriter {
    /// Writes until all senders are gone or the writer is told to stop.
    async fn run(&mut self) {
        self.retry_set_aside().await;
        // After a panic there may be jobs that were gathered before it.
        while !self.parts.is_empty() || !self.batch.jobs.is_empty() || self.gather().await {
            let batch = std::mem::take(&mut self.batch).jobs;
            self.parts.extend((!batch.is_empty()).then_some(batch));
            self.write_gateway_jobs().await;
            let reports = self.inbox.reports.take();
            if !reports.is_empty() {
                self.write_reports(reports).await;
            }
            self.compact().await;
            self.metrics.clear_oldest();
        }
        self.end_session().await;
    }

    /// Clears the caches of the database, which a panic may have left half changed.
    fn recover(&mut self) {
        self.ledger = self.ledger.anew();
        self.is_spend_stale = true;
    }
}

/// Waits until the writer is told to stop; for ever if the sender is gone.
async fn stopped(stop: &mut watch::Receiver<Option<Duration>>) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn elapsed(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.await,
        None => std::future::pending().await,
    }
}

/// Answers each job with the number of its events that were new.
fn answer(batch: impl IntoIterator<Item = Job>, new: &[bool]) {
    let mut new = new.iter();
    for job in cooperative::yield_every(batch) {
        let count = job.events.len();
        let accepted = new.by_ref().take(count).filter(|new| **new).count();
        let appended = Appended {
            accepted,
            duplicates: count - accepted,
        };
        // The receiver may have been dropped.
        let _ = job.done.send(Ok(appended));
    }
}

/// Answers jobs of reported events with an error.
fn refuse(jobs: impl IntoIterator<Item = Job>, error: &Error) {
    for job in jobs {
        drop(job.spend);
        let _ = job.done.send(Err(error.clone()));
    }
}
