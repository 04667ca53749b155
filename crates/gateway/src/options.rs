//! Options that a gateway is started with, and errors of the start.

use std::collections::BTreeSet;
use std::sync::Arc;

use access::Directory;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Budget, Clock};
use bodies::Bodies;
use proxy::{UpstreamConfig, UpstreamConfigError};
use telemetry::Tracer;
use usage::{DurableReservations, LastUsed, ModelFacts, PriceBook, Recorder, Refusals, Spend};

use crate::budget::UnpricedModels;
use crate::flow::FlowLimits;
use crate::limits::LimitWindows;
use crate::objects::ObjectRepository;

/// The condition under which the end of a response is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// No condition: usage becomes durable within the recorder's window.
    #[default]
    Batched,
    /// Usage of the request is durable.
    Strict,
}

/// Options and dependencies of a gateway.
pub struct GatewayOptions {
    /// Owners of the objects that upstreams keep.
    pub objects: ObjectRepository,
    /// API keys with their permissions and settings.
    pub directory: Arc<Directory>,
    /// Recorder of usage events.
    pub recorder: Recorder,
    /// Amounts spent, as in the ledger.
    pub spend: Spend,
    /// Prices of models and tools.
    pub prices: PriceBook,
    /// Requests under a spend limit for models without a price.
    pub unpriced: UnpricedModels,
    /// Context windows and output limits of models.
    pub facts: ModelFacts,
    /// Windows of rate limits that last longer than the process.
    pub limit_windows: LimitWindows,
    /// Durable reservations of money for what outlives a request.
    pub reservations: DurableReservations,
    /// Counter of refused requests by project.
    pub refusals: Refusals,
    /// Recorder of the last use of keys.
    pub last_used: LastUsed,
    /// Store of request and response bodies, if bodies are kept.
    pub bodies: Option<Bodies>,
    /// Secret that keys are hashed with.
    pub pepper: Pepper,
    /// Model servers.
    pub upstreams: Vec<UpstreamConfig>,
    /// Generator of request ids.
    pub ids: Arc<IdGenerator>,
    /// Clock for the expiry of keys and the time of usage.
    pub clock: Clock,
    /// Condition under which the end of a response is sent.
    pub durability: Durability,
    /// Condition under which a request is forwarded: if strict, the database has it.
    pub admission: Durability,
    /// Models known to the deployment beside those that an upstream lists; metrics name no others.
    pub models: BTreeSet<String>,
    /// Tracer of requests.
    pub tracer: Tracer,
    /// Bounds of the requests in flight.
    pub flow: FlowLimits,
    /// Budget for the bytes of request bodies in flight, shared with the rest of the program.
    pub body_memory: Budget,
}

/// An error that keeps a gateway from starting, worded for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration of the upstreams is invalid.
    #[error(transparent)]
    Upstream(#[from] UpstreamConfigError),
    /// A metric could not be created.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
