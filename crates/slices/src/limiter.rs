//! The limiter: shards of tenants behind locks.

use std::sync::{Arc, PoisonError};

#[cfg(loom)]
use loom::sync::Mutex;
#[cfg(not(loom))]
use std::sync::Mutex;

use crate::amounts::{Amounts, Request};
use crate::lease::SwapAnswer;
use crate::safeguards::{AllSafeguards, Safeguards};
use crate::session::Session;
use crate::shard::{Shard, Taken};
use crate::time::TimeBounds;
use crate::{Denial, Descriptor, Quantity, SavedUse, Status, SwapCall, Waiting, WindowUsage};

/// The number of locks that tenants are spread over.
const SHARD_COUNT: usize = 32;

/// Counts what each tenant takes under each name, and refuses what its limits have no room for.
pub struct Limiter<const N: usize, S = AllSafeguards> {
    shards: Vec<Mutex<Shard<N, S>>>,
}

impl<const N: usize> Limiter<N> {
    /// Returns a limiter of these quantities with empty windows, whose limits are those of one node.
    #[must_use]
    pub fn new(quantities: [Quantity; N]) -> Arc<Self> {
        Self::with_shards(quantities, false)
    }
}

impl<const N: usize, S: Safeguards> Limiter<N, S> {
    /// Returns a limiter of these quantities whose limits are shared by the nodes of a store. Nothing is admitted under a
    /// limit before [`Self::set_session`] has named a session, and the store has answered.
    #[must_use]
    pub fn shared(quantities: [Quantity; N]) -> Arc<Self> {
        Self::with_shards(quantities, true)
    }

    fn with_shards(quantities: [Quantity; N], is_shared: bool) -> Arc<Self> {
        let shards = (0..SHARD_COUNT).map(|_| Mutex::new(Shard::new(quantities, is_shared)));
        Arc::new(Self {
            shards: shards.collect(),
        })
    }

    /// Reserves the amounts of `request` under all descriptors, or under none, and returns the status of the limits after that.
    ///
    /// # Errors
    /// The denial that makes the request wait longest. After [`Denial::Waiting`], [`Self::asks`] returns the calls to the
    /// store that the request waits for.
    pub fn reserve(
        self: &Arc<Self>,
        time: TimeBounds,
        tenant: &str,
        descriptors: &[Descriptor<'_, N>],
        request: &Request<N>,
    ) -> (Result<Reservation<N, S>, Denial>, Status) {
        let (taken, status) = {
            let mut shard = self.shard(tenant);
            shard.reserve(time, tenant, descriptors, request)
        };
        let reservation = taken.map(|taken| Reservation {
            limiter: Arc::clone(self),
            taken: Some(taken),
        });
        (reservation, status)
    }

    /// Returns the use of the windows of a tenant, by name. Names with empty windows are left out.
    #[must_use]
    pub fn usage(&self, time: TimeBounds, tenant: &str) -> Vec<(Arc<str>, [WindowUsage; N])> {
        self.shard(tenant).usage(time, tenant)
    }

    /// True until the call that a request waits for is over. Then the request asks for its reservation again.
    #[must_use]
    pub fn is_waiting(&self, tenant: &str, waiting: &Waiting) -> bool {
        self.shard(tenant).is_waiting(tenant, waiting)
    }

    /// Takes notice of the node's session and of the store's generation. Slices of another epoch or generation are no longer
    /// spent.
    pub fn set_session(&self, time: TimeBounds, session: &Session) {
        for lock in &self.shards {
            locked(lock).set_session(time, session);
        }
    }

    /// True if the store of this generation has all use by this node, so that the node may acknowledge the generation.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        self.shards.iter().all(|lock| locked(lock).is_pushed())
    }

    /// Returns up to `max` calls that requests wait for. Each must be answered by [`Self::on_answer`].
    #[must_use]
    pub fn asks(&self, time: TimeBounds, max: usize) -> Vec<SwapCall> {
        let mut calls = Vec::new();
        for lock in &self.shards {
            locked(lock).asks(time, max, &mut calls);
        }
        calls
    }

