//! The calls by which this node shares rate limits with others, and the requests that wait for them.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cluster::NodeSession;
use slices::{Session, SwapAnswer, SwapCall, TimeBounds, Waiting};
use store::{Channel, Store};
use tasks::Task;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Counters;
use super::windows::{delete_expired, swap};

/// The interval between two looks for names that have something new.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The interval between two deletions of expired rows.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// The time after its end for which a row stays, since the clocks of nodes differ.
const EXPIRED_AGE: u64 = 60_000;
/// The most calls in one statement.
const MAX_CALLS: usize = 100;
/// The longest time for which a request waits for the store.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a connection is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// The longest time for which the last use is published at the end.
const LAST_BEAT_TIMEOUT: Duration = Duration::from_secs(1);
/// The most earlier sessions of this process that are remembered; the use of older ones has left all windows or counts twice.
const MAX_FORMER_COUNT: usize = 64;
/// The number of places at which requests wait.
const WAIT_PLACES_COUNT: usize = 256;

/// Wakes requests that wait for a slice, and the task that asks for slices.
pub(super) struct SliceWaiters {
    places: Vec<Notify>,
    hasher: RandomState,
    asked: Notify,
}

impl SliceWaiters {
    pub(super) fn new() -> Self {
        Self {
            places: (0..WAIT_PLACES_COUNT).map(|_| Notify::new()).collect(),
            hasher: RandomState::new(),
            asked: Notify::new(),
        }
    }

    fn place(&self, tenant: &str, name: &str) -> &Notify {
        let hash = self.hasher.hash_one((tenant, name));
        let count = self.places.len() as u64;
        &self.places[usize::try_from(hash % count).unwrap_or(0)]
    }

    /// Waits until all calls are over. Returns false if that takes too long.
    pub(super) async fn wait(
        &self,
        counters: &Counters,
        tenant: &str,
        waiting: &[Waiting],
    ) -> bool {
        self.asked.notify_one();
        let deadline = Instant::now() + WAIT_TIMEOUT;
        for call in waiting {
            loop {
                let mut landed = pin!(self.place(tenant, &call.name).notified());
                landed.as_mut().enable();
                if !counters.is_waiting(tenant, call) {
                    break;
                }
                if timeout_at(deadline, landed).await.is_err() {
                    return false;
                }
            }
        }
        true
    }

    fn wake(&self, call: &SwapCall) {
        self.place(&call.tenant, &call.name).notify_waiters();
    }

    fn wake_all(&self) {
        self.places.iter().for_each(Notify::notify_waiters);
    }
}

/// The task that asks the store for slices, and publishes what this node has used.
pub(super) struct SharingTask {
    pub(super) counters: Arc<Counters>,
    pub(super) waiters: Arc<SliceWaiters>,
    pub(super) session: NodeSession,
    pub(super) store: Store,
    pub(super) stop: CancellationToken,
    known: Session,
    channel: Option<Channel>,
    /// Calls that follow answers.
    next: Vec<SwapCall>,
    /// Calls that were sent, and have no answer yet.
    sent: Vec<SwapCall>,
    expire_at: Option<Instant>,
}

impl SharingTask {
    pub(super) fn new(
        counters: Arc<Counters>,
        waiters: Arc<SliceWaiters>,
        session: NodeSession,
        store: Store,
        stop: CancellationToken,
    ) -> Self {
        Self {
            counters,
            waiters,
            session,
            store,
            stop,
            known: Session::default(),
            channel: None,
            next: Vec::new(),
            sent: Vec::new(),
            expire_at: None,
        }
    }

    /// Returns the epochs that this process had before `epoch`.
    fn former(&self, epoch: u64) -> Arc<[u64]> {
        if self.known.epoch == epoch || self.known.epoch == 0 {
            return Arc::clone(&self.known.former);
        }
        let former = self.known.former.iter().copied().rev();
        let former = std::iter::once(self.known.epoch).chain(former);
        let mut former: Vec<u64> = former.take(MAX_FORMER_COUNT).collect();
        former.reverse();
        former.into()
    }

    fn now(&self) -> TimeBounds {
        bounds(&self.session)
    }

