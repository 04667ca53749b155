//! Prometheus metrics of this process. No metric names a tenant.

mod administration;
mod cluster_metrics;
pub(crate) mod listener;
mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use admin::Services;
use admin::operation::Operation;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use cluster::NodeSession;
use gateway::Gateway;
use http::{HeaderValue, header};
use prometheus::{
    Counter, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};
use tasks::Health;
use telemetry::Tracer;

use crate::log::dropped_lines;
use administration::Administration;
pub(crate) use administration::OperationMetrics;
use cluster_metrics::ClusterMetrics;

/// All metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    administration: Administration,
    services: Arc<Services>,
    gateway: Gateway,
    cluster: ClusterMetrics,
    gauges: Vec<SampledGauge>,
    processor: Counter,
    dropped_lines: IntCounter,
    upstreams: GaugeVec,
    panics: IntCounterVec,
    tasks: OnceLock<Vec<Health>>,
}

/// Gauge that is sampled when metrics are read.
struct SampledGauge {
    gauge: Gauge,
    read: fn(&Services, &Gateway) -> Option<f64>,
}

/// Name, help text and source of a sampled gauge.
type GaugeDefinition = (
    &'static str,
    &'static str,
    fn(&Services, &Gateway) -> Option<f64>,
);

const GAUGES: [GaugeDefinition; 11] = [
    (
        "orgplane_recorder_queue_depth",
        "Places taken in the recorder's queue, by requests in flight and by waiting events.",
        |services, _| Some(services.recorder.queue_depth() as f64),
    ),
    (
        "orgplane_recorder_queue_capacity",
        "Places in the recorder's queue; requests are refused when every place is taken.",
        |services, _| Some(services.recorder.queue_capacity() as f64),
    ),
    (
        "orgplane_recorder_oldest_age_seconds",
        "Age of the oldest usage event that is not durable, in seconds; 0 if the queue is empty.",
        |services, _| Some(services.recorder.oldest_age().as_secs_f64()),
    ),
    (
        "orgplane_drains_running",
        "Abandoned responses that are drained in the background.",
        |_, gateway| Some(gateway.running_drains() as f64),
    ),
    (
        "orgplane_bodies_queue_depth",
        "Requests whose bodies wait to be stored.",
        |_, gateway| Some(gateway.waiting_bodies() as f64),
    ),
    (
        "orgplane_body_memory_bytes",
        "Memory charged for request bodies in flight, those of the Administration API included, in bytes.",
        |services, _| Some(services.body_memory.used() as f64),
    ),
    (
        "orgplane_answer_memory_bytes",
        "Memory used to decode compressed responses, in bytes.",
        |_, gateway| Some(gateway.answer_bytes() as f64),
    ),
    (
        "orgplane_directory_fresh",
        "1 if a load of keys and settings has succeeded within the last second, else 0.",
        |services, _| Some(f64::from(u8::from(services.directory.is_fresh()))),
    ),
    (
        "orgplane_directory_age_seconds",
        "Time since the keys and settings in memory were last known to match the database, in seconds.",
        |services, _| Some(services.directory.age().as_secs_f64()),
    ),
    (
        "process_resident_memory_bytes",
        "Resident memory of the process, in bytes.",
        |_, _| process::resident_bytes(),
    ),
    (
        "process_open_fds",
        "Open file descriptors of the process.",
        |_, _| process::open_files(),
    ),
];

/// Registers the version and the commit of the build.
fn register_build(registry: &Registry) -> prometheus::Result<()> {
    let build = Opts::new(
        "orgplane_build_info",
        "Version and commit of the running build; always 1.",
    );
    let build = GaugeVec::new(build, &["version", "commit"])?;
    let labels = [env!("CARGO_PKG_VERSION"), env!("ORGPLANE_COMMIT")];
    build.with_label_values(&labels).set(1.0);
    registry.register(Box::new(build))
}

