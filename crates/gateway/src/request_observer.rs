//! Observation of a request for operators: counters, latencies, a log line, and a span where tracing is on.

use std::sync::Arc;
use std::time::Duration;

use access::Key;
use base::Error;
use base::ids::{Id, RequestId};
use base::time::Stopwatch;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use prometheus::Histogram;
use telemetry::{Span, Tracer};
use usage::{Metric, UsageEvent};

use crate::metrics::{GatewayMetrics, RequestEnd, UpstreamMetrics};

/// Observes one request from its head to its end, and reports it exactly once: when it is finished or settled, or when the
/// observer is dropped. Empty once it was handed over or has reported.
pub(crate) struct RequestObserver(Option<Box<Observation>>);

struct Observation {
    metrics: Arc<GatewayMetrics>,
    /// Time since the head of the request.
    total_time: Stopwatch,
    /// Time since [`RequestObserver::resume`].
    running_time: Stopwatch,
    /// Time spent in the gateway, without waiting for the client or the upstream.
    gateway_time: Duration,
    endpoint: &'static str,
    /// Status of the response; 0 as long as there is none.
    status: u16,
    key: Option<Arc<Key>>,
    /// Time since the request was forwarded.
    upstream_time: Option<Stopwatch>,
    /// Index of the upstream that responded.
    upstream: Option<usize>,
    span: Option<Span>,
}

/// Facts that a report has beside the end of the request.
#[derive(Default)]
struct ReportedFacts<'a> {
    id: &'a str,
    model: &'a str,
    /// Input and output tokens.
    tokens: [i64; 2],
    /// Code of the error, if there was one.
    code: Option<&'static str>,
}

impl RequestObserver {
    /// Starts to observe a request that has this head.
    pub(crate) fn begin(metrics: &Arc<GatewayMetrics>, tracer: &Tracer, head: &Parts) -> Self {
        metrics.in_flight.inc();
        let now = Stopwatch::start();
        Self(Some(Box::new(Observation {
            metrics: Arc::clone(metrics),
            total_time: now,
            running_time: now,
            gateway_time: Duration::ZERO,
            endpoint: "other",
            status: 0,
            key: None,
            upstream_time: None,
            upstream: None,
            span: tracer.span("request", &head.headers).map(|mut span| {
                if span.is_recorded() {
                    span.set("http.request.method", head.method.as_str().to_owned());
                }
                span
            }),
        })))
    }

    /// Moves the observation out; the caller becomes responsible for its report.
    pub(crate) fn hand_over(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Changes the observation, unless it was handed over or reported.
    fn update(&mut self, change: impl FnOnce(&mut Observation)) {
        if let Some(observation) = &mut self.0 {
            change(observation);
        }
    }

    /// Sets the endpoint, as a path below `/v1`.
    pub(crate) fn set_endpoint(&mut self, endpoint: &'static str) {
        self.update(|it| it.endpoint = endpoint);
    }

    /// Sets the key of the request.
    pub(crate) fn set_key(&mut self, key: &Arc<Key>) {
        self.update(|it| it.key = Some(Arc::clone(key)));
    }

    /// Sets the requested model.
    pub(crate) fn set_model(&mut self, model: &str) {
        let span = self.0.as_mut().and_then(|it| it.span.as_mut());
        if let Some(span) = span.filter(|span| span.is_recorded()) {
            span.set("gen_ai.request.model", model.to_owned());
        }
    }

    /// Stops the gateway time while the request waits for its client or its upstream.
    pub(crate) fn pause(&mut self) {
        self.update(|it| it.gateway_time += it.running_time.elapsed());
    }

    /// Resumes the gateway time after [`Self::pause`].
    pub(crate) fn resume(&mut self) {
        self.update(|it| it.running_time = Stopwatch::start());
    }

    /// Notes that the request is forwarded with these headers, to which the trace context is added.
    pub(crate) fn forward(&mut self, headers: &mut HeaderMap) {
        self.pause();
        self.update(|it| {
            it.upstream_time = Some(Stopwatch::start());
            if let Some(span) = &it.span {
                span.propagate(headers);
            }
        });
    }

    /// Sets the upstream that has responded with the head of an answer.
    pub(crate) fn set_upstream(&mut self, name: &str) {
        self.resume();
        self.update(|it| {
            let mut upstreams = it.metrics.upstreams.iter();
            it.upstream = upstreams.position(|upstream| upstream.name == name);
            it.observe_upstream_time(|upstream| &upstream.first_chunk);
        });
    }

    /// Notes that the head of the answer goes to the client.
    pub(crate) fn respond(&mut self, status: StatusCode) {
        self.pause();
        self.update(|it| {
            it.status = status.as_u16();
            let seconds = it.gateway_time.as_secs_f64();
            it.metrics.gateway_time.observe(seconds);
        });
    }

    /// Notes that an admitted request has no answer but this error.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.update(|it| it.status = error.status.as_u16());
    }

