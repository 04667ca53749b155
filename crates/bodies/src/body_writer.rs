//! The body writer: the one task of a process that writes and deletes bodies, on a thread of its own.

use std::collections::HashMap;
use std::time::Duration;

use access::{Retention, retention_now};
use base::secret::Pepper;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use base::{Clock, Entropy, UnixTime};
use store::{Result, Store, Value};
use tasks::{Health, Task, ThreadHandle};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::capture::{Bodies, CapturedBody, Job};
use crate::table::{self, ProjectKey};
use crate::{Content, Side};

/// The most days for which bodies are kept.
pub const MAX_KEEP_DAYS: u32 = 30;
/// The most bytes of a transaction, unless one request alone has more.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// The most requests of a transaction.
const MAX_BATCH_REQUESTS: usize = 64;
/// The interval at which expired bodies are looked for, and failed deletions are retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The time in which waiting bodies must be written at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The dependencies and settings of the body writer.
pub struct BodyWriterOptions {
    /// The databases of settings and of bodies.
    pub store: Store,
    /// Signals that settings have changed or a project was archived.
    pub changes: watch::Receiver<()>,
    /// The secret that bodies are encrypted with.
    pub pepper: Pepper,
    /// The source of randomness.
    pub entropy: Entropy,
    /// The clock.
    pub clock: Clock,
    /// The number of days for which bodies are kept, at most [`MAX_KEEP_DAYS`]. With 0 none are captured, and existing
    /// ones are deleted. None is deleted that another node keeps.
    pub days: u32,
}

/// The thread of the body writer.
pub struct BodiesTask {
    stop: DropGuard,
    thread: ThreadHandle,
}

/// Starts the body writer, which first deletes bodies that may no longer be kept. Returns no [`Bodies`] if none are to
/// be captured.
///
/// # Errors
/// The thread, its runtime or its connections could not be made.
pub fn start(options: BodyWriterOptions) -> std::io::Result<(Option<Bodies>, BodiesTask)> {
    let store = options
        .store
        .with_own_pool()
        .map_err(std::io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (bodies, jobs) = Bodies::new();
    let stop = CancellationToken::new();
    let days = options.days.min(MAX_KEEP_DAYS);
    let writer = BodyWriter {
        bodies: bodies.clone(),
        jobs,
        options: BodyWriterOptions {
            store,
            days,
            ..options
        },
        is_checked: false,
        expiry_at: UnixTime(i64::MIN),
        lost: 0,
        in_progress: 0,
        stop: stop.clone(),
    };
    let thread = tasks::start_thread("bodies", runtime, || {}, writer)?;
    Ok((
        (days > 0).then_some(bodies),
        BodiesTask {
            stop: stop.drop_guard(),
            thread,
        },
    ))
}

impl BodiesTask {
    /// Writes waiting bodies and ends the thread. Should be called when no more requests are under way.
    pub async fn stop(self) {
        let Self { stop, thread } = self;
        drop(stop);
        thread.ended().await;
    }

    /// Returns the health of the body writer.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.thread.health()
    }
}

struct BodyWriter {
    bodies: Bodies,
    jobs: mpsc::Receiver<Job>,
    options: BodyWriterOptions,
    /// True if all stored bodies were checked against the current settings.
    is_checked: bool,
    /// The time of the next deletion of expired bodies.
    expiry_at: UnixTime,
    /// The number of lost bodies that were logged.
    lost: u64,
    /// The number of requests that are being written.
    in_progress: usize,
    stop: CancellationToken,
}

impl Task for BodyWriter {
    async fn run(&mut self) {
        let mut tick = interval(RETRY_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.options.changes.clone();
        changes.mark_changed();
        let mut has_changes = true;
        loop {
            tokio::select! {
                biased;
                changed = changes.changed(), if has_changes => {
                    has_changes = changed.is_ok();
                    self.is_checked = false;
                }
                () = self.stop.cancelled() => break,
                _ = tick.tick() => self.log_lost(),
                Some(job) = self.jobs.recv() => self.write(job).await,
            }
            self.delete().await;
            if self.options.days == 0 && self.options.clock.now() < self.expiry_at {
                return;
            }
        }
        self.jobs.close();
        let rest = async {
            while let Some(job) = self.jobs.recv().await {
                self.write(job).await;
            }
        };
        if timeout(STOP_TIMEOUT, rest).await.is_err() {
            tracing::error!("bodies lost at shutdown: not written in time");
        }
        self.delete().await;
        self.log_lost();
    }

    /// Counts the batch that was being written as lost.
    fn recover(&mut self) {
        let in_progress = std::mem::take(&mut self.in_progress);
        self.bodies.lose(in_progress);
        self.is_checked = false;
    }
}

impl BodyWriter {
    /// Writes the bodies of a request and of others that wait, as far as retention allows.
    async fn write(&mut self, first: Job) {
        let mut size = first.size();
        let mut batch = vec![first];
        while size < MAX_BATCH_BYTES && batch.len() < MAX_BATCH_REQUESTS {
            let Ok(job) = self.jobs.try_recv() else { break };
            size += job.size();
            batch.push(job);
        }
        self.in_progress = batch.len();
        if let Err(error) = self.persist(&batch).await {
            tracing::error!(%error, requests = batch.len(), "failed to write bodies");
            self.bodies.lose(batch.len());
        }
        self.in_progress = 0;
    }

