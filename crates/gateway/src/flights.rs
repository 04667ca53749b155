//! Requests in flight whose end does not depend on their client: each is ended when its key is revoked, and when the client
//! takes nothing of what is there for it.
//!
//! A task looks at all of them every [`CHECK_INTERVAL`], so no answer needs a timer of its own, and it does not matter
//! that a body is not polled while its client takes nothing.

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

/// The interval between two looks at all flights. Those of a revoked key end within a second on every node, of which up to
/// a quarter is the directory's.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The number of parts that the flights are divided into, so that a look at a part holds up few requests.
const SHARDS: usize = 16;

/// The reason why a flight is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The key of the request may not make it any more.
    Revoked,
    /// The client takes nothing of what is there for it.
    Stalled,
    /// The time that the answer may take is over, and its client has not taken all of it.
    Overdue,
}

/// A request in flight that can be ended from outside the task that serves it.
pub(crate) trait Flight: Send + Sync {
    /// Ends it, unless it has ended. Never waits.
    fn end(&self, ending: Ending);

    /// The reason why its client is no longer waited for, if there is one.
    fn is_abandoned(&self, now: Instant, idle_timeout: Duration) -> Option<Ending>;
}

/// The requests in flight. Clones are the same.
#[derive(Clone)]
pub(crate) struct Flights(Arc<Shared>);

struct Shared {
    directory: Arc<Directory>,
    clock: Clock,
    grace: Duration,
    idle_timeout: Duration,
    shards: [Mutex<HashMap<u64, Entry>>; SHARDS],
    next: AtomicU64,
}

struct Entry {
    hashes: KeyHashes,
    key: Arc<Key>,
    needs: Permission,
    flight: Arc<dyn Flight>,
    /// The moment at which the key was first seen to be revoked.
    revoked_at: Option<Instant>,
    ended: Option<Ending>,
}

/// A flight that is to be ended.
struct Due {
    flight: Arc<dyn Flight>,
    key: Arc<Key>,
    ending: Ending,
}

impl Due {
    fn log(&self) {
        let key = self.key.id.as_str();
        match self.ending {
            Ending::Revoked => tracing::info!(api_key = key, "request of a revoked key ended"),
            Ending::Stalled => {
                tracing::info!(api_key = key, "answer ended: its client takes nothing");
            }
            Ending::Overdue => {
                tracing::info!(api_key = key, "answer ended: its client took too long");
            }
        }
    }
}

/// A request's entry among the flights, removed when dropped.
pub(crate) struct Registered {
    flights: Flights,
    id: u64,
    ended: CancellationToken,
}

/// A request that has no answer yet.
struct Pending(CancellationToken);

impl Flight for Pending {
    fn end(&self, _: Ending) {
        self.0.cancel();
    }

    fn is_abandoned(&self, _: Instant, _: Duration) -> Option<Ending> {
        None
    }
}

/// Looks at all flights again and again, for ever.
impl Task for Flights {
    async fn run(&mut self) {
        let mut tick = tokio::time::interval(CHECK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look();
        }
    }
}

impl Flights {
    pub(crate) fn new(directory: Arc<Directory>, clock: Clock, limits: &FlowLimits) -> Self {
        Self(Arc::new(Shared {
            directory,
            clock,
            grace: limits.revoked_stream_grace,
            idle_timeout: limits.client_idle_timeout,
            shards: std::array::from_fn(|_| Mutex::default()),
            next: AtomicU64::new(0),
        }))
    }

    /// Registers a request of the key with these hashes, which must have the permission as long as the request is in flight.
    /// A look-up of the key after this misses no revocation.
    pub(crate) fn register(
        &self,
        hashes: KeyHashes,
        key: &Arc<Key>,
        needs: Permission,
    ) -> Registered {
        let ended = CancellationToken::new();
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            hashes,
            key: Arc::clone(key),
            needs,
            flight: Arc::new(Pending(ended.clone())),
            revoked_at: None,
            ended: None,
        };
        self.shard(id).insert(id, entry);
        Registered {
            flights: self.clone(),
            id,
            ended,
        }
    }

    /// Ends every flight for which there is a reason now.
    fn look(&self) {
        let now = Instant::now();
        for shard in &self.0.shards {
            let mut entries = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let due = entries
                .values_mut()
                .filter_map(|entry| self.0.ending(entry, now));
            let due: Vec<Due> = due.collect();
            drop(entries);
            // An end removes the flight's entry, so the shard must be free by now.
            for due in due {
                due.log();
                due.flight.end(due.ending);
            }
        }
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, Entry>> {
        let shard = usize::try_from(id % SHARDS as u64).unwrap_or(0);
        let shard = self.0.shards[shard].lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The flight, if it is to be ended now.
    fn ending(&self, entry: &mut Entry, now: Instant) -> Option<Due> {
        if entry.ended.is_some() {
            return None;
        }
        let ending = self
            .revocation(entry, now)
            .or_else(|| entry.flight.is_abandoned(now, self.idle_timeout))?;
        entry.ended = Some(ending);
        Some(Due {
            flight: Arc::clone(&entry.flight),
            key: Arc::clone(&entry.key),
            ending,
        })
    }

    fn revocation(&self, entry: &mut Entry, now: Instant) -> Option<Ending> {
        let key = self.directory.find_by(&entry.hashes);
        let may = key.is_some_and(|key| {
            key.alive(self.clock.now()).is_ok() && key.permissions.contains(entry.needs)
        });
        if may {
            entry.revoked_at = None;
            return None;
        }
        let since = *entry.revoked_at.get_or_insert(now);
        (now.duration_since(since) >= self.grace).then_some(Ending::Revoked)
    }
}

impl Registered {
    /// Waits for `work`, unless the key is revoked meanwhile: then the work is dropped.
    ///
    /// # Errors
    /// 401: the key was revoked.
    pub(crate) async fn unless_revoked<F: Future>(&self, work: F) -> Result<F::Output> {
        let done = self.ended.run_until_cancelled(work).await;
        done.ok_or_else(|| {
            Error::unauthenticated(
                "The API key was revoked, or lost its permission, while the request was under way.",
            )
        })
    }

    /// Makes the request this flight from now on. If the request was ended already, so is the flight.
    pub(crate) fn becomes(&self, flight: &Arc<dyn Flight>) {
        let ended = {
            let mut entries = self.flights.shard(self.id);
            let Some(entry) = entries.get_mut(&self.id) else {
                return;
            };
            entry.flight = Arc::clone(flight);
            entry.ended
        };
        if let Some(ending) = ended {
            flight.end(ending);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let entry = self.flights.shard(self.id).remove(&self.id);
        drop(entry);
    }
}
