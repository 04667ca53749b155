//! Services that the handlers share.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use ::usage::{LastUsed, ModelFacts, Recorder, Reports, RetentionPeriods, Spend};
use access::Directory;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Budget, Clock, Entropy};
use store::{Database, Store};

use crate::rate_limit_usage::RateLimitUsage;
use crate::sessions::SessionLifetimes;

/// Shared services of the program, as far as the Administration API needs them.
pub struct Services {
    /// Administrative database.
    pub store: Store,
    /// Directory of keys and settings.
    pub directory: Arc<Directory>,
    /// Usage database, with a connection pool of its own, so that a transaction that waits for a connection blocks no other.
    pub usage: Database,
    /// Names of the models that have upstreams or prices.
    pub models: BTreeSet<String>,
    /// Facts about models.
    pub facts: ModelFacts,
    /// Recorder of the ledger.
    pub recorder: Recorder,
    /// Usage reports.
    pub reports: Reports,
    /// Retention of stored bodies, in days; 0 if none are stored.
    pub keep_bodies_days: u32,
    /// Retention of usage data.
    pub keep_usage: RetentionPeriods,
    /// Use of rate limits on this node, once the gateway has started; none on a node without one.
    pub rate_limit_usage: OnceLock<Box<dyn RateLimitUsage>>,
    /// Spend by month, from the ledger.
    pub spend: Spend,
    /// Times of the last activity of keys and users.
    pub last_used: LastUsed,
    /// Lifetimes of sessions.
    pub session_lifetimes: SessionLifetimes,
    /// Pepper for hashing keys.
    pub pepper: Pepper,
    /// Wall clock.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
    /// Generator of ids.
    pub ids: Arc<IdGenerator>,
    /// Public base URL of the server, for links in emails.
    pub public_url: String,
    /// Memory budget for request bodies, of the whole program.
    pub body_memory: Budget,
}
