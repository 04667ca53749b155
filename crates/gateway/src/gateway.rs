//! The gateway and its background tasks: start, use, stop.

use std::sync::Arc;
use std::time::Duration;

use bodies::Bodies;
use http::{Request, Response};
use prometheus::Registry;
use proxy::{UpstreamStatus, UpstreamTasks};
use tasks::{Health, TaskHandle};
use tokio::sync::mpsc;

use crate::auth::Authenticator;
use crate::budget::SpendBudget;
use crate::drain::Drains;
use crate::flow::FlowControl;
use crate::forward::Forwarder;
use crate::limits::{LimitWindows, RateLimitCounters, RateLimiter};
use crate::message_models::MessageModels;
use crate::metrics::GatewayMetrics;
use crate::models::ModelCatalog;
use crate::objects::{
    ObjectClient, ObjectReservations, Objects, ObjectsState, Ownership, PollerTask, Quota,
    STATE_QUEUE_CAPACITY, StateWriterTask,
};
use crate::options::{GatewayOptions, StartError};
use crate::pipeline::Pipeline;
use crate::rate_limits::RateLimits;
use crate::response_body::Body;
use crate::state_recording::StateRecorder;
use crate::tokens;
use crate::upstreams;
use crate::watchdog::Watchdog;

/// The longest time for which a stop waits for the writer of stored answers.
const STATE_WRITER_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time for which a stop waits for the last windows of rate limits.
const LIMITS_STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The gateway. Clones share the same gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Pipeline>);

impl Gateway {
    /// Starts a gateway. Must be called in a Tokio runtime.
    ///
    /// # Errors
    /// The configuration of an upstream is invalid.
    pub fn start(mut options: GatewayOptions) -> Result<(Self, GatewayTask), StartError> {
        let upstreams = Arc::new(upstreams::build(&options.upstreams)?);
        let metrics = Arc::new(GatewayMetrics::new(
            &options.upstreams,
            &options.models,
            options.refusals.clone(),
        )?);
        let drains = Drains::new(metrics.undrained.clone());
        tokens::prepare(upstreams.target_model_names());
        let upstream_tasks = upstreams.start_tasks();
        let directory = Arc::clone(&options.directory);
        let watchdog = Watchdog::new(directory, options.clock.clone(), &options.flow);
        let forwarder = Forwarder {
            upstreams,
            drains: drains.clone(),
            durability: options.durability,
        };
        let (queue, records) = mpsc::channel(STATE_QUEUE_CAPACITY);
        let clock = options.clock.clone();
        let recorder = StateRecorder { queue, clock };
        let windows = std::mem::replace(&mut options.limit_windows, LimitWindows::memory());
        let limiter = RateLimiter::new(&windows);
        let limits = limiter.start(windows);
        let pipeline = pipeline(
            options,
            forwarder,
            metrics,
            watchdog.clone(),
            (recorder, limiter),
        );
        let poller = PollerTask(Arc::clone(&pipeline.objects));
        let writer = |stop| StateWriterTask {
            objects: Arc::clone(&pipeline.objects),
            queue: records,
            stop,
        };
        let task = GatewayTask {
            drains,
            upstream_tasks,
            poller: tasks::start("stored objects", |_| poller),
            state_writer: tasks::start("stored answers", writer),
            watchdog: tasks::start("flights", |_| watchdog),
            limits,
        };
        Ok((Self(Arc::new(pipeline)), task))
    }

    /// Registers the metrics of the gateway.
    ///
    /// # Errors
    /// The metrics are registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.0.metrics.register(registry)
    }

    /// Returns a view of the counters of rate limits.
    #[must_use]
    pub fn rate_limit_counters(&self) -> RateLimitCounters {
        RateLimitCounters::of(&self.0.rate_limits.limiter)
    }

    /// Returns the number of answers that are drained in the background because their clients hung up.
    #[must_use]
    pub fn running_drains(&self) -> usize {
        self.0.forwarder.drains.running()
    }

    /// Returns the bytes of memory in which compressed answers are being decoded.
    #[must_use]
    pub fn answer_bytes(&self) -> u64 {
        self.0.flow.answers.used()
    }

    /// Returns the number of requests whose bodies wait to be stored; 0 if no bodies are stored.
    #[must_use]
    pub fn waiting_bodies(&self) -> usize {
        self.0.bodies.as_ref().map_or(0, Bodies::queue_depth)
    }

    /// Serves a request; a refusal is a response, too. A drop of the future, or of the response's body, means that the client has
    /// hung up: its usage is metered all the same.
    pub fn handle<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    {
        self.0.serve(request)
    }

    /// Polls all upstream objects that are due, as happens every minute. Their usage is in the ledger after that.
    pub async fn poll_objects(&self) {
        self.0.objects.poll_due().await;
    }

    /// Returns the health of each upstream.
    pub fn upstreams(&self) -> impl Iterator<Item = UpstreamStatus<'_>> {
        self.0.forwarder.upstreams.statuses()
    }

    /// Returns the models that upstreams list, each with the name of an upstream. A pair may come twice.
    pub fn listed_models(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.forwarder.upstreams.listed_models()
    }

    /// True if requests for models that no upstream lists are forwarded.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.forwarder.upstreams.has_wildcard()
    }

    /// Reloads the keys and certificates of upstreams that come from files or commands. Those that cannot be read stay in use.
    pub async fn reread_credentials(&self) {
        self.0.forwarder.upstreams.reload_credentials().await;
    }
}

