//! The recorder's other end: gathers events into batches and writes each until it is written.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use base::{BudgetPermit, Error};
use store::{courteous, late_after};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep};

use crate::ledger::{Ledger, Written};
use crate::metrics::Metrics;
use crate::{Appended, Hold, Spend, UsageEvent};

/// How many events share a transaction, unless one job alone has more.
const BATCH: usize = 1_000;
/// How long the first event of a batch waits for others.
const LINGER: Duration = Duration::from_millis(50);
/// After what time a batch is late, which is to be durable after 200 ms.
const LATE: Duration = Duration::from_millis(120);
/// How long to wait after the first failure; doubled with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often is looked for what other programs have written.
const LOOK: Duration = Duration::from_millis(500);
/// How long a writer that is told to stop waits for what is under way, and for a database that fails.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// Events that are written in one transaction, or not at all.
pub(crate) struct Job {
    pub(crate) events: Vec<UsageEvent>,
    /// Told when they are durable, or refused.
    pub(crate) done: oneshot::Sender<base::Result<Appended>>,
    /// Whether someone waits for them.
    pub(crate) urgent: bool,
    /// Since they came.
    pub(crate) since: Stopwatch,
    /// What bounds the number of events that wait.
    #[expect(dead_code, reason = "given back when the job is dropped")]
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// What is set aside for them until they count.
    pub(crate) hold: Option<Hold>,
    /// What bounds the number of places that one tenant has.
    #[expect(dead_code, reason = "given back when the job is dropped")]
    pub(crate) share: Option<BudgetPermit>,
}

/// Jobs that share a transaction.
struct Batch {
    jobs: Vec<Job>,
    events: usize,
    /// Whether someone waits for one of them.
    urgent: bool,
}

impl Batch {
    fn of(first: Job) -> Self {
        Self {
            events: first.events.len(),
            urgent: first.urgent,
            jobs: vec![first],
        }
    }

    /// Adds what waits in the queue, as far as there is room; whether it is to be written at once.
    fn take(&mut self, queue: &mut mpsc::Receiver<Job>) -> bool {
        while self.events < BATCH
            && let Ok(job) = queue.try_recv()
        {
            self.events += job.events.len();
            self.urgent |= job.urgent;
            self.jobs.push(job);
        }
        self.urgent || self.events >= BATCH
    }
}

