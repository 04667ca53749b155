//! The recorder: hands events to the ledger writer on its own thread, so that neither the gateway nor a handler waits
//! for the disk.
//!
//! Reported events have a queue of their own. Events of the gateway are written before them, each transaction of
//! reported events is bounded, and none shares a transaction with the gateway's.
//!
//! Events of the gateway are durable within 200 ms: a batch waits at most 50 ms for more. If the database fails, the
//! write is retried until it works; meanwhile the bounded queue fills up and new requests are refused before they
//! start, so that nothing is lost.

mod permit;

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use base::{Clock, Error};
use prometheus::Registry;
use store::Database;
use tasks::{Health, ThreadHandle};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::capacity::{EventCapacity, REPORTS_CAPACITY, late};
use crate::jobs::{Answer, Appended, Job, ReportQueue, by_days};
use crate::ledger::Ledger;
use crate::ledger::key::Source;
use crate::metrics::LedgerMetrics;
use crate::session::LedgerNode;
use crate::under_way::{StrictRequest, UnderWay};
use crate::writer::{LedgerWriter, RunningGuard, WriterInbox};
use crate::{Allowance, PriceBook, ReservationKey, Spend, UsageEvent};
pub use permit::{Durable, QueuePermit, Recorded};

/// The most requests that hold a permit and whose events the writer has not taken.
const QUEUE_CAPACITY: usize = 8_192;
/// The time for which a request waits for a permit.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which reported events wait to be durable.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts usage events. Clones share one queue.
#[derive(Clone)]
pub struct Recorder {
    jobs: mpsc::Sender<Job>,
    reports: mpsc::Sender<Job>,
    prices: Arc<PriceBook>,
    capacity: EventCapacity,
    flush_requested: Arc<Notify>,
    under_way: UnderWay,
    strict: mpsc::Sender<StrictRequest>,
    metrics: Arc<LedgerMetrics>,
    /// Closed when the writer has ended.
    writer: watch::Receiver<()>,
}

/// The thread of the ledger writer.
pub struct RecorderTask {
    stop: watch::Sender<Option<Duration>>,
    thread: ThreadHandle,
}

impl Recorder {
    /// Starts the thread of the ledger writer, which keeps `spend` equal to the ledger.
    ///
    /// # Errors
    /// The thread, its runtime or its connections could not be made.
    pub fn start(
        database: Database,
        prices: Arc<PriceBook>,
        clock: Clock,
        spend: Spend,
    ) -> std::io::Result<(Self, RecorderTask)> {
        Self::start_on_node(database, prices, clock, spend, None)
    }

