//! The session of this process, as others use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{BootClock, Clock};
use store::{Channel, Result, Store};
use tasks::TaskHandle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::clock_reading::TimeBounds;
use crate::living::{LivingNode, living_nodes};
use crate::session_state::{Generation, SessionState};
use crate::session_task::{SessionOptions, SessionTask};

/// The interval at which a write that waits for all nodes asks how new they are.
const SEEN_INTERVAL: Duration = Duration::from_millis(20);

/// The session of this process. Clones are of the same session.
#[derive(Clone)]
pub struct NodeSession(Arc<SessionKind>);

enum SessionKind {
    /// The session of the only process of a database. Never over.
    Local(LocalSession),
    Shared(SharedSession),
}

struct LocalSession {
    clock: Clock,
    announced: watch::Sender<u64>,
}

/// The state that the session's task and its users share.
pub(crate) struct SharedSession {
    pub(crate) boot: BootClock,
    state: ArcSwap<SessionState>,
    /// The last acknowledged generation.
    acknowledged: AtomicI64,
    /// The revision of the keys and settings in memory.
    revision: AtomicI64,
    /// Wakes the task to prolong the session at once.
    pub(crate) wake: Notify,
    /// Counts notifications of other nodes' commits.
    pub(crate) announced: watch::Sender<u64>,
    pub(crate) living: watch::Sender<Arc<Vec<LivingNode>>>,
    own: SessionOptions,
}

/// The session at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionMoment {
    /// The name of the session.
    pub epoch: i64,
    /// The time of the clock that all nodes share.
    pub now: TimeBounds,
    /// The generation.
    pub generation: Generation,
}

impl SharedSession {
    pub(crate) fn new(options: SessionOptions, state: SessionState, revision: i64) -> Self {
        Self {
            boot: options.boot_clock.clone(),
            acknowledged: AtomicI64::new(state.generation.number),
            state: ArcSwap::from_pointee(state),
            revision: AtomicI64::new(revision),
            wake: Notify::new(),
            announced: watch::Sender::new(0),
            living: watch::Sender::default(),
            own: options,
        }
    }

    pub(crate) fn state(&self) -> SessionState {
        **self.state.load()
    }

    pub(crate) fn set_state(&self, state: SessionState) {
        self.state.store(Arc::new(state));
    }

    pub(crate) fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    pub(crate) fn set_acknowledged(&self, number: i64) {
        self.acknowledged.fetch_max(number, Ordering::AcqRel);
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn options(&self) -> &SessionOptions {
        &self.own
    }
}

impl NodeSession {
    /// Returns the session of the only process of a database, which takes the time from `clock`. The epoch is 0.
    #[must_use]
    pub fn local(clock: Clock) -> Self {
        Self(Arc::new(SessionKind::Local(LocalSession {
            clock,
            announced: watch::Sender::new(0),
        })))
    }

    /// Begins a session, and starts the task that prolongs it until the handle is stopped or dropped. On SQLite the session
    /// is local, and there is no task.
    ///
    /// # Errors
    /// The database's.
    pub async fn start(
        store: &Store,
        clock: &Clock,
        options: SessionOptions,
    ) -> Result<(Self, Option<TaskHandle>)> {
        let Some(channel) = store.channel().await? else {
            return Ok((Self::local(clock.clone()), None));
        };
        Self::start_on(channel, store, options)
            .await
            .map(|(session, task)| (session, Some(task)))
    }

    async fn start_on(
        mut channel: Channel,
        store: &Store,
        options: SessionOptions,
    ) -> Result<(Self, TaskHandle)> {
        let state = SessionTask::begin(&mut channel, &options, 0, None).await?;
        let shared = SharedSession::new(options, state, 0);
        let session = Self(Arc::new(SessionKind::Shared(shared)));
        let (own, store) = (session.clone(), store.clone());
        let task = tasks::start("session", |stop| {
            SessionTask::new(own, store, channel, state, stop)
        });
        Ok((session, task))
    }

    pub(crate) fn shared(&self) -> Option<&SharedSession> {
        match &*self.0 {
            SessionKind::Shared(shared) => Some(shared),
            SessionKind::Local(_) => None,
        }
    }