/// Writes the ledger.
pub(crate) struct Writer {
    ledger: Ledger,
    /// What the ledger comes to.
    spend: Spend,
    /// Whether `spend` may lack something that is in the ledger.
    may_lack: bool,
    /// Runs from the last look.
    looked: Stopwatch,
    jobs: mpsc::Receiver<Job>,
    hurry: Arc<Notify>,
    stop: watch::Receiver<bool>,
    /// Runs from when the writer was told to stop.
    last_patience: Option<Pin<Box<Sleep>>>,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(crate) fn new(
        ledger: Ledger,
        spend: Spend,
        jobs: mpsc::Receiver<Job>,
        hurry: Arc<Notify>,
        stop: watch::Receiver<bool>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            ledger,
            spend,
            may_lack: false,
            looked: Stopwatch::start(),
            jobs,
            hurry,
            stop,
            last_patience: None,
            metrics,
        }
    }

    /// Writes until nobody can send any more.
    pub(crate) async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            self.write(batch).await;
            // What comes from now on waits for this, too.
            late_after(Stopwatch::start(), LATE / 2);
            if let Err(error) = self.ledger.fold().await {
                tracing::warn!(%error, "the newest sums could not be moved on; trying again after the next batch");
            }
            self.metrics.is_done();
        }
    }

    /// The next jobs, at least one; none at the end. While it lingers it does not look at the queue, so that a request
    /// that is recorded does not wake this thread.
    async fn gather(&mut self) -> Vec<Job> {
        let Some(first) = self.first().await else {
            return Vec::new();
        };
        let since = first.since;
        late_after(since, LATE);
        self.metrics.takes_up(since);
        let mut batch = Batch::of(first);
        let due = batch.take(&mut self.jobs) || self.last_patience.is_some();
        if !due {
            tokio::select! {
                () = self.hurry.notified() => {}
                () = sleep(LINGER.saturating_sub(since.elapsed())) => {}
            }
            batch.take(&mut self.jobs);
        }
        batch.jobs
    }

    /// Waits for the next job. When told to stop, takes no new ones and waits a while for those who have a place.
    async fn first(&mut self) -> Option<Job> {
        while self.last_patience.is_none() {
            tokio::select! {
                biased;
                () = sleep(self.until_look()) => self.look().await,
                job = self.jobs.recv() => return job,
                () = stopped(&mut self.stop) => self.close(),
            }
        }
        tokio::select! {
            biased;
            job = self.jobs.recv() => job,
            () = waited(&mut self.last_patience) => {
                tracing::error!("stopped while requests were under way: their usage is not recorded");
                None
            }
        }
    }

    fn close(&mut self) {
        self.jobs.close();
        self.last_patience = Some(Box::pin(sleep(LAST_PATIENCE)));
    }

    fn until_look(&self) -> Duration {
        LOOK.saturating_sub(self.looked.elapsed())
    }

    /// Takes in what is in the ledger and not yet in `spend`.
    async fn look(&mut self) {
        self.looked = Stopwatch::start();
        let database = self.ledger.database();
        let outcome = if self.may_lack {
            self.spend.reload(database).await
        } else {
            self.spend.look(database).await
        };
        match outcome {
            Ok(()) => self.may_lack = false,
            Err(error) => tracing::warn!(%error, "what others have spent could not be looked for"),
        }
    }

    async fn write(&mut self, mut batch: Vec<Job>) {
        match self.persist(&mut batch).await {
            Ok(new) => answer(batch, &new),
            // One of them is at fault. Alone, the others can be written.
            Err(error) if error.is_final() && batch.len() > 1 => {
                for job in batch {
                    let mut job = [job];
                    match self.persist(&mut job).await {
                        Ok(new) => answer(job, &new),
                        Err(error) => refuse(job, &error),
                    }
                }
            }
            Err(error) => refuse(batch, &error),
        }
    }

    /// Appends to the ledger until it works, unless it never will, and counts what was spent; of each event, whether it
    /// was new.
    async fn persist(&mut self, batch: &mut [Job]) -> store::Result<Vec<bool>> {
        let (events, holds): (Vec<_>, Vec<_>) = batch
            .iter_mut()
            .map(|job| (&job.events, &mut job.hold))
            .unzip();
        let events: Vec<_> = events.into_iter().flatten().collect();
        let mut pause = FIRST_PAUSE;
        loop {
            let watch = Stopwatch::start();
            let error = match self.ledger.append(&events).await {
                Ok(Written { new, spent }) => {
                    self.metrics.wrote(events.len(), watch.elapsed());
                    // Before anything is given back that was set aside for it.
                    if self.may_lack {
                        self.look().await;
                    }
                    let holds = holds.into_iter().filter_map(Option::take);
                    self.spend.count(&spent, holds);
                    return Ok(new);
                }
                Err(error) => error,
            };
            self.metrics.failed();
            if error.is_final() {
                return Err(error);
            }
            // A commit that failed may have been made all the same; then its rows are known the next time.
            self.may_lack = true;
            tracing::error!(%error, events = events.len(), "the ledger cannot be written; trying again");
            tokio::select! {
                () = sleep(pause) => {}
                () = stopped(&mut self.stop), if self.last_patience.is_none() => self.close(),
                () = waited(&mut self.last_patience) => return Err(error),
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

/// Waits until the writer is told to stop; for ever when nobody is left who could tell.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
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
    for job in courteous(batch) {
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

/// Gives up on jobs that cannot be written.
fn refuse(batch: impl IntoIterator<Item = Job>, error: &store::Error) {
    for job in batch {
        for event in &job.events {
            let (organization, id) = (&event.organization_id, event.id.as_str());
            tracing::error!(%organization, id, %error, "a usage event is not recorded");
        }
        drop(job.hold);
        let _ = job.done.send(Err(Error::internal()));
    }
}