    /// Retention is read while the table is locked, so no change that happens while the writer waits goes unnoticed.
    async fn persist(&self, batch: &[Job]) -> Result<()> {
        let sealed: Vec<_> = batch.iter().flat_map(|job| self.seal(job)).collect();
        let mut transaction = self.options.store.usage().begin().await?;
        transaction.lock_table("bodies").await?;
        let mut allowed: HashMap<ProjectKey, Option<Retention>> = HashMap::new();
        let mut rows = Vec::new();
        for (job, content, row) in sealed {
            let place = job.place();
            let retention = match allowed.get(&place) {
                Some(retention) => *retention,
                None => {
                    let retention = self.retention(&place).await?;
                    allowed.insert(place, retention);
                    retention
                }
            };
            if retention.is_some_and(|retention| content.is_allowed(retention)) {
                rows.push(row);
            }
        }
        table::insert(&mut transaction, rows).await?;
        transaction.commit().await
    }

    fn seal<'a>(&self, job: &'a Job) -> impl Iterator<Item = (&'a Job, Content, Vec<Value>)> {
        let sides = [
            (Side::Request, job.request.as_ref()),
            (Side::Answer, job.answer.as_ref()),
        ];
        sides.into_iter().filter_map(move |(side, passed)| {
            let passed: &CapturedBody = passed?;
            let context = table::context(&job.place(), &job.info.id, side);
            let BodyWriterOptions {
                pepper, entropy, ..
            } = &self.options;
            let sealed = pepper.seal_bytes(entropy, &context, &passed.pieces);
            Some((job, passed.content, table::row(job, side, passed, sealed)))
        })
    }

    async fn retention(&self, (organization, project): &ProjectKey) -> Result<Option<Retention>> {
        let mut connection = self.options.store.read().await?;
        retention_now(&mut connection, organization, project).await
    }

    /// Deletes bodies that may no longer be kept. Failed deletions are retried at the next interval.
    async fn delete(&mut self) {
        if !self.is_checked {
            self.is_checked = true;
            if let Err(error) = self.delete_forbidden().await {
                self.is_checked = false;
                tracing::error!(%error, "failed to delete bodies that retention forbids; trying again");
            }
        }
        let now = self.options.clock.now();
        if now < self.expiry_at {
            return;
        }
        self.expiry_at = match self.delete_expired(now).await {
            Ok(bodies) => {
                tracing::debug!(bodies, "expired bodies deleted");
                now.plus(SECONDS_PER_HOUR)
            }
            Err(error) => {
                tracing::error!(%error, "failed to delete expired bodies");
                now.plus(SECONDS_PER_MINUTE)
            }
        };
    }

    /// Deletes bodies that no node keeps any more. Returns their number.
    async fn delete_expired(&self, now: UnixTime) -> Result<u64> {
        let store = &self.options.store;
        let living = cluster::living_nodes(store).await?;
        let others = living.iter().map(|node| node.keep_bodies_days);
        let own = i64::from(self.options.days);
        let days = others.fold(own, i64::max).min(i64::from(MAX_KEEP_DAYS));
        table::delete_until(store.usage(), now.plus(-days * SECONDS_PER_DAY)).await
    }

    async fn delete_forbidden(&self) -> Result<()> {
        let database = self.options.store.usage();
        let mut last: Option<ProjectKey> = None;
        loop {
            let mut connection = database.read().await?;
            let place = table::next_place(&mut connection, last.as_ref()).await?;
            drop(connection);
            let Some(place) = place else { return Ok(()) };
            let retention = self.retention(&place).await?;
            let allows = |content: Content| retention.is_some_and(|by| content.is_allowed(by));
            if !allows(Content::Text) {
                let but_media = allows(Content::Media);
                let bodies = table::delete_of(database, &place, but_media).await?;
                if bodies > 0 {
                    let project = &place.1;
                    tracing::info!(%project, bodies, "bodies that retention forbids deleted");
                }
            }
            last = Some(place);
        }
    }

    fn log_lost(&mut self) {
        let lost = self.bodies.lost();
        let requests = lost - self.lost;
        if requests > 0 {
            tracing::warn!(
                requests,
                "bodies lost: memory or queue full, or write failed"
            );
        }
        self.lost = lost;
    }
}

impl Job {
    fn place(&self) -> ProjectKey {
        (self.info.organization.clone(), self.info.project.clone())
    }

    fn size(&self) -> usize {
        let sides = [&self.request, &self.answer];
        sides.into_iter().flatten().map(|passed| passed.kept).sum()
    }
}