/// Background tasks of a gateway: drains of answers whose clients hung up, health checks of upstreams, the watchdog over
/// requests in flight, the poller of upstream objects, and the writer of stored answers. Drop stops all of them.
pub struct GatewayTask {
    drains: Drains,
    upstream_tasks: UpstreamTasks,
    poller: TaskHandle,
    state_writer: TaskHandle,
    watchdog: TaskHandle,
    limits: Option<TaskHandle>,
}

/// Builds the pipeline.
fn pipeline(
    options: GatewayOptions,
    forwarder: Forwarder,
    metrics: Arc<GatewayMetrics>,
    watchdog: Watchdog,
    (state_recorder, limiter): (StateRecorder, RateLimiter),
) -> Pipeline {
    let (clock, facts) = (options.clock, Arc::new(options.facts));
    let models = ModelCatalog {
        upstreams: Arc::clone(&forwarder.upstreams),
        prices: options.prices.clone(),
        facts: Arc::clone(&facts),
        clock: clock.clone(),
    };
    let rate_limits = Arc::new(RateLimits {
        limiter,
        facts: Arc::clone(&facts),
        upstreams: Arc::clone(&forwarder.upstreams),
    });
    let (repository, is_enforced) = (Arc::new(options.objects), forwarder.upstreams.has_storage());
    let budget = Arc::new(SpendBudget {
        spend: options.spend,
        prices: options.prices,
        facts,
        unpriced: options.unpriced,
        clock: clock.clone(),
    });
    let objects = Arc::new(Objects {
        ownership: Ownership::new(Arc::clone(&repository), is_enforced),
        repository,
        client: ObjectClient(Arc::clone(&forwarder.upstreams)),
        quota: Quota::new(options.flow.objects.clone()),
        reservations: ObjectReservations {
            durable: options.reservations,
            budget: Arc::clone(&budget),
        },
        rate_limits: Arc::clone(&rate_limits),
        recorder: options.recorder.clone(),
        drains: forwarder.drains.clone(),
        state_recorder,
        clock: clock.clone(),
        state: ObjectsState::default(),
    });
    let auth = Authenticator {
        directory: options.directory,
        pepper: options.pepper,
        clock: clock.clone(),
        last_used: options.last_used,
    };
    Pipeline {
        ids: options.ids,
        auth,
        watchdog,
        flow: FlowControl::new(&options.flow, options.body_memory),
        bodies: options.bodies,
        budget,
        rate_limits,
        recorder: options.recorder,
        admission: options.admission,
        metrics,
        tracer: options.tracer,
        models,
        message_models: MessageModels::new(Arc::clone(&forwarder.upstreams)),
        forwarder,
        objects,
        clock,
    }
}

impl GatewayTask {
    /// Returns the health of each task.
    #[must_use]
    pub fn healths(&self) -> Vec<Health> {
        let own = [&self.poller, &self.state_writer, &self.watchdog];
        let own = own.into_iter().map(|task| task.health().clone());
        let limits = self.limits.iter().map(|task| task.health().clone());
        own.chain(limits)
            .chain(self.upstream_tasks.healths())
            .collect()
    }

    /// Waits until all answers are drained; those left after `deadline` are settled by an estimate. Must be called when no more
    /// requests are served, and before the recorder is stopped.
    pub async fn stop(self, deadline: Duration) {
        self.stop_at(tokio::time::sleep(deadline)).await;
    }

    /// Stops like [`GatewayTask::stop`], with a deadline that passes when `deadline` resolves.
    pub async fn stop_at(self, deadline: impl Future<Output = ()>) {
        drop(self.upstream_tasks);
        self.drains.stop(deadline).await;
        // The last answers are in its queue by now.
        let _ = tokio::time::timeout(STATE_WRITER_STOP_TIMEOUT, self.state_writer.stop()).await;
        if let Some(limits) = self.limits {
            let _ = tokio::time::timeout(LIMITS_STOP_TIMEOUT, limits.stop()).await;
        }
    }
}
