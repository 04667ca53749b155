//! The keeper: the one task of a process that writes and deletes bodies, on a thread of its own.

use std::collections::HashMap;
use std::time::Duration;

use access::{Retention, retention_now};
use base::secret::Pepper;
use base::time::{DAY, HOUR, MINUTE};
use base::{Clock, Entropy, UnixTime};
use store::{Result, Store, Value};
use tasks::{Health, Task, ThreadHandle};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::capture::{Bodies, Job, Passed};
use crate::table::{self, Place};
use crate::{Content, Side};

/// The longest that bodies are kept, in days.
pub const MOST_DAYS: u32 = 30;
/// How many bytes share a transaction, unless one request alone has more.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How many requests share a transaction.
const BATCH: usize = 64;
/// How often it is looked for what is due, and what failed is tried again.
const TICK: Duration = Duration::from_secs(5);
/// How long what waits may take to be written when the program ends.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// What a keeper works with.
pub struct KeeperOptions {
    /// Where settings are, and bodies.
    pub store: Store,
    /// Told when what is set has changed, or a project was archived.
    pub changes: watch::Receiver<()>,
    /// What bodies are encrypted with.
    pub pepper: Pepper,
    /// Randomness.
    pub entropy: Entropy,
    /// The time.
    pub clock: Clock,
    /// For how many days bodies are kept, at most [`MOST_DAYS`]; with 0 none are, and those that are there go.
    pub days: u32,
}

/// The keeper's thread.
pub struct BodiesTask {
    stop: DropGuard,
    thread: ThreadHandle,
}

/// Starts the keeper, which begins with deleting what may not be kept any more. No [`Bodies`] when none are to be kept.
///
/// # Errors
/// The thread, its runtime or its connections could not be made.
pub fn start(options: KeeperOptions) -> std::io::Result<(Option<Bodies>, BodiesTask)> {
    let store = options
        .store
        .with_own_pool()
        .map_err(std::io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (bodies, jobs) = Bodies::new();
    let stop = CancellationToken::new();
    let days = options.days.min(MOST_DAYS);
    let keeper = Keeper {
        bodies: bodies.clone(),
        jobs,
        options: KeeperOptions {
            store,
            days,
            ..options
        },
        is_checked: false,
        expiry_at: UnixTime(i64::MIN),
        lost: 0,
        in_hand: 0,
        stop: stop.clone(),
    };
    let thread = tasks::start_thread("bodies", runtime, || {}, keeper)?;
    Ok((
        (days > 0).then_some(bodies),
        BodiesTask {
            stop: stop.drop_guard(),
            thread,
        },
    ))
}

impl BodiesTask {
    /// Writes what waits and ends the thread. To be called when no more requests are under way.
    pub async fn stop(self) {
        let Self { stop, thread } = self;
        drop(stop);
        thread.ended().await;
    }

    /// Returns the health of the keeper.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.thread.health()
    }
}

struct Keeper {
    bodies: Bodies,
    jobs: mpsc::Receiver<Job>,
    options: KeeperOptions,
    /// Whether all that is kept is allowed, as far as is known.
    is_checked: bool,
    /// When it is next looked for what is too old.
    expiry_at: UnixTime,
    /// How many lost ones were told of.
    lost: u64,
    /// The number of requests that are being written.
    in_hand: usize,
    stop: CancellationToken,
}

impl Task for Keeper {
    async fn run(&mut self) {
        let mut tick = interval(TICK);
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
                _ = tick.tick() => self.tell_lost(),
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
        if timeout(LAST_PATIENCE, rest).await.is_err() {
            tracing::error!("stopped while bodies waited to be written: they are not kept");
        }
        self.delete().await;
        self.tell_lost();
    }

    /// What was being written is not known to be there.
    fn recover(&mut self) {
        let in_hand = std::mem::take(&mut self.in_hand);
        self.bodies.lose(in_hand);
        self.is_checked = false;
    }
}

impl Keeper {
    /// Writes what this and others that wait have, as far as it is still allowed.
    async fn write(&mut self, first: Job) {
        let mut size = first.size();
        let mut batch = vec![first];
        while size < BATCH_BYTES && batch.len() < BATCH {
            let Ok(job) = self.jobs.try_recv() else { break };
            size += job.size();
            batch.push(job);
        }
        self.in_hand = batch.len();
        if let Err(error) = self.persist(&batch).await {
            tracing::error!(%error, requests = batch.len(), "bodies are not kept");
            self.bodies.lose(batch.len());
        }
        self.in_hand = 0;
    }

    /// What is allowed is asked when it is this writer's turn, so nothing that happens while it waits goes unnoticed.
    async fn persist(&self, batch: &[Job]) -> Result<()> {
        let sealed: Vec<_> = batch.iter().flat_map(|job| self.seal(job)).collect();
        let mut transaction = self.options.store.usage().begin().await?;
        transaction.lock_table("bodies").await?;
        let mut allowed: HashMap<Place, Option<Retention>> = HashMap::new();
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
            let passed: &Passed = passed?;
            let context = table::context(&job.place(), &job.about.id, side);
            let KeeperOptions {
                pepper, entropy, ..
            } = &self.options;
            let sealed = pepper.seal_bytes(entropy, &context, &passed.pieces);
            Some((job, passed.content, table::row(job, side, passed, sealed)))
        })
    }

    async fn retention(&self, (organization, project): &Place) -> Result<Option<Retention>> {
        let mut connection = self.options.store.read().await?;
        retention_now(&mut connection, organization, project).await
    }

    /// Deletes what may not be kept any more. What fails is tried again with the next tick.
    async fn delete(&mut self) {
        if !self.is_checked {
            self.is_checked = true;
            if let Err(error) = self.delete_forbidden().await {
                self.is_checked = false;
                tracing::error!(%error, "bodies that may not be kept could not be deleted; trying again");
            }
        }
        let now = self.options.clock.now();
        if now < self.expiry_at {
            return;
        }
        let age = i64::from(self.options.days) * DAY;
        let deleted = table::delete_until(self.options.store.usage(), now.plus(-age)).await;
        self.expiry_at = match deleted {
            Ok(bodies) => {
                tracing::debug!(bodies, "deleted: too old");
                now.plus(HOUR)
            }
            Err(error) => {
                tracing::error!(%error, "bodies that are too old could not be deleted");
                now.plus(MINUTE)
            }
        };
    }

    async fn delete_forbidden(&self) -> Result<()> {
        let database = self.options.store.usage();
        let mut last: Option<Place> = None;
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
                    tracing::info!(%project, bodies, "deleted: data retention forbids them");
                }
            }
            last = Some(place);
        }
    }

    fn tell_lost(&mut self) {
        let lost = self.bodies.lost();
        let requests = lost - self.lost;
        if requests > 0 {
            tracing::warn!(
                requests,
                "bodies of requests are not kept: too many at once"
            );
        }
        self.lost = lost;
    }
}

impl Job {
    fn place(&self) -> Place {
        (self.about.organization.clone(), self.about.project.clone())
    }

    fn size(&self) -> usize {
        let sides = [&self.request, &self.answer];
        sides.into_iter().flatten().map(|passed| passed.kept).sum()
    }
}
