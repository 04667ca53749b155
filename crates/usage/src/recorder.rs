//! The one writer of the ledger, on a thread of its own, so that neither the gateway nor a handler waits for the disk.
//!
//! Reported events have a queue of their own: the gateway's are written before them, each transaction of reports is
//! bounded, and none of them shares a transaction with the gateway's.
//!
//! What the gateway records is durable within 200 ms: it lingers at most 50 ms to share a transaction with what comes
//! next. A database that fails is tried again until it works; meanwhile the bounded queue fills and new requests are
//! turned away before they start, so nothing is lost.

mod room;
mod slot;

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
use crate::metrics::Metrics;
use crate::writer::{Inbox, Writer};
use crate::{Allowance, PriceBook, Release, Spend, UsageEvent};
pub(crate) use room::RoomPermit;
pub use slot::{Durable, Recorded, Slot};

use room::Room;

/// How many requests may be admitted and not yet taken up by the writer.
const PLACES: usize = 8_192;
/// The most jobs of reported events that may wait.
const REPORTS_CAPACITY: usize = 1_024;
/// How long a request waits for its place.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a report waits for the ledger.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

/// How much the writer steps back, in Linux's measure, which goes from 0 to 19: on a core that it shares with requests,
/// one that comes in does not wait until a batch is written, and the writer still has a fourth of a busy core.
const NICENESS: i32 = 5;

/// Makes this thread step back behind those that answer requests.
fn step_back() -> std::io::Result<()> {
    if cfg!(target_os = "linux") {
        // To Linux, a process without an id is the calling thread; elsewhere it is the whole process.
        rustix::process::setpriority_process(None, NICENESS)?;
    }
    Ok(())
}

/// Takes usage events in.
#[derive(Clone)]
pub struct Recorder {
    jobs: mpsc::Sender<Job>,
    reports: mpsc::Sender<Job>,
    prices: Arc<PriceBook>,
    room: Room,
    hurry: Arc<Notify>,
    metrics: Arc<Metrics>,
    /// Closed when the writer has ended.
    writer: watch::Receiver<()>,
}

/// The recorder's thread.
pub struct RecorderTask {
    stop: watch::Sender<Option<Duration>>,
    thread: ThreadHandle,
}

/// How many events were new, and how many were known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Those now in the ledger for the first time.
    pub accepted: usize,
    /// Those whose id their organization has used before.
    pub duplicates: usize,
}