    /// Passes the session to the counters if it has changed, and acknowledges a generation that has all use by this node.
    fn follow_session(&mut self) {
        let session = match self.session.current() {
            None => Session {
                is_live: false,
                ..self.known.clone()
            },
            Some(moment) => {
                let epoch = unsigned(moment.epoch);
                let living = self.session.living();
                let living: Arc<[u64]> = living.iter().map(|node| unsigned(node.epoch)).collect();
                let former = self.former(epoch);
                Session {
                    epoch,
                    generation: unsigned(moment.generation.number),
                    is_open: moment.generation.is_open && !self.stop.is_cancelled(),
                    is_live: true,
                    is_alone: *living == [epoch],
                    living,
                    former,
                    clock_shift: moment.generation.clock_step,
                }
            }
        };
        let is_other = session.generation != self.known.generation;
        if session != self.known {
            self.counters.set_session(self.now(), &session);
            self.waiters.wake_all();
            self.known = session;
        }
        if self.known.is_live && (is_other || !self.known.is_open) && self.counters.is_pushed() {
            self.session
                .acknowledge(i64::try_from(self.known.generation).unwrap_or(0));
        }
    }

    /// Sends up to [`MAX_CALLS`] calls that are due. Returns false if there are none.
    async fn send_due(&mut self, is_look: bool, is_last: bool) -> bool {
        self.follow_session();
        let mut calls = std::mem::take(&mut self.next);
        let mut room = MAX_CALLS.saturating_sub(calls.len());
        calls.extend(self.counters.asks(self.now(), room));
        room = MAX_CALLS.saturating_sub(calls.len());
        if is_last {
            calls.extend(self.counters.last_beat(self.now(), room));
        } else if is_look {
            calls.extend(self.counters.beat(self.now(), room));
        }
        if calls.is_empty() {
            return false;
        }
        self.sent = calls;
        self.connect().await;
        let is_over = self.session.is_over();
        let answers = match &mut self.channel {
            Some(channel) if !is_over => swap(channel, &self.sent).await,
            _ => Ok(vec![SwapAnswer::Lost; self.sent.len()]),
        };
        let answers = answers.unwrap_or_else(|error| {
            tracing::warn!(%error, "shared rate limits: no answer from the database");
            self.channel = None;
            vec![SwapAnswer::Lost; self.sent.len()]
        });
        let sent = std::mem::take(&mut self.sent);
        for (call, answer) in sent.iter().zip(answers) {
            self.next
                .extend(self.counters.on_answer(self.now(), call, answer));
            self.waiters.wake(call);
        }
        true
    }

    async fn connect(&mut self) {
        if self.channel.is_some() {
            return;
        }
        match self.store.channel().await {
            Ok(channel) => self.channel = channel,
            Err(error) => {
                tracing::warn!(%error, "shared rate limits: database not reached");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn delete_expired(&mut self) {
        let now = Instant::now();
        if self.expire_at.is_some_and(|at| now < at) {
            return;
        }
        self.expire_at = Some(now + EXPIRY_INTERVAL);
        let before = self.now().lo.saturating_sub(EXPIRED_AGE);
        self.connect().await;
        if let Some(channel) = &mut self.channel
            && let Err(error) = delete_expired(channel, before).await
        {
            tracing::warn!(%error, "failed to delete expired rate limit windows");
            self.channel = None;
        }
    }

    /// Publishes all use and returns all slices.
    async fn finish(&mut self) {
        let deadline = Instant::now() + LAST_BEAT_TIMEOUT;
        while Instant::now() < deadline && self.send_due(true, true).await {}
    }
}

impl Task for SharingTask {
    async fn run(&mut self) {
        let mut look_at = Instant::now();
        let waiters = Arc::clone(&self.waiters);
        while !self.stop.is_cancelled() {
            let is_look = Instant::now() >= look_at;
            if is_look {
                look_at = Instant::now() + LOOK_INTERVAL;
                self.delete_expired().await;
            }
            let mut is_more = self.send_due(is_look, false).await;
            while is_more && !self.stop.is_cancelled() {
                is_more = self.send_due(is_look, false).await;
            }
            let stop = self.stop.clone();
            tokio::select! {
                () = waiters.asked.notified() => {}
                () = sleep_until(look_at) => {}
                () = stop.cancelled() => {}
            }
        }
        self.finish().await;
    }

    fn recover(&mut self) {
        // Nobody knows what came of calls without an answer.
        let calls = std::mem::take(&mut self.sent).into_iter();
        for call in calls.chain(std::mem::take(&mut self.next)) {
            self.counters.on_answer(self.now(), &call, SwapAnswer::Lost);
            self.waiters.wake(&call);
        }
    }
}

/// Returns the time of the clock that nodes share.
pub(super) fn bounds(session: &NodeSession) -> TimeBounds {
    let now = session.now();
    TimeBounds {
        lo: now.lo,
        hi: now.hi,
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
