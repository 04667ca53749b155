//! Dependencies and settings of an application.

use std::sync::Arc;

use admin::mail::Smtp;
use admin::sessions::SessionLifetimes;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use gateway::{Durability, UnpricedModels, UpstreamConfig};
use identity::SignInOptions;
use store::Store;
use telemetry::TracingOptions;
use usage::{ModelFacts, PriceBook, RetentionPeriods};

use crate::config::{Bounds, NodeOptions};
use crate::cors::Cors;

/// Dependencies and settings of an application.
pub struct AppOptions {
    /// Both databases.
    pub store: Store,
    /// Secret that keys are hashed with.
    pub pepper: Pepper,
    /// Wall clock.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
    /// Generator of ids.
    pub ids: Arc<IdGenerator>,
    /// Upstream model servers.
    pub upstreams: Vec<UpstreamConfig>,
    /// Price book used to charge requests.
    pub prices: PriceBook,
    /// Requests under a spend limit for models without a price.
    pub unpriced: UnpricedModels,
    /// Context windows and other facts about models.
    pub facts: ModelFacts,
    /// Durability of the ledger row at the end of a response.
    pub durability: Durability,
    /// Durability of a request before it is forwarded.
    pub admission: Durability,
    /// Base URL under which clients reach this server; used in mails.
    pub public_url: String,
    /// Lifetimes of sessions.
    pub session_lifetimes: SessionLifetimes,
    /// Ways to sign in.
    pub sign_in: SignInOptions,
    /// Mail server; without one, mails stay in the outbox.
    pub smtp: Option<Smtp>,
    /// Retention of request and response bodies, in days; 0 disables it.
    pub keep_bodies_days: u32,
    /// Retention of the ledger and its rollups.
    pub keep_usage: RetentionPeriods,
    /// Limits of concurrent requests and their memory.
    pub bounds: Bounds,
    /// This node among others on the same database.
    pub node: NodeOptions,
    /// Trace collector; without one, no spans are recorded.
    pub tracing: Option<TracingOptions>,
    /// Cross-origin policy for browsers.
    pub cors: Cors,
    /// True to serve the console.
    pub has_console: bool,
    /// True if metrics have their own listener, served by [`App::metrics_router`].
    pub has_metrics_apart: bool,
}