impl Recorder {
    /// Starts the recorder's thread, which keeps `spend` equal to the ledger.
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
        let (jobs, own) = mpsc::channel(PLACES);
        let (reports, reported) = mpsc::channel(REPORTS_CAPACITY);
        let (stop, stopped) = watch::channel(None);
        let hurry = Arc::new(Notify::new());
        let metrics = Arc::new(Metrics::new().map_err(std::io::Error::other)?);
        let inbox = Inbox {
            jobs: own,
            reports: reported,
            hurry: Arc::clone(&hurry),
            stop: stopped,
        };
        let ledger = Ledger::new(database, Arc::clone(&prices), clock.clone());
        let (ended, running_writer) = watch::channel(());
        let running = Running(Arc::clone(&metrics), ended);
        let writer = Writer::new(ledger, clock, spend, inbox, running);
        let begin = || {
            if let Err(error) = step_back() {
                tracing::warn!(%error, "the ledger's writer is as urgent as requests are");
            }
        };
        let thread = tasks::start_thread("recorder", runtime, begin, writer)?;
        let recorder = Self {
            jobs,
            reports,
            prices,
            room: Room::new(),
            hurry,
            metrics,
            writer: running_writer,
        };
        Ok((recorder, RecorderTask { stop, thread }))
    }

    /// A place in the bounded queue, to be taken before a request is admitted, so that its event is sure to be
    /// recorded.
    ///
    /// # Errors
    /// 503: no place came free within a second, the recorder has ended, or a row waits that can be neither written nor set
    /// aside.
    pub async fn reserve(&self) -> base::Result<Slot> {
        if !self.is_accepting() {
            return Err(Error::overloaded(
                "The ledger takes no rows, so no request is admitted. Try again in a few seconds.",
                5,
            ));
        }
        let place = timeout(PLACE_PATIENCE, self.jobs.clone().reserve_owned()).await;
        match place {
            Ok(Ok(place)) => Ok(Slot::new(
                place,
                Arc::clone(&self.hurry),
                self.writer.clone(),
                Arc::clone(&self.prices),
            )),
            _ => Err(Error::overloaded(
                "The usage of more requests is waiting to be recorded than this server keeps. Try again in a second.",
                1,
            )),
        }
    }

    /// Writes events of the gateway's own in one transaction; when it returns, they are durable: in the ledger, or set
    /// aside where the database refuses one.
    ///
    /// # Errors
    /// 503: the events were not written in time. Some or all of them may be later, so they are to be sent again.
    pub async fn append(&self, events: Vec<UsageEvent>) -> base::Result<Appended> {
        self.write(events, Source::Gateway, None).await
    }

    /// Writes reported events, those of a project key within its `allowance`; when it returns, they are durable. Events on
    /// many days are written in several transactions, day by day.
    ///
    /// # Errors
    /// 503: as [`Recorder::append`]. 429: they are more than the key may report, or more events of its tenant wait than may.
    /// 500: the database refused one of them.
    /// Those of earlier transactions may be written then.
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

    /// Writes events that an operator imports in one transaction. Rows that were exported from the same ledger are known.
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

    /// Writes events of the gateway's own, and releases in the same transaction what was reserved for them.
    ///
    /// # Errors
    /// Those of [`Recorder::append`].
    pub async fn settle(
        &self,
        events: Vec<UsageEvent>,
        releases: Vec<Release>,
    ) -> base::Result<Appended> {
        self.submit(Submission {
            events,
            releases,
            ..Submission::of(Source::Gateway)
        })
        .await
    }

    async fn submit(&self, submission: Submission) -> base::Result<Appended> {
        let deadline = Instant::now() + APPEND_PATIENCE;
        let room = self.room.take(&submission, deadline).await?;
        let written = async { self.send(submission, Some(room)).await?.await.ok() };
        match timeout_at(deadline, written).await {
            Ok(Some(answer)) => answer,
            _ => Err(late()),
        }
    }

    /// The prices that events are charged at.
    #[must_use]
    pub fn prices(&self) -> &PriceBook {
        &self.prices
    }

    /// True if what is recorded now will be written: the writer runs, and no row waits that can be neither written nor set
    /// aside.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        self.metrics.is_accepting()
    }

    /// The number of events that the database refused and that are set aside.
    #[must_use]
    pub fn set_aside(&self) -> i64 {
        self.metrics.set_aside()
    }

    /// Waits until everything sent so far is durable.
    pub async fn flush(&self) {
        // An answer that never comes is that of a stopped recorder, which has flushed.
        for source in [Source::Gateway, Source::Report] {
            if let Some(written) = self.send(Submission::of(source), None).await {
                let _ = written.await;
            }
        }
    }

    async fn send(&self, submission: Submission, room: Option<RoomPermit>) -> Option<Answer> {
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
            urgent: true,
            since: Stopwatch::start(),
            room,
            hold: None,
            releases,
            share: None,
        };
        let queue = match source {
            Source::Gateway => &self.jobs,
            Source::Report | Source::Import => &self.reports,
        };
        queue.send(job).await.ok()?;
        self.hurry.notify_one();
        Some(answer)
    }

    /// How many places of the queue are taken, by requests under way and by events that wait.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// The number of places in the queue of every recorder.
    pub const QUEUE_CAPACITY: usize = PLACES;

    /// How many places the queue has.
    #[must_use]
    pub fn queue_capacity(&self) -> usize {
        self.jobs.max_capacity()
    }

    /// How long the oldest event waits that is not durable; zero when none waits.
    #[must_use]
    pub fn oldest_age(&self) -> Duration {
        self.metrics.oldest_age()
    }

    /// Lets `registry` tell what the writer counts and times.
    ///
    /// # Errors
    /// It knows that already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.metrics.register(registry)
    }
}

fn late() -> Error {
    let message = "The usage could not be written in time. Send it again: what was written is known by its ids.";
    Error::overloaded(message, 1)
}

type Answer = oneshot::Receiver<base::Result<Appended>>;

/// The life of the writer. Dropped, it tells that the writer has ended, however it did: also those who wait for it.
pub(crate) struct Running(
    pub(crate) Arc<Metrics>,
    #[expect(dead_code, reason = "closed when it is dropped")] watch::Sender<()>,
);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl RecorderTask {
    /// Writes everything that is waiting or still being sent by whoever has a [`Slot`], and ends the thread. Waits at
    /// most `timeout` for slots that are not used, and for a database that fails.
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
