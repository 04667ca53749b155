//! Spans of requests, sent to an OpenTelemetry collector where one is configured. Where none is, a request costs one
//! branch.

mod export;
mod queue;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base::Entropy;
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanId, SpanKind, Status, TraceContextExt, TraceId, Tracer as _, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, Sampler, SdkTracer, SdkTracerProvider};
use prometheus::Registry;

use queue::{Counts, Queue};
pub use queue::{MOST_SPANS, TracerTask};

/// What our spans call the program that they come from, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "orgplane";

/// What an operator says of tracing; what it leaves open is in the environment's `OTEL_…` variables, or their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TracingOptions {
    /// Where the collector's OTLP over HTTP begins, such as `http://127.0.0.1:4318`.
    pub endpoint: Option<String>,
    /// The part of the requests that are traced, 0 to 1; what a client's `traceparent` decides wins over it.
    pub sample: Option<f64>,
    /// The version of the program.
    pub version: &'static str,
}

/// Why tracing could not be started, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The endpoint, or another setting of the exporter, makes no sense.
    #[error("the exporter of traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The certificates that a collector is checked against could not be loaded.
    #[error("TLS to the collector of traces: {0}")]
    Tls(String),
}

/// Makes spans, or none. Clones are the same tracer.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Started>>);

struct Started {
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    counts: Counts,
    /// Ends with the last clone.
    _provider: SdkTracerProvider,
}

impl Tracer {
    /// One that makes no spans.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// One that sends them to the collector that `options` or the environment name, and what sends them. Needs the
    /// runtime that the task shall run on.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn start(
        options: &TracingOptions,
        entropy: Entropy,
    ) -> Result<(Self, TracerTask), StartError> {
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", options.version));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SERVICE);
        }
        let resource = resource.build();
        let exporter = export::exporter(options.endpoint.as_deref(), &resource)?;
        let counts = Counts::default();
        let (queue, task) = Queue::start(exporter, counts.clone());
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_id_generator(Ids(entropy))
            .with_resource(resource);
        if let Some(part) = options.sample {
            let root = Sampler::TraceIdRatioBased(part);
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(root)));
        }
        let provider = provider.build();
        let started = Started {
            tracer: provider.tracer(SERVICE),
            propagator: TraceContextPropagator::new(),
            counts,
            _provider: provider,
        };
        Ok((Self(Some(Arc::new(started))), task))
    }

    /// A span of a request with these headers, which ends when it is dropped. `None` when there is no collector.
    #[must_use]
    pub fn span(&self, name: impl Into<Cow<'static, str>>, headers: &HeaderMap) -> Option<Span> {
        let started = self.0.as_ref()?;
        let from = HeaderExtractor(headers);
        let parent = started
            .propagator
            .extract_with_context(&Context::new(), &from);
        let builder = started.tracer.span_builder(name.into());
        let builder = builder.with_kind(SpanKind::Server);
        let span = started.tracer.build_with_context(builder, &parent);
        Some(Span {
            span,
            started: Arc::clone(started),
        })
    }

    /// Lets `registry` tell how many spans went to the collector, and how many were given up.
    ///
    /// # Errors
    /// It knows them already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let counts = self.0.as_ref().map(|started| started.counts.clone());
        counts.unwrap_or_default().register(registry)
    }
}

/// What a collector learns of a request. It says nothing when the request is not among those that are traced.
pub struct Span {
    span: opentelemetry_sdk::trace::Span,
    started: Arc<Started>,
}

impl Span {
    /// Adds something that is known of the request.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.span.set_attribute(KeyValue::new(key, value));
    }

    /// Names it anew, once it is known what the request is about.
    pub fn rename(&mut self, name: String) {
        self.span.update_name(name);
    }

    /// Marks it as failed; `reason` is a short stable word.
    pub fn fail(&mut self, reason: &'static str) {
        self.set("error.type", reason);
        self.span.set_status(Status::error(reason));
    }

    /// Whether the collector will have it, so that what it would say is worth to be put together.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.span.is_recording()
    }

    /// Makes whoever receives these headers work below this span.
    pub fn propagate(&self, headers: &mut HeaderMap) {
        let context = self.span.span_context().clone();
        let state = context.trace_state().header();
        let context = Context::new().with_remote_span_context(context);
        let mut into = HeaderInjector(headers);
        self.started.propagator.inject_context(&context, &mut into);
        if state.is_empty() {
            headers.remove("tracestate");
        }
    }
}

/// Ids of traces and spans from our one source of randomness.
struct Ids(Entropy);

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids")
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(self.0.bytes())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(self.0.bytes())
    }
}

/// How long a stop waits for the spans that are left.
pub const STOP_PATIENCE: Duration = Duration::from_secs(3);
