//! Tracing: spans of requests, exported to an OpenTelemetry collector if one is configured. Otherwise tracing costs a
//! request one branch.

mod batch;
mod export;
mod metrics;

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

use metrics::SpanCounters;

/// The `service.name` of spans, unless `OTEL_SERVICE_NAME` is set.
const SERVICE_NAME: &str = "orgplane";

/// The time for which a stop waits for the spans that are left.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The settings of tracing. Settings that are missing are read from the environment variables `OTEL_…`, or have the
/// defaults of OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TracingOptions {
    /// The base URL of the collector's OTLP over HTTP, such as `http://127.0.0.1:4318`.
    pub endpoint: Option<String>,
    /// The ratio of requests that are traced, from 0 to 1. The decision in a client's `traceparent` takes precedence.
    pub sample: Option<f64>,
    /// The version of the program.
    pub version: &'static str,
}

/// An error that prevents tracing from starting, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The endpoint, or another setting of the exporter, is invalid.
    #[error("the exporter of traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The certificate authorities to verify the collector with could not be loaded.
    #[error("TLS to the collector of traces: {0}")]
    Tls(String),
}

/// Creates spans, if tracing is configured. Clones share one tracer.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<ActiveTracer>>);

struct ActiveTracer {
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    counters: SpanCounters,
}

impl Tracer {
    /// Returns a tracer that creates no spans.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts exporting spans to the collector that `options` or the environment name. Must be called on the runtime
    /// that the export shall use.
    ///
    /// # Errors
    /// The settings are invalid.
    pub fn start(
        options: &TracingOptions,
        entropy: Entropy,
    ) -> Result<(Self, TracerTask), StartError> {
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", options.version));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SERVICE_NAME);
        }
        let resource = resource.build();
        let exporter = export::exporter(options.endpoint.as_deref(), &resource)?;
        let counters = SpanCounters::default();
        let mut provider = SdkTracerProvider::builder()
            .with_span_processor(batch::processor(exporter, counters.clone()))
            .with_id_generator(EntropyIds(entropy))
            .with_resource(resource);
        if let Some(part) = options.sample {
            let root = Sampler::TraceIdRatioBased(part);
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(root)));
        }
        let provider = provider.build();
        let started = ActiveTracer {
            tracer: provider.tracer(SERVICE_NAME),
            propagator: TraceContextPropagator::new(),
            counters,
        };
        Ok((Self(Some(Arc::new(started))), TracerTask(provider)))
    }

    /// Starts the span of a request with these headers. The span ends when it is dropped. `None` without a collector.
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

    /// Registers the counters of exported and dropped spans.
    ///
    /// # Errors
    /// The counters are already registered.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let counters = self.0.as_ref().map(|started| started.counters.clone());
        counters.unwrap_or_default().register(registry)
    }
}

/// The export of spans, which runs on a thread of the SDK. Drop blocks until the waiting spans are exported, for some
/// seconds at most.
pub struct TracerTask(SdkTracerProvider);

impl TracerTask {
    /// Exports the spans that wait, for at most `STOP_TIMEOUT`.
    pub async fn stop(self) {
        // The SDK blocks the calling thread.
        let stopping =
            tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(STOP_TIMEOUT));
        if !matches!(stopping.await, Ok(Ok(()))) {
            tracing::warn!("spans not exported at shutdown: trace collector slow or unreachable");
        }
    }
}

/// The span of a request. Attributes are ignored if the request is not sampled.
pub struct Span {
    span: opentelemetry_sdk::trace::Span,
    started: Arc<ActiveTracer>,
}

impl Span {
    /// Sets an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.span.set_attribute(KeyValue::new(key, value));
    }

    /// Renames the span, once the purpose of the request is known.
    pub fn rename(&mut self, name: String) {
        self.span.update_name(name);
    }

    /// Marks the span as failed; `reason` is a short stable word.
    pub fn fail(&mut self, reason: &'static str) {
        self.set("error.type", reason);
        self.span.set_status(Status::error(reason));
    }

    /// True if the span will be exported, so that its attributes are worth computing.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.span.is_recording()
    }

    /// Injects the context of the span into the headers of a request to another server.
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

/// A generator of trace and span ids from [`Entropy`].
struct EntropyIds(Entropy);

impl std::fmt::Debug for EntropyIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntropyIds")
    }
}

impl IdGenerator for EntropyIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(self.0.bytes())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(self.0.bytes())
    }
}
