//! Requests to the Administration API as operators see them.

use std::sync::{Arc, OnceLock};

use admin::operation::{Effect, Operation};
use base::time::Stopwatch;
use http::{HeaderValue, Request, StatusCode};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use telemetry::{Span, Tracer};

/// The bounds of how long an operation takes, in seconds.
const TIME: [f64; 11] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// What is counted and timed of all operations.
pub(crate) struct Administration {
    requests: IntCounterVec,
    time: HistogramVec,
}

/// An operation as operators see it. Its counters begin when they have something to count.
pub(crate) struct Known {
    /// The words of the command line.
    command: &'static str,
    /// What it does to the data.
    effect: &'static str,
    route: String,
    requests: IntCounterVec,
    time: HistogramVec,
    by_class: [OnceLock<IntCounter>; CLASSES.len()],
    took: OnceLock<Histogram>,
}

/// How a request ended: the class of its status, after that of those that were given up.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Administration {
    pub(super) fn start(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new(
            "orgplane_admin_requests_total",
            "Requests to operations of the Administration API that have ended.",
        );
        let requests = IntCounterVec::new(requests, &["operation", "status"])?;
        let time = HistogramOpts::new(
            "orgplane_admin_request_duration_seconds",
            "How long operations of the Administration API took, by what they do to the data.",
        );
        let time = HistogramVec::new(time.buckets(TIME.to_vec()), &["effect"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(time.clone()))?;
        Ok(Self { requests, time })
    }

    /// Makes an operation, which is served at `route`, known.
    pub(super) fn know(&self, operation: &Operation, route: &str) -> Arc<Known> {
        Arc::new(Known {
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

impl Known {
    /// Begins to watch a request to this operation.
    pub(crate) fn watch<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        tracer: &Tracer,
        watch: Stopwatch,
    ) -> Watched {
        let span = tracer.span("administration", request.headers());
        let span = span.filter(Span::is_recorded).map(|mut span| {
            let (method, route) = (request.method().as_str(), &self.route);
            span.rename(format!("{method} {route}"));
            span.set("http.request.method", method.to_owned());
            span.set("http.route", route.clone());
            span
        });
        Watched {
            known: Arc::clone(self),
            watch,
            status: None,
            id: None,
            span,
        }
    }

    /// Counts a request that took so long.
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

/// A request to an operation, written down once it is dropped: answered, or given up by its client.
pub(crate) struct Watched {
    known: Arc<Known>,
    watch: Stopwatch,
    status: Option<StatusCode>,
    id: Option<HeaderValue>,
    span: Option<Span>,
}

impl Watched {
    /// This is its answer, to the request with this id.
    pub(crate) fn answered(&mut self, status: StatusCode, id: Option<&HeaderValue>) {
        self.status = Some(status);
        self.id = id.cloned();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let status = self.status.map(|status| status.as_u16());
        let class = status.map_or(0, |status| usize::from(status / 100).min(5));
        let seconds = self.watch.elapsed().as_secs_f64();
        self.known.ended(class, seconds);
        let id = self.id.as_ref().and_then(|id| id.to_str().ok());
        let id = id.unwrap_or_default();
        tracing::debug!(target: "requests", request_id = id, operation = self.known.command, status, seconds, "answered");
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
