//! Requests to the Administration API as operators see them.

use std::collections::HashMap;
use std::sync::Arc;

use admin::operation::Effect;
use axum::extract::{MatchedPath, Request};
use base::time::Stopwatch;
use http::{HeaderMap, Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use telemetry::{Span, Tracer};

/// The bounds of how long an operation takes, in seconds.
const TIME: [f64; 11] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// What is counted and timed of every operation.
pub(crate) struct Administration {
    operations: HashMap<(Method, String), Known>,
    requests: IntCounterVec,
    time: HistogramVec,
}

/// An operation, by the words of the command line, and what it does to the data.
#[derive(Clone, Copy)]
struct Known {
    command: &'static str,
    effect: &'static str,
}

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
        let operations = admin::operations().into_iter().map(|operation| {
            let known = Known {
                command: operation.command,
                effect: match operation.effect {
                    Effect::Read => "read",
                    Effect::Write => "write",
                    Effect::Ingest => "ingest",
                    Effect::Open => "open",
                },
            };
            ((operation.method, format!("/v1{}", operation.path)), known)
        });
        Ok(Self {
            operations: operations.collect(),
            requests,
            time,
        })
    }

    /// Begins to watch a request, if it is one to an operation.
    pub(super) fn watch(self: &Arc<Self>, request: &Request, tracer: &Tracer) -> Option<Watched> {
        let path = request.extensions().get::<MatchedPath>()?;
        let place = (request.method().clone(), path.as_str().to_owned());
        let known = *self.operations.get(&place)?;
        let (method, route) = place;
        let span = tracer.span("administration", request.headers());
        let span = span.filter(Span::is_recorded).map(|mut span| {
            span.rename(format!("{method} {route}"));
            span.set("http.request.method", method.as_str().to_owned());
            span.set("http.route", route);
            span
        });
        Some(Watched {
            administration: Arc::clone(self),
            known,
            watch: Stopwatch::start(),
            status: None,
            id: String::new(),
            span,
        })
    }
}

/// A request to an operation, written down once it is dropped: answered, or given up by its client.
pub(crate) struct Watched {
    administration: Arc<Administration>,
    known: Known,
    watch: Stopwatch,
    status: Option<StatusCode>,
    id: String,
    span: Option<Span>,
}

impl Watched {
    /// This is its answer.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        id.unwrap_or_default().clone_into(&mut self.id);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Known { command, effect } = self.known;
        let class = match self.status.map(|status| status.as_u16() / 100) {
            None => "none",
            Some(1) => "1xx",
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(_) => "5xx",
        };
        let Administration { requests, time, .. } = &*self.administration;
        requests.with_label_values(&[command, class]).inc();
        let seconds = self.watch.elapsed().as_secs_f64();
        time.with_label_values(&[effect]).observe(seconds);
        let status = self.status.map(|status| status.as_u16());
        tracing::debug!(target: "requests", request_id = self.id, operation = command, status, seconds, "answered");
        let Some(mut span) = self.span.take() else {
            return;
        };
        span.set("orgplane.request.id", std::mem::take(&mut self.id));
        match status {
            Some(status) => span.set("http.response.status_code", i64::from(status)),
            None => span.fail("abandoned"),
        }
        if class == "5xx" {
            span.fail("server_error");
        }
    }
}