    /// Returns up to `max` calls that publish use and return what is free, for names that are due. Each must be answered by
    /// [`Self::on_answer`].
    #[must_use]
    pub fn beat(&self, time: TimeBounds, max: usize) -> Vec<SwapCall> {
        let mut calls = Vec::new();
        for lock in &self.shards {
            locked(lock).beat(time, max, false, &mut calls);
        }
        calls
    }

    /// Returns up to `max` calls that publish everything at the end of a session. A session that is not open returns its
    /// slices with them.
    #[must_use]
    pub fn last_beat(&self, time: TimeBounds, max: usize) -> Vec<SwapCall> {
        let mut calls = Vec::new();
        for lock in &self.shards {
            locked(lock).beat(time, max, true, &mut calls);
        }
        calls
    }

    /// Returns up to `max` names whose use has changed since it was saved, for limits that are not shared.
    #[must_use]
    pub fn changed(&self, time: TimeBounds, max: usize) -> Vec<SavedUse> {
        let mut saved = Vec::new();
        for lock in &self.shards {
            locked(lock).changed(time, max, &mut saved);
        }
        saved
    }

    /// Takes notice that use from [`Self::changed`] could not be saved.
    pub fn unsave(&self, saved: &SavedUse) {
        self.shard(&saved.tenant).unsave(&saved.tenant, &saved.name);
    }

    /// Adds use that an earlier life of the node has saved. Returns false if the blob cannot be read, or the tenant has too
    /// many names.
    pub fn restore(&self, time: TimeBounds, tenant: &str, name: &str, blob: &[u8]) -> bool {
        self.shard(tenant).restore(time, tenant, name, blob)
    }

    /// Takes notice of an answer of the store. Returns the call that must follow, if another node was faster.
    pub fn on_answer(
        &self,
        time: TimeBounds,
        call: &SwapCall,
        answer: SwapAnswer,
    ) -> Option<SwapCall> {
        self.shard(&call.tenant).on_answer(time, call, answer)
    }

    fn shard(&self, tenant: &str) -> impl std::ops::DerefMut<Target = Shard<N, S>> {
        // Tenant ids end in random characters, so the sum of the bytes spreads them as well as a hash would.
        let sum: usize = tenant.bytes().map(usize::from).sum();
        locked(&self.shards[sum % SHARD_COUNT])
    }
}

fn locked<const N: usize, S>(
    lock: &Mutex<Shard<N, S>>,
) -> impl std::ops::DerefMut<Target = Shard<N, S>> {
    // Counters are consistent after every statement, so those that a panic left behind may be used.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A guard of reserved amounts. Drop refunds them, [`Self::settle`] replaces them by what was consumed, and
/// [`Self::forfeit`] leaves them counted until their windows end.
#[must_use]
pub struct Reservation<const N: usize, S: Safeguards = AllSafeguards> {
    limiter: Arc<Limiter<N, S>>,
    /// `None` once it is settled, forfeited or refunded.
    taken: Option<Taken<N>>,
}

impl<const N: usize, S: Safeguards> Reservation<N, S> {
    /// Replaces the reserved amounts by those that were consumed. An amount that is absent in `consumed` stays as reserved.
    pub fn settle(mut self, time: TimeBounds, consumed: &Amounts<N>) {
        self.release(time, consumed);
    }

    /// Leaves the reserved amounts counted, for a request whose consumption will never be known.
    pub fn forfeit(mut self) {
        self.release(TimeBounds::default(), &Amounts::default());
    }

    fn release(&mut self, time: TimeBounds, consumed: &Amounts<N>) {
        if let Some(taken) = self.taken.take() {
            let mut shard = self.limiter.shard(&taken.tenant);
            shard.settle(time, &taken, consumed);
        }
    }
}

impl<const N: usize, S: Safeguards> Drop for Reservation<N, S> {
    fn drop(&mut self) {
        // A refund goes to the moment of the reservation, so the time of the drop is not needed.
        self.release(TimeBounds::default(), &Amounts::zero());
    }
}
