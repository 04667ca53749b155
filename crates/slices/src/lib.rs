//! Rate limits over sliding windows: a request reserves what it may consume, and settles the reservation with what it did.
//!
//! A limiter counts `N` quantities (requests a minute, tokens a minute and so on) for each name that a tenant uses. Nothing
//! here reads a clock or waits: callers pass the time, in milliseconds of any clock that does not run backwards.
//!
//! Limits are those of one node ([`Limiter::new`]), or shared by several ([`Limiter::shared`]). A node that shares limits takes
//! a slice of what a limit has left, and spends it from memory. The store keeps for each name a blob with the part of each
//! node: what the node has used, and what it may still use until its slice ends. The sum of all parts never exceeds the limit,
//! because a blob is replaced only if it still has the version that the new one was computed from. The store does no
//! arithmetic, so any store that can compare a version and replace a blob will do.
//!
//! The caller sends the calls that [`Limiter::asks`] and [`Limiter::beat`] return, and passes the answers to
//! [`Limiter::on_answer`]; only while its session lasts, see [`Session`]. `tests/simulation` runs many nodes against a store
//! that fails in every way.
//!
//! The lock of a shard is the only thing that threads share. A build with `--cfg loom` replaces it by one whose every
//! interleaving is tried by `tests/loom.rs`.

mod amounts;
mod counters;
mod lease;
mod limiter;
mod others;
mod parts;
mod safeguards;
mod session;
mod shard;
mod take;
#[cfg(all(test, not(loom)))]
mod tests;
mod time;
mod window;

use std::sync::Arc;

pub use amounts::{Amounts, Request};
pub use lease::{BEAT_INTERVAL, SLICE_TIMEOUT, SwapAnswer};
pub use limiter::{Limiter, Reservation};
pub use parts::{MAX_BLOB_BYTES, Parts};
pub use safeguards::{AllSafeguards, Safeguards};
pub use session::Session;
pub use shard::MAX_NAMES_PER_TENANT;
pub use time::TimeBounds;
pub use window::Window;

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
    /// The slices of this node do not suffice: the calls that the request waits for, after which it asks again.
    Waiting(Vec<Waiting>),
    /// The store of the shared limits cannot be reached, or is not open.
    Unavailable,
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

/// A call to the store that a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The name whose slice does not suffice.
    pub name: Arc<str>,
    flight: u64,
    era: u64,
}

/// A call to the store: replace the blob of a name if the store has the version that the new blob was computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapCall {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The generation that the store must have.
    pub generation: u64,
    /// The version that the store must have; 0 if it must have no blob.
    pub version: u64,
    /// The blob to store; `None` to read only.
    pub blob: Option<Vec<u8>>,
    /// The time, in milliseconds, at which nothing of the blob is within a window any more.
    pub expiry: u64,
    era: u64,
}

/// The use of a name, as it is saved for the next life of a node that shares no limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedUse {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The use.
    pub blob: Vec<u8>,
    /// The time, in milliseconds, at which nothing of the blob is within a window any more.
    pub expiry: u64,
}