    /// Returns the session at this moment; `None` if it is over: then nothing that nodes share may be used.
    #[must_use]
    pub fn current(&self) -> Option<SessionMoment> {
        match &*self.0 {
            SessionKind::Local(local) => Some(SessionMoment {
                epoch: 0,
                now: TimeBounds::exact(local.clock.now_milliseconds()),
                generation: Generation::LOCAL,
            }),
            SessionKind::Shared(shared) => {
                let (state, at) = (shared.state.load(), shared.boot.microseconds());
                (!state.is_over(at)).then(|| SessionMoment {
                    epoch: state.epoch,
                    now: state.now(at),
                    generation: state.generation,
                })
            }
        }
    }

    /// Returns the name of the session, which no other session of the database has ever had; 0 for a local session.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.shared().map_or(0, |shared| shared.state().epoch)
    }

    /// Returns the time of the clock that all nodes share. After the end of a session the bounds grow apart.
    #[must_use]
    pub fn now(&self) -> TimeBounds {
        match &*self.0 {
            SessionKind::Local(local) => TimeBounds::exact(local.clock.now_milliseconds()),
            SessionKind::Shared(shared) => shared.state().now(shared.boot.microseconds()),
        }
    }

    /// True if the session has ended, and its successor has not begun.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared()
            .is_some_and(|shared| shared.state().is_over(shared.boot.microseconds()))
    }

    /// Returns the generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.shared()
            .map_or(Generation::LOCAL, |shared| shared.state().generation)
    }

    /// Acknowledges a generation: what this node has used lately is stored in it. Has an effect only with
    /// [`SessionOptions::has_shared_limits`]; without it each generation is acknowledged at once.
    pub fn acknowledge(&self, generation: i64) {
        if let Some(shared) = self.shared() {
            shared.set_acknowledged(generation);
            shared.wake.notify_one();
        }
    }

    /// Subscribes to the commits of other nodes, as far as notifications arrive.
    #[must_use]
    pub fn announcements(&self) -> watch::Receiver<u64> {
        match &*self.0 {
            SessionKind::Local(local) => local.announced.subscribe(),
            SessionKind::Shared(shared) => shared.announced.subscribe(),
        }
    }

    /// Sets the revision that the keys and settings in memory have now; other nodes are told with the next prolongation, or
    /// at once with [`SessionOptions::reports_revision_at_once`].
    pub fn set_revision(&self, revision: i64) {
        let Some(shared) = self.shared() else { return };
        let before = shared.revision.swap(revision, Ordering::AcqRel);
        if before != revision && shared.own.reports_revision_at_once {
            shared.wake.notify_one();
        }
    }

    /// Waits until the keys and settings of all nodes have a revision. Returns false if that was not so within `limit`, or
    /// could not be told.
    pub async fn wait_seen_by_all(&self, store: &Store, revision: i64, limit: Duration) -> bool {
        let Some(shared) = self.shared() else {
            return true;
        };
        let own = shared.state().epoch;
        let seen = async {
            loop {
                let living = living_nodes(store).await.ok()?;
                let others = living.iter().filter(|node| node.epoch != own);
                if others
                    .map(|node| node.revision)
                    .all(|seen| seen >= revision)
                {
                    return Some(());
                }
                tokio::time::sleep_until(Instant::now() + SEEN_INTERVAL).await;
            }
        };
        matches!(timeout(limit, seen).await, Ok(Some(())))
    }

    /// Returns the nodes whose sessions were not over at the last prolongation, this one included; none for a local session.
    #[must_use]
    pub fn living(&self) -> Arc<Vec<LivingNode>> {
        self.shared()
            .map(|shared| Arc::clone(&shared.living.borrow()))
            .unwrap_or_default()
    }

    /// Returns the number of living nodes whose configuration differs from this node's.
    #[must_use]
    pub fn differing(&self) -> usize {
        let Some(shared) = self.shared() else {
            return 0;
        };
        let own = &shared.own.fingerprint;
        let living = shared.living.borrow();
        let differs = |node: &&LivingNode| !own.differences(&node.fingerprint).is_empty();
        living.iter().filter(differs).count()
    }
}