    /// Starts the recorder as [`Recorder::start`] does, of a node that may share the database with others.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub fn start_on_node(
        database: Database,
        prices: Arc<PriceBook>,
        clock: Clock,
        spend: Spend,
        node: Option<LedgerNode>,
    ) -> std::io::Result<(Self, RecorderTask)> {
        let database = database.with_own_pool().map_err(std::io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (jobs, own) = mpsc::channel(QUEUE_CAPACITY);
        let (reports, reported) = mpsc::channel(REPORTS_CAPACITY);
        let (strict, strict_requests) = mpsc::channel(QUEUE_CAPACITY);
        let (stop, stopped) = watch::channel(None);
        let (flush_requested, under_way) = (Arc::new(Notify::new()), UnderWay::default());
        let metrics = Arc::new(LedgerMetrics::new().map_err(std::io::Error::other)?);
        let (ended, running_writer) = watch::channel(());
        let inbox = WriterInbox {
            jobs: own,
            reports: ReportQueue::new(reported),
            flush_requested: Arc::clone(&flush_requested),
            under_way: under_way.clone(),
            strict: strict_requests,
            node,
            stop: stopped,
            running: RunningGuard::new(Arc::clone(&metrics), ended),
        };
        let ledger = Ledger::new(database, Arc::clone(&prices), clock);
        let writer = LedgerWriter::new(ledger, spend, inbox);
        let begin = || {
            if let Err(error) = tasks::lower_thread_priority() {
                tracing::warn!(%error, "failed to lower ledger thread priority");
            }
        };
        let thread = tasks::start_thread("recorder", runtime, begin, writer)?;
        let recorder = Self {
            jobs,
            reports,
            prices,
            capacity: EventCapacity::new(),
            flush_requested,
            under_way,
            strict,
            metrics,
            writer: running_writer,
        };
        Ok((recorder, RecorderTask { stop, thread }))
    }

    /// Reserves capacity in the bounded queue. Must be called before a request is admitted, so that its event can
    /// always be recorded.
    ///
    /// # Errors
    /// 503: no capacity became free within a second, the writer has ended, or a row waits that can be neither written
    /// nor set aside.
    pub async fn reserve(&self) -> base::Result<QueuePermit> {
        if !self.is_accepting() {
            return Err(Error::overloaded(
                "The ledger takes no rows, so no request is admitted. Try again in a few seconds.",
                5,
            ));
        }
        let permit = timeout(RESERVE_TIMEOUT, self.jobs.clone().reserve_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(QueuePermit::new(
                permit,
                Arc::clone(&self.flush_requested),
                (self.under_way.clone(), self.strict.clone()),
                self.writer.clone(),
                Arc::clone(&self.prices),
            )),
            _ => Err(Error::overloaded(
                "The usage of more requests is waiting to be recorded than this server keeps. Try again in a second.",
                1,
            )),
        }
    }

    /// Writes events of the gateway in one transaction. When it returns they are durable: in the ledger, or set aside
    /// if the database refuses one.
    ///
    /// # Errors
    /// 503: the events were not written in time. Some or all of them may be written later, so they should be sent
    /// again.
    pub async fn append(&self, events: Vec<UsageEvent>) -> base::Result<Appended> {
        self.settle(events, Vec::new()).await
    }

    /// Writes reported events, those of a project key within its `allowance`. When it returns they are durable. Events
    /// of many days are written in several transactions, day by day.
    ///
    /// # Errors
    /// 503: as [`Recorder::append`]. 429: the events exceed the allowance, or too many events of the tenant wait. 500:
    /// the database refused one of them. Events of earlier transactions may have been written then.
    pub async fn report(
        &self,
        events: Vec<UsageEvent>,
        allowance: Option<Allowance>,
    ) -> base::Result<Appended> {
        let mut appended = Appended::default();
        for part in by_days(events) {
            let (mut job, answer) = Job::new(Source::Report, part);
            job.allowance.clone_from(&allowance);
            let part = self.submit(job, answer).await?;
            appended.accepted += part.accepted;
            appended.duplicates += part.duplicates;
        }
        Ok(appended)
    }

    /// Writes events that an operator imports, in one transaction. Rows that were exported from the same ledger are
    /// duplicates.
    ///
    /// # Errors
    /// Those of [`Recorder::report`].
    pub async fn import(&self, events: Vec<UsageEvent>) -> base::Result<Appended> {
        let (job, answer) = Job::new(Source::Import, events);
        self.submit(job, answer).await
    }

    /// Writes events of the gateway, and releases their reservations in the same transaction.
    ///
    /// # Errors
    /// Those of [`Recorder::append`].
    pub async fn settle(
        &self,
        events: Vec<UsageEvent>,
        releases: Vec<ReservationKey>,
    ) -> base::Result<Appended> {
        let (mut job, answer) = Job::new(Source::Gateway, events);
        job.releases = releases;
        self.submit(job, answer).await
    }

    async fn submit(&self, mut job: Job, answer: Answer) -> base::Result<Appended> {
        if job.events.is_empty() && job.releases.is_empty() {
            return Ok(Appended::default());
        }
        let deadline = Instant::now() + APPEND_TIMEOUT;
        let capacity =
            (self.capacity).acquire(job.events.len(), job.source, job.tenant(), deadline);
        job.capacity = Some(capacity.await?);
        let written = async {
            self.send(job).await;
            answer.await
        };
        match timeout_at(deadline, written).await {
            Ok(Ok(outcome)) => outcome,
            _ => Err(late()),
        }
    }

    /// Returns the prices at which events are charged.
    #[must_use]
    pub fn prices(&self) -> &PriceBook {
        &self.prices
    }

    /// True if the writer runs, and no row waits that can be neither written nor set aside.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        self.metrics.is_accepting()
    }

    /// Returns the number of events that the database refused and that are set aside.
    #[must_use]
    pub fn set_aside(&self) -> i64 {
        self.metrics.set_aside()
    }

    /// Waits until all events sent so far are durable.
    pub async fn flush(&self) {
        // A writer that stopped without an answer has flushed its queues.
        for source in [Source::Gateway, Source::Report] {
            let (job, answer) = Job::new(source, Vec::new());
            self.send(job).await;
            let _ = answer.await;
        }
    }

    /// Puts a job into its queue, and wakes the writer. A writer that has ended leaves the job without an answer.
    async fn send(&self, mut job: Job) {
        job.since = Stopwatch::start();
        let queue = match job.source {
            Source::Gateway | Source::Lost => &self.jobs,
            Source::Report | Source::Import => &self.reports,
        };
        let _ = queue.send(job).await;
        self.flush_requested.notify_one();
    }

    /// Returns the capacity in use, by requests under way and by events that wait.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// The capacity of the queue of every recorder.
    pub const QUEUE_CAPACITY: usize = QUEUE_CAPACITY;

    /// Returns the capacity of the queue.
    #[must_use]
    pub fn queue_capacity(&self) -> usize {
        self.jobs.max_capacity()
    }

    /// Returns the age of the oldest event that is not durable; zero if there is none.
    #[must_use]
    pub fn oldest_age(&self) -> Duration {
        self.metrics.oldest_age()
    }

    /// Registers the metrics of the writer.
    ///
    /// # Errors
    /// The metrics are already registered.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.metrics.register(registry)
    }
}

impl RecorderTask {
    /// Writes all events that wait or are sent by holders of a [`QueuePermit`], and ends the thread. Waits at most
    /// `timeout` for unused permits and for a failing database.
    pub async fn stop(self, timeout: Duration) {
        let Self { stop, thread } = self;
        stop.send_replace(Some(timeout));
        thread.ended().await;
    }

    /// Returns the health of the writer.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.thread.health()
    }
}
