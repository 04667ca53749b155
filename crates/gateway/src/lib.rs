//! The OpenAI-compatible gateway: checks, forwards and meters every request.
//!
//! Nothing here asks the database while a request to a model waits: keys come from a snapshot in memory, what was
//! consumed goes to the ledger's writer through a place in its queue that is taken before the request is forwarded. Only
//! what model servers keep is looked up, in `stored`.

mod answer;
mod aside;
mod body;
mod certificate;
#[cfg(any(test, fuzzing))]
pub mod cuts;
mod dialect;
mod drain;
mod flights;
mod flow;
mod guarded;
mod headers;
mod identify;
mod limits;
mod metrics;
mod models;
mod permissions;
mod relay;
mod reservation;
mod retention;
mod router;
mod source;
mod spend;
mod sse;
mod stored;
mod stream;
mod tokens;
mod upstreams;
mod watched;
mod websocket;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::Directory;
use access::stored::Objects;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Budget, Clock};
use bodies::Bodies;
use http::{Request, Response};
use prometheus::Registry;
use tasks::{Health, TaskHandle};
use telemetry::Tracer;
use tokio::sync::Notify;
use usage::{DurableReservations, LastUsed, ModelFacts, PriceBook, Recorder, Spend};

pub use body::{Body, BrokenOff, MAX_REQUEST_BYTES};
pub use certificate::PeerCertificates;
pub use flow::{DEFAULT_BODY_MEMORY_BYTES, FlowLimits, ObjectLimits};
pub use upstreams::{
    CaCertificates, FileStamp, StreamUsage, UpstreamConfig, UpstreamKey, UpstreamState,
};

use drain::Drains;
use flights::Flights;
use flow::Flow;
use limits::Limiter;
use metrics::Metrics;
use models::ModelList;
use stored::ObjectBounds;
use upstreams::{Probes, Upstreams};

/// When the end of an answer is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At once; what it consumed is durable within the recorder's window.
    #[default]
    Batched,
    /// Once what it consumed is durable.
    Strict,
}

/// What a gateway works with.
pub struct GatewayOptions {
    /// What model servers keep, and for whom.
    pub stored: Objects,
    /// The keys, and what they may do.
    pub directory: Arc<Directory>,
    /// Where usage goes.
    pub recorder: Recorder,
    /// What has been spent, as the ledger says.
    pub spend: Spend,
    /// What things cost.
    pub prices: PriceBook,
    /// The facts about models.
    pub facts: ModelFacts,
    /// The reservations of money for what outlives a request.
    pub reservations: DurableReservations,
    /// Where the use of keys is noted.
    pub last_used: LastUsed,
    /// Where bodies go, if they are kept.
    pub bodies: Option<Bodies>,
    /// What keys are hashed with.
    pub pepper: Pepper,
    /// The model servers.
    pub upstreams: Vec<UpstreamConfig>,
    /// Makes request ids.
    pub ids: Arc<IdGenerator>,
    /// Tells when keys expire and when usage happened.
    pub clock: Clock,
    /// When the end of an answer is sent.
    pub durability: Durability,
    /// The models that this deployment knows beside those that an upstream lists; metrics name no others.
    pub models: BTreeSet<String>,
    /// Traces requests.
    pub tracer: Tracer,
    /// Bounds of the requests under way.
    pub flow: FlowLimits,
    /// The bytes of request bodies under way, which the gateway shares with the rest of the program.
    pub body_memory: Budget,
}

/// Why a gateway could not be started, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An upstream's settings make no sense.
    #[error("upstream '{name}': {reason}")]
    Upstream {
        /// The upstream's name.
        name: String,
        /// What is wrong, as a sentence without its subject.
        reason: String,
    },
    /// The certificates that upstreams are checked against could not be loaded.
    #[error("TLS to upstreams: {0}")]
    Tls(String),
    /// What is measured has a name that it cannot have.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The gateway. Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    directory: Arc<Directory>,
    upstreams: Upstreams,
    models: ModelList,
    recorder: Recorder,
    spend: Spend,
    prices: PriceBook,
    facts: ModelFacts,
    reservations: DurableReservations,
    last_used: LastUsed,
    bodies: Option<Bodies>,
    pepper: Pepper,
    ids: Arc<IdGenerator>,
    clock: Clock,
    durability: Durability,
    drains: Drains,
    stored: Objects,
    /// Something that model servers keep is to be looked at now.
    due: Notify,
    metrics: Arc<Metrics>,
    tracer: Tracer,
    limiter: Arc<Limiter>,
    flow: Flow,
    flights: Flights,
    objects: ObjectBounds,
}

