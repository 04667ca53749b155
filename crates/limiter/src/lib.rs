//! Rate limits over sliding windows: a request reserves what it may consume, and settles the reservation with what it did.
//!
//! A limiter counts `N` quantities (requests a minute, tokens a minute and so on) for each name that a tenant uses. Nothing
//! here reads a clock or waits: callers pass the time, in milliseconds of any clock that does not run backwards. Counters are
//! in memory, so a restart begins with empty windows.
//!
//! The lock of a shard is the only thing that threads share. A build with `--cfg loom` replaces it by one whose every
//! interleaving is tried by `tests/loom.rs`.

mod amounts;
mod shard;
#[cfg(all(test, not(loom)))]
mod tests;
mod window;

use std::sync::{Arc, PoisonError};

#[cfg(loom)]
use loom::sync::Mutex;
#[cfg(not(loom))]
use std::sync::Mutex;

pub use amounts::{Amounts, Request};
pub use shard::MAX_NAMES_PER_TENANT;
pub use window::Window;

use shard::{Shard, Taken};

/// The number of locks that tenants are spread over.
const SHARD_COUNT: usize = 32;

/// A quantity that a limiter counts.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// The window over which it is summed.
    pub window: Window,
    /// The part of [`Status`] that its limit belongs to, if any.
    pub category: Option<Category>,
}

/// A part of [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Limits of the number of requests.
    Requests,
    /// Limits of the number of tokens.
    Tokens,
}

/// A name that a request is counted under, with the limits that hold for that name.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor<'a, const N: usize> {
    /// The name, for example that of a model.
    pub name: &'a str,
    /// The limit of each quantity; `None` where there is none.
    pub limits: [Option<i64>; N],
}

/// A refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The limit of a quantity has no room.
    Exceeded {
        /// The name whose limit it is.
        name: Box<str>,
        /// The limit and its use.
        exceeded: Exceeded,
    },
    /// The tenant uses more than [`MAX_NAMES_PER_TENANT`] names at a time.
    TooManyNames,
}

/// A limit without room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The index of the quantity.
    pub quantity: usize,
    /// The limit.
    pub limit: i64,
    /// The amount that is in the window already.
    pub used: i64,
    /// The amount that the request needs.
    pub requested: i64,
    /// The milliseconds until there is room; `None` if the request needs more than the limit, so that waiting is useless.
    pub retry_after: Option<u64>,
}

/// The use of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUsage {
    /// The limit.
    pub limit: i64,
    /// The amount that is left, at least zero.
    pub remaining: i64,
    /// The milliseconds until the window is empty, if nothing else is taken.
    pub reset: u64,
}

/// The use of a quantity's window under one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowUsage {
    /// The amount in the window, what is reserved included.
    pub used: i64,
    /// The part of `used` that is reserved for requests under way.
    pub reserved: i64,
    /// The milliseconds until the window is empty, if nothing else is taken.
    pub reset: u64,
}

/// The tightest limit of each category, after a request was admitted or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The limit of requests with the least remaining.
    pub requests: Option<LimitUsage>,
    /// The limit of tokens with the least remaining.
    pub tokens: Option<LimitUsage>,
}

/// Counts what each tenant takes under each name, and refuses what its limits have no room for.
pub struct Limiter<const N: usize> {
    quantities: [Quantity; N],
    shards: Vec<Mutex<Shard<N>>>,
}

impl<const N: usize> Limiter<N> {
    /// Returns a limiter of these quantities with empty windows.
    #[must_use]
    pub fn new(quantities: [Quantity; N]) -> Arc<Self> {
        let shards = (0..SHARD_COUNT).map(|_| Mutex::new(Shard::default()));
        Arc::new(Self {
            quantities,
            shards: shards.collect(),
        })
    }

    /// Reserves the amounts of `request` under all descriptors, or under none, and returns the status of the limits after that.
    ///
    /// # Errors
    /// The denial that makes the request wait longest.
    pub fn reserve(
        self: &Arc<Self>,
        now: u64,
        tenant: &str,
        descriptors: &[Descriptor<'_, N>],
        request: &Request<N>,
    ) -> (Result<Reservation<N>, Denial>, Status) {
        let (taken, status) = {
            let mut shard = self.shard(tenant);
            shard.reserve(&self.quantities, now, tenant, descriptors, request)
        };
        let reservation = taken.map(|taken| Reservation {
            limiter: Arc::clone(self),
            taken: Some(taken),
        });
        (reservation, status)
    }

    /// Returns the use of the windows of a tenant, by name. Names with empty windows are left out.
    #[must_use]
    pub fn usage(&self, now: u64, tenant: &str) -> Vec<(Arc<str>, [WindowUsage; N])> {
        self.shard(tenant).usage(&self.quantities, now, tenant)
    }

    fn shard(&self, tenant: &str) -> impl std::ops::DerefMut<Target = Shard<N>> {
        // Tenant ids end in random characters, so the sum of the bytes spreads them as well as a hash would.
        let sum: usize = tenant.bytes().map(usize::from).sum();
        let lock = self.shards[sum % SHARD_COUNT].lock();
        // Counters are consistent after every statement, so those that a panic left behind may be used.
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guard of reserved amounts. Drop refunds them, [`Self::settle`] replaces them by what was consumed, and
/// [`Self::forfeit`] leaves them counted until their windows end.
#[must_use]
pub struct Reservation<const N: usize> {
    limiter: Arc<Limiter<N>>,
    /// `None` once it is settled, forfeited or refunded.
    taken: Option<Taken<N>>,
}

impl<const N: usize> Reservation<N> {
    /// Replaces the reserved amounts by those that were consumed. An amount that is absent in `consumed` stays as reserved.
    pub fn settle(mut self, now: u64, consumed: &Amounts<N>) {
        self.release(now, consumed);
    }

    /// Leaves the reserved amounts counted, for a request whose consumption will never be known.
    pub fn forfeit(mut self) {
        self.release(0, &Amounts::default());
    }

    fn release(&mut self, now: u64, consumed: &Amounts<N>) {
        if let Some(taken) = self.taken.take() {
            let mut shard = self.limiter.shard(&taken.tenant);
            shard.settle(&self.limiter.quantities, now, &taken, consumed);
        }
    }
}

impl<const N: usize> Drop for Reservation<N> {
    fn drop(&mut self) {
        // A refund goes to the moment of the reservation, so the time of the drop is not needed.
        self.release(0, &Amounts::zero());
    }
}
