//! The recorder: hands events to the ledger writer on its own thread, so that neither the gateway nor a handler waits
//! for the disk.
//!
//! Reported events have a queue of their own. Events of the gateway are written before them, each transaction of
//! reported events is bounded, and none shares a transaction with the gateway's.
//!
//! Events of the gateway are durable within 200 ms: a batch waits at most 50 ms for more. If the database fails, the
//! write is retried until it works; meanwhile the bounded queue fills up and new requests are refused before they
//! start, so that nothing is lost.

mod capacity;
mod permit;

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use base::{Clock, Error};
use prometheus::Registry;
use store::Database;
use tasks::{Health, ThreadHandle};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::jobs::{Job, Submission, by_days};
use crate::ledger::Ledger;
use crate::ledger::key::Source;
use crate::metrics::LedgerMetrics;
use crate::writer::{LedgerWriter, WriterInbox};
use crate::{Allowance, PriceBook, ReservationKey, Spend, UsageEvent};
pub(crate) use capacity::EventPermit;
pub use permit::{Durable, QueuePermit, Recorded};

use capacity::EventCapacity;

/// The most requests that hold a permit and whose events the writer has not taken.
const QUEUE_CAPACITY: usize = 8_192;
/// The most jobs of reported events that may wait.
const REPORTS_CAPACITY: usize = 1_024;
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
    metrics: Arc<LedgerMetrics>,
    /// Closed when the writer has ended.
    writer: watch::Receiver<()>,
}

/// The thread of the ledger writer.
pub struct RecorderTask {
    stop: watch::Sender<Option<Duration>>,
    thread: ThreadHandle,
}

/// The numbers of new events and of duplicates in an append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The number of events that were new.
    pub accepted: usize,
    /// The number of events whose id their organization had used before.
    pub duplicates: usize,
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
        let database = database.with_own_pool().map_err(std::io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (jobs, own) = mpsc::channel(QUEUE_CAPACITY);
        let (reports, reported) = mpsc::channel(REPORTS_CAPACITY);
        let (stop, stopped) = watch::channel(None);
        let flush_requested = Arc::new(Notify::new());
        let metrics = Arc::new(LedgerMetrics::new().map_err(std::io::Error::other)?);
        let inbox = WriterInbox {
            jobs: own,
            reports: reported,
            flush_requested: Arc::clone(&flush_requested),
            stop: stopped,
        };
        let ledger = Ledger::new(database, Arc::clone(&prices), clock.clone());
        let (ended, running_writer) = watch::channel(());
        let running = RunningGuard(Arc::clone(&metrics), ended);
        let writer = LedgerWriter::new(ledger, clock, spend, inbox, running);
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
        self.write(events, Source::Gateway, None).await
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
            let part = self.write(part, Source::Report, allowance.clone()).await?;
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
        self.write(events, Source::Import, None).await
    }

    async fn write(
        &self,
        events: Vec<UsageEvent>,
        source: Source,
        allowance: Option<Allowance>,
    ) -> base::Result<Appended> {
        if events.is_empty() {
            return Ok(Appended::default());
        }
        self.submit(Submission {
            events,
            source,
            allowance,
            releases: Vec::new(),
        })
        .await
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
        self.submit(Submission {
            events,
            releases,
            ..Submission::of(Source::Gateway)
        })
        .await
    }

    async fn submit(&self, submission: Submission) -> base::Result<Appended> {
        let deadline = Instant::now() + APPEND_TIMEOUT;
        let permit = self.capacity.acquire(&submission, deadline).await?;
        let written = async { self.send(submission, Some(permit)).await?.await.ok() };
        match timeout_at(deadline, written).await {
            Ok(Some(answer)) => answer,
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
            if let Some(written) = self.send(Submission::of(source), None).await {
                let _ = written.await;
            }
        }
    }

    async fn send(&self, submission: Submission, capacity: Option<EventPermit>) -> Option<Answer> {
        let Submission {
            events,
            source,
            allowance,
            releases,
        } = submission;
        let (done, answer) = oneshot::channel();
        let job = Job {
            events,
            done,
            source,
            allowance,
            is_urgent: true,
            since: Stopwatch::start(),
            capacity,
            spend: None,
            releases,
            share: None,
        };
        let queue = match source {
            Source::Gateway => &self.jobs,
            Source::Report | Source::Import => &self.reports,
        };
        queue.send(job).await.ok()?;
        self.flush_requested.notify_one();
        Some(answer)
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

fn late() -> Error {
    let message = "The usage could not be written in time. Send it again: what was written is known by its ids.";
    Error::overloaded(message, 1)
}

type Answer = oneshot::Receiver<base::Result<Appended>>;

/// A guard that lives as long as the writer. Drop reports the end of the writer, however it came.
pub(crate) struct RunningGuard(
    pub(crate) Arc<LedgerMetrics>,
    #[expect(dead_code, reason = "closed when it is dropped")] watch::Sender<()>,
);

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.ended();
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