impl Gateway {
    /// Starts one, in a Tokio runtime.
    ///
    /// # Errors
    /// The settings of an upstream make no sense.
    pub fn start(options: GatewayOptions) -> Result<(Self, GatewayTask), StartError> {
        let upstreams = Upstreams::new(&options.upstreams)?;
        let metrics = Arc::new(Metrics::new(&options.upstreams, &options.models)?);
        let drains = Drains::new(metrics.unread.clone());
        tokens::prepare(upstreams.known());
        let probes = upstreams.watch_over();
        let (directory, clock) = (options.directory, options.clock);
        let flights = Flights::new(Arc::clone(&directory), clock.clone(), &options.flow);
        let shared = Shared {
            directory,
            models: ModelList::new(&upstreams),
            upstreams,
            recorder: options.recorder,
            spend: options.spend,
            prices: options.prices,
            facts: options.facts,
            reservations: options.reservations,
            last_used: options.last_used,
            bodies: options.bodies,
            pepper: options.pepper,
            ids: options.ids,
            clock,
            durability: options.durability,
            drains: drains.clone(),
            stored: options.stored,
            due: Notify::new(),
            metrics,
            tracer: options.tracer,
            limiter: Limiter::new(),
            flow: Flow::new(&options.flow, options.body_memory),
            flights: flights.clone(),
            objects: ObjectBounds::new(options.flow.objects),
        };
        let gateway = Self(Arc::new(shared));
        let watch = stored::Watch(Arc::clone(&gateway.0));
        let task = GatewayTask {
            drains,
            probes,
            watching: tasks::start("stored objects", |_| watch),
            flights: tasks::start("flights", |_| flights),
        };
        Ok((gateway, task))
    }

    /// Lets `registry` tell what the gateway counts and times.
    ///
    /// # Errors
    /// It knows that already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.0.metrics.register(registry)
    }

    /// How many answers are read to their end in the background, since their clients hung up.
    #[must_use]
    pub fn running_drains(&self) -> usize {
        self.0.drains.running()
    }

    /// Returns the number of bytes of memory in which compressed answers are decoded.
    #[must_use]
    pub fn answer_bytes(&self) -> u64 {
        self.0.flow.answer_bytes()
    }

    /// Answers one request; every refusal is an answer too. Dropping the future, or the body of the answer, is how a
    /// client hangs up: what it consumed is still metered.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    {
        self.route(request).await
    }

    /// Looks at everything that model servers keep and that is due to be looked at, as happens each minute: what has ended,
    /// and what takes up room, is in the ledger then.
    pub async fn look_at_stored(&self) {
        stored::look_at_due(&self.0).await;
    }

    /// Which model servers requests are sent to, and which are skipped because they fail.
    pub fn upstreams(&self) -> impl Iterator<Item = UpstreamState<'_>> {
        self.0.upstreams.states()
    }

    /// Reads the keys and certificates of upstreams anew, where they come from files or commands. What cannot be read leaves
    /// what was read before in use.
    pub async fn reread_credentials(&self) {
        self.0.upstreams.reread().await;
    }
}

/// What the gateway does beside answering: it reads to their end the answers that clients hung up on, finds out whether
/// model servers that failed are back, and looks at what they keep and what that consumes. Dropped, it stops.
pub struct GatewayTask {
    drains: Drains,
    probes: Probes,
    watching: TaskHandle,
    flights: TaskHandle,
}

impl GatewayTask {
    /// Returns the health of each of the gateway's tasks.
    #[must_use]
    pub fn healths(&self) -> Vec<Health> {
        let own = [&self.watching, &self.flights];
        let own = own.into_iter().map(|task| task.health().clone());
        own.chain(self.probes.healths()).collect()
    }

    /// Waits until the answers that clients hung up on have been read; what has not ended within `deadline` is
    /// settled with an estimate. To be called when no more requests are handled, before the recorder is stopped.
    pub async fn stop(self, deadline: Duration) {
        self.stop_at(tokio::time::sleep(deadline)).await;
    }

    /// Stops as [`GatewayTask::stop`] does, with a deadline that is there when `deadline` resolves.
    pub async fn stop_at(self, deadline: impl Future<Output = ()>) {
        self.probes.stop();
        self.drains.stop(deadline).await;
    }
}
