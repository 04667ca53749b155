//! Metrics, log lines and spans of requests to the Administration API.

use std::sync::{Arc, OnceLock};

use admin::operation::{Effect, Operation};
use base::time::Stopwatch;
use http::{HeaderValue, Request, StatusCode};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use telemetry::{Span, Tracer};

/// Histogram buckets of request durations, in seconds.
const DURATION_BUCKETS: [f64; 11] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Metrics of all operations.
pub(crate) struct Administration {
    requests: IntCounterVec,
    time: HistogramVec,
}

/// Metrics of one operation. Its series are created on first use.
pub(crate) struct OperationMetrics {
    /// Name of the operation: its command.
    command: &'static str,
    /// Effect of the operation on the data.
    effect: &'static str,
    route: String,
    requests: IntCounterVec,
    time: HistogramVec,
    by_class: [OnceLock<IntCounter>; CLASSES.len()],
    took: OnceLock<Histogram>,
}

/// Status classes; `none` for requests abandoned by their client.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Administration {
    pub(super) fn start(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new(
            "orgplane_admin_requests_total",
            "Completed requests to operations of the Administration API.",
        );
        let requests = IntCounterVec::new(requests, &["operation", "status"])?;
        let time = HistogramOpts::new(
            "orgplane_admin_request_duration_seconds",
            "Duration of operations of the Administration API, by their effect on data, in seconds.",
        );
        let time = HistogramVec::new(time.buckets(DURATION_BUCKETS.to_vec()), &["effect"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(time.clone()))?;
        Ok(Self { requests, time })
    }

    /// Returns the metrics of an operation that is served at `route`.
    pub(super) fn operation(&self, operation: &Operation, route: &str) -> Arc<OperationMetrics> {
        Arc::new(OperationMetrics {
            command: operation.command,
            effect: match operation.effect {
                Effect::Read => "read",
                Effect::Write => "write",
                Effect::Ingest => "ingest",
                Effect::Open => "open",
            },
            route: route.to_owned(),
            requests: self.requests.clone(),
            time: self.time.clone(),
            by_class: Default::default(),
            took: OnceLock::new(),
        })
    }
}

impl OperationMetrics {
    /// Starts the observation of a request.
    pub(crate) fn observe<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        tracer: &Tracer,
        watch: Stopwatch,
    ) -> ObservedRequest {
        let span = tracer.span("administration", request.headers());
        let span = span.filter(Span::is_recorded).map(|mut span| {
            let (method, route) = (request.method().as_str(), &self.route);
            span.rename(format!("{method} {route}"));
            span.set("http.request.method", method.to_owned());
            span.set("http.route", route.clone());
            span
        });
        ObservedRequest {
            known: Arc::clone(self),
            watch,
            status: None,
            id: None,
            span,
        }
    }

    /// Records a finished request.
    fn ended(&self, class: usize, seconds: f64) {
        let counted = self.by_class[class].get_or_init(|| {
            let labels = [self.command, CLASSES[class]];
            self.requests.with_label_values(&labels)
        });
        counted.inc();
        let took = self.took.get_or_init(|| {
            let labels = [self.effect];
            self.time.with_label_values(&labels)
        });
        took.observe(seconds);
    }
}

/// Observer of a request; records it when dropped.
pub(crate) struct ObservedRequest {
    known: Arc<OperationMetrics>,
    watch: Stopwatch,
    status: Option<StatusCode>,
    id: Option<HeaderValue>,
    span: Option<Span>,
}

impl ObservedRequest {
    /// Sets the status and the request id of the response.
    pub(crate) fn answered(&mut self, status: StatusCode, id: Option<&HeaderValue>) {
        self.status = Some(status);
        self.id = id.cloned();
    }
}

impl Drop for ObservedRequest {
    fn drop(&mut self) {
        let status = self.status.map(|status| status.as_u16());
        let class = status.map_or(0, |status| usize::from(status / 100).min(5));
        let seconds = self.watch.elapsed().as_secs_f64();
        self.known.ended(class, seconds);
        let id = self.id.as_ref().and_then(|id| id.to_str().ok());
        let id = id.unwrap_or_default();
        tracing::debug!(target: "requests", request_id = id, operation = self.known.command, status, seconds, "request completed");
        let Some(mut span) = self.span.take() else {
            return;
        };
        span.set("orgplane.request.id", id.to_owned());
        match status {
            Some(status) => span.set("http.response.status_code", i64::from(status)),
            None => span.fail("abandoned"),
        }
        if CLASSES[class] == "5xx" {
            span.fail("server_error");
        }
    }
}