    /// Reports a request that the gateway has answered itself, or refused before it was admitted.
    pub(crate) fn finish(&mut self, id: &RequestId, outcome: Result<StatusCode, &Error>) {
        let Some(mut observation) = self.0.take() else {
            return;
        };
        let (end, status, code) = match outcome {
            Ok(status) => (RequestEnd::Answered, status, None),
            Err(error) => {
                let code = error.code.unwrap_or("internal_error");
                let key = observation.key.as_deref();
                observation.metrics.count_refusal(key, code);
                (RequestEnd::Refused, error.status, Some(code))
            }
        };
        observation.status = status.as_u16();
        let facts = ReportedFacts {
            id: id.as_str(),
            code,
            ..ReportedFacts::default()
        };
        observation.report(end, &facts);
    }

    /// Reports a request that the ledger has this event of.
    pub(crate) fn settle(mut self, event: &UsageEvent) {
        let Some(observation) = self.0.take() else {
            return;
        };
        let tokens = [Metric::InputTokens, Metric::OutputTokens];
        let facts = ReportedFacts {
            id: &event.id,
            model: event.model.as_deref().unwrap_or_default(),
            tokens: tokens.map(|metric| event.quantities.or_zero(metric)),
            code: None,
        };
        let metrics = &observation.metrics;
        metrics.count_tokens(facts.model, facts.tokens);
        observation.observe_upstream_time(|upstream| &upstream.end);
        observation.report(RequestEnd::Metered(event.outcome), &facts);
    }
}

impl Drop for RequestObserver {
    fn drop(&mut self) {
        if let Some(observation) = self.0.take() {
            observation.report(RequestEnd::Abandoned, &ReportedFacts::default());
        }
    }
}

impl Observation {
    /// Observes the time since the request was forwarded in a histogram of the upstream that responded.
    fn observe_upstream_time(&self, histogram: impl FnOnce(&UpstreamMetrics) -> &Histogram) {
        if let (Some(index), Some(time)) = (self.upstream, self.upstream_time) {
            let histogram = histogram(&self.metrics.upstreams[index]);
            histogram.observe(time.elapsed().as_secs_f64());
        }
    }

    fn report(mut self: Box<Self>, end: RequestEnd, facts: &ReportedFacts<'_>) {
        self.metrics.in_flight.dec();
        self.metrics.count_request(self.endpoint, end, self.status);
        let key = self.key.as_deref();
        let project = key.and_then(|key| key.project.as_ref());
        tracing::debug!(
            target: "requests",
            request_id = facts.id,
            organization = key.map(|key| key.organization.id.as_str()),
            project = project.map(|project| project.id.as_str()),
            api_key = key.map(|key| key.id.as_str()),
            endpoint = self.endpoint,
            model = facts.model,
            status = self.status,
            outcome = end.as_str(),
            code = facts.code,
            input_tokens = facts.tokens[0],
            output_tokens = facts.tokens[1],
            seconds = self.total_time.elapsed().as_secs_f64(),
            "request completed"
        );
        if let Some(span) = self.span.take().filter(Span::is_recorded) {
            self.end_span(span, end, facts);
        }
    }

    /// Sets the attributes of the span by OpenTelemetry's conventions for generative models and HTTP, and ends it.
    fn end_span(&self, mut span: Span, end: RequestEnd, facts: &ReportedFacts<'_>) {
        let operation = operation(self.endpoint);
        span.rename(match (operation, facts.model) {
            (None, _) => format!("/v1{}", self.endpoint),
            (Some(operation), "") => operation.to_owned(),
            (Some(operation), model) => format!("{operation} {model}"),
        });
        if let Some(operation) = operation {
            span.set("gen_ai.operation.name", operation);
        }
        span.set("http.route", format!("/v1{}", self.endpoint));
        if self.status != 0 {
            span.set("http.response.status_code", i64::from(self.status));
        }
        if !facts.id.is_empty() {
            span.set("orgplane.request.id", facts.id.to_owned());
        }
        if let Some(key) = &self.key {
            span.set("orgplane.api_key.id", key.id.as_str().to_owned());
            let organization = key.organization.id.as_str();
            span.set("orgplane.organization.id", organization.to_owned());
            if let Some(project) = &key.project {
                span.set("orgplane.project.id", project.id.as_str().to_owned());
            }
        }
        if let Some(index) = self.upstream {
            let upstream = &self.metrics.upstreams[index];
            span.set("gen_ai.provider.name", upstream.name.clone());
            span.set("server.address", upstream.host.clone());
            if let Some(port) = upstream.port {
                span.set("server.port", i64::from(port));
            }
        }
        if let RequestEnd::Metered(_) = end {
            span.set("gen_ai.response.model", facts.model.to_owned());
            span.set("gen_ai.usage.input_tokens", facts.tokens[0]);
            span.set("gen_ai.usage.output_tokens", facts.tokens[1]);
        }
        let has_succeeded = matches!(
            end,
            RequestEnd::Answered | RequestEnd::Metered(usage::Outcome::Succeeded)
        );
        if !has_succeeded {
            span.fail(facts.code.unwrap_or(end.as_str()));
        }
    }
}

/// Returns OpenTelemetry's name for the operation of an endpoint.
fn operation(endpoint: &str) -> Option<&'static str> {
    Some(match endpoint {
        "/chat/completions" | "/messages" | "/responses" => "chat",
        "/completions" => "text_completion",
        "/embeddings" => "embeddings",
        "/moderations" => "moderation",
        _ if endpoint.starts_with("/images/") || endpoint.starts_with("/audio/") => {
            "generate_content"
        }
        _ => return None,
    })
}
