//! Watchdog over requests in flight: aborts the requests of revoked keys, and responses that their clients do not read.
//!
//! A single task checks all requests every [`CHECK_INTERVAL`], so no response needs a timer of its own, and a response body is
//! aborted even if it is not polled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::{Directory, Key, KeyHashes};
use base::ids::Id;
use base::{Clock, Error, Permission, Result};
use tasks::Task;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::flow::FlowLimits;

/// The interval between two checks. The requests of a revoked key end within a second on every node; up to a quarter of that
/// passes until the directory knows of the revocation.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The number of shards, so that checking one of them blocks few requests.
const SHARD_COUNT: usize = 16;

/// The reason for which a request is aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbortReason {
    /// The key was revoked, or lost the permission that the request needs.
    KeyRevoked,
    /// The client leaves available bytes unread.
    ClientStalled,
    /// The deadline of the answer has passed, and the client has not read all of it.
    Overdue,
}

/// A request in flight that can be aborted from outside the task that serves it.
pub(crate) trait Abortable: Send + Sync {
    /// Aborts the request, unless it has ended. Never waits.
    fn abort(&self, reason: AbortReason);

    /// Returns the reason for which the client is no longer waited for, if there is one.
    fn abandonment(&self, now: Instant, idle_timeout: Duration) -> Option<AbortReason>;
}

/// The watchdog. Clones watch the same requests.
#[derive(Clone)]
pub(crate) struct Watchdog(Arc<Watch>);

struct Watch {
    directory: Arc<Directory>,
    clock: Clock,
    grace: Duration,
    idle_timeout: Duration,
    shards: [Mutex<HashMap<u64, WatchedRequest>>; SHARD_COUNT],
    next_id: AtomicU64,
}

struct WatchedRequest {
    hashes: KeyHashes,
    key: Arc<Key>,
    needs: Permission,
    request: Arc<dyn Abortable>,
    /// Time of the first check that found the key revoked.
    revoked_at: Option<Instant>,
    aborted: Option<AbortReason>,
}

/// A request that is to be aborted.
struct DueAbort {
    request: Arc<dyn Abortable>,
    key: Arc<Key>,
    reason: AbortReason,
}

impl AbortReason {
    /// Returns the log line of an abort.
    fn log_line(self) -> &'static str {
        match self {
            Self::KeyRevoked => "request aborted: API key revoked",
            Self::ClientStalled => "response aborted: client idle timeout",
            Self::Overdue => "response aborted: deadline passed before the client read all of it",
        }
    }
}

/// RAII guard of a watched request. Drop ends the watch.
pub(crate) struct Registration {
    watchdog: Watchdog,
    id: u64,
    aborted: CancellationToken,
}

/// A request that has no response yet.
struct UnansweredRequest(CancellationToken);

impl Abortable for UnansweredRequest {
    fn abort(&self, _: AbortReason) {
        self.0.cancel();
    }

    fn abandonment(&self, _: Instant, _: Duration) -> Option<AbortReason> {
        None
    }
}

impl Task for Watchdog {
    /// Checks all requests every [`CHECK_INTERVAL`], forever.
    async fn run(&mut self) {
        let mut tick = tokio::time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.check();
        }
    }
}

impl Watchdog {
    /// Returns a watchdog that finds keys in `directory`.
    pub(crate) fn new(directory: Arc<Directory>, clock: Clock, limits: &FlowLimits) -> Self {
        Self(Arc::new(Watch {
            directory,
            clock,
            grace: limits.revoked_stream_grace,
            idle_timeout: limits.client_idle_timeout,
            shards: std::array::from_fn(|_| Mutex::default()),
            next_id: AtomicU64::new(0),
        }))
    }

    /// Returns the longest time for which a client may accept nothing.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.0.idle_timeout
    }

    /// Watches a request of the key with these hashes, which must have the permission as long as the request is in flight. A
    /// caller that looks the key up after this misses no revocation.
    pub(crate) fn register(
        &self,
        hashes: KeyHashes,
        key: &Arc<Key>,
        needs: Permission,
    ) -> Registration {
        let aborted = CancellationToken::new();
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let watched = WatchedRequest {
            hashes,
            key: Arc::clone(key),
            needs,
            request: Arc::new(UnansweredRequest(aborted.clone())),
            revoked_at: None,
            aborted: None,
        };
        self.shard(id).insert(id, watched);
        Registration {
            watchdog: self.clone(),
            id,
            aborted,
        }
    }

    /// Aborts every request for which there is a reason now.
    fn check(&self) {
        let now = Instant::now();
        for shard in &self.0.shards {
            let mut requests = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let due = requests
                .values_mut()
                .filter_map(|watched| self.0.due_abort(watched, now));
            let due: Vec<DueAbort> = due.collect();
            // Aborting a request drops its registration, which locks the shard.
            drop(requests);
            for due in due {
                let line = due.reason.log_line();
                tracing::info!(api_key = due.key.id.as_str(), "{line}");
                due.request.abort(due.reason);
            }
        }
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, WatchedRequest>> {
        let shard = usize::try_from(id % SHARD_COUNT as u64).unwrap_or(0);
        let shard = self.0.shards[shard].lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Returns the abort of a request, if there is a reason for it now and none before.
    fn due_abort(&self, watched: &mut WatchedRequest, now: Instant) -> Option<DueAbort> {
        if watched.aborted.is_some() {
            return None;
        }
        let reason = self
            .revocation(watched, now)
            .or_else(|| watched.request.abandonment(now, self.idle_timeout))?;
        watched.aborted = Some(reason);
        Some(DueAbort {
            request: Arc::clone(&watched.request),
            key: Arc::clone(&watched.key),
            reason,
        })
    }

    fn revocation(&self, watched: &mut WatchedRequest, now: Instant) -> Option<AbortReason> {
        let key = self.directory.find_by(&watched.hashes);
        let may = key.is_some_and(|key| {
            key.alive(self.clock.now()).is_ok() && key.permissions.contains(watched.needs)
        });
        if may {
            watched.revoked_at = None;
            return None;
        }
        let since = *watched.revoked_at.get_or_insert(now);
        (now.duration_since(since) >= self.grace).then_some(AbortReason::KeyRevoked)
    }
}

impl Registration {
    /// Waits for `work`, which is dropped if the key is revoked in the meantime.
    ///
    /// # Errors
    /// 401: the key was revoked.
    pub(crate) async fn unless_revoked<F: Future>(&self, work: F) -> Result<F::Output> {
        let done = self.aborted.run_until_cancelled(work).await;
        done.ok_or_else(|| {
            Error::unauthenticated(
                "The API key was revoked, or lost its permission, while the request was under way.",
            )
        })
    }

    /// Waits until the key is revoked.
    pub(crate) async fn revoked(&self) {
        self.aborted.cancelled().await;
    }

    /// Attaches the response, which is aborted in place of the request from now on; at once if the request was aborted
    /// already.
    pub(crate) fn attach(&self, response: &Arc<dyn Abortable>) {
        let aborted = {
            let mut requests = self.watchdog.shard(self.id);
            let Some(watched) = requests.get_mut(&self.id) else {
                return;
            };
            watched.request = Arc::clone(response);
            watched.aborted
        };
        if let Some(reason) = aborted {
            response.abort(reason);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let watched = self.watchdog.shard(self.id).remove(&self.id);
        drop(watched);
    }
}