impl Metrics {
    /// Registers all metrics.
    pub(crate) fn start(
        services: &Arc<Services>,
        gateway: &Gateway,
        tracer: &Tracer,
        session: NodeSession,
    ) -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        gateway.register(&registry)?;
        services.recorder.register(&registry)?;
        tracer.register(&registry)?;
        let administration = Administration::start(&registry)?;
        register_build(&registry)?;
        let started = Gauge::new(
            "process_start_time_seconds",
            "Start time of the process, in seconds since 1970.",
        )?;
        started.set(services.clock.now().0 as f64);
        registry.register(Box::new(started))?;
        let processor = Counter::new(
            "process_cpu_seconds_total",
            "CPU time used by the process, in seconds.",
        )?;
        if process::cpu_seconds().is_some() {
            registry.register(Box::new(processor.clone()))?;
        }
        let upstreams = Opts::new(
            "orgplane_upstream_healthy",
            "1 if the upstream's circuit is closed, 0 while the circuit is open or half-open.",
        );
        let upstreams = GaugeVec::new(upstreams, &["upstream"])?;
        registry.register(Box::new(upstreams.clone()))?;
        let lines = IntCounter::new(
            "orgplane_log_lines_dropped_total",
            "Log lines dropped because stderr was closed, full or slow.",
        )?;
        registry.register(Box::new(lines.clone()))?;
        let panics = Opts::new(
            "orgplane_task_panics_total",
            "Panics of background tasks, by task; each task is restarted.",
        );
        let panics = IntCounterVec::new(panics, &["task"])?;
        registry.register(Box::new(panics.clone()))?;
        let mut gauges = Vec::new();
        for (name, help, read) in GAUGES {
            let gauge = Gauge::new(name, help)?;
            if read(services, gateway).is_some() {
                registry.register(Box::new(gauge.clone()))?;
                gauges.push(SampledGauge { gauge, read });
            }
        }
        let cluster = ClusterMetrics::start(&registry, session)?;
        Ok(Arc::new(Self {
            registry,
            administration,
            cluster,
            services: Arc::clone(services),
            gateway: gateway.clone(),
            gauges,
            processor,
            dropped_lines: lines,
            upstreams,
            panics,
            tasks: OnceLock::new(),
        }))
    }

    /// Registers the health of background tasks.
    pub(crate) fn watch_tasks(&self, tasks: Vec<Health>) {
        self.tasks.get_or_init(|| tasks);
    }

    /// Returns the registry, for further metrics.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the metrics of an operation that is served at `route`.
    pub(crate) fn operation(&self, operation: &Operation, route: &str) -> Arc<OperationMetrics> {
        self.administration.operation(operation, route)
    }

    /// Returns a router that serves only `/metrics`.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let metrics = Arc::clone(self);
        Router::new().route("/metrics", get(move || async move { metrics.response() }))
    }

    /// Returns the response to `GET /metrics`.
    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.text()));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// Encodes all metrics in the text format of Prometheus.
    fn text(&self) -> String {
        for SampledGauge { gauge, read } in &self.gauges {
            if let Some(value) = read(&self.services, &self.gateway) {
                gauge.set(value);
            }
        }
        self.cluster.sample();
        for state in self.gateway.upstreams() {
            let healthy = f64::from(u8::from(state.is_healthy));
            let gauge = self.upstreams.with_label_values(&[state.name]);
            gauge.set(healthy);
        }
        if let Some(seconds) = process::cpu_seconds() {
            // Another reader may have raised the counter meanwhile.
            let more = seconds - self.processor.get();
            self.processor.inc_by(more.max(0.0));
        }
        raise(&self.dropped_lines, dropped_lines());
        self.count_panics();
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "failed to encode metrics");
        }
        text
    }

    fn count_panics(&self) {
        let mut panics = BTreeMap::<_, u64>::new();
        for task in self.tasks.get().into_iter().flatten() {
            *panics.entry(task.name()).or_default() += task.panics();
        }
        for (task, panics) in panics {
            raise(&self.panics.with_label_values(&[task]), panics);
        }
    }
}

/// Raises a counter to `to`; does nothing if it is higher.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
