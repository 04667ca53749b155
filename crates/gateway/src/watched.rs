//! A request as operators see it: counted, timed, and, where that is wanted, traced and logged. It travels with the
//! request and is written down once, whatever becomes of it.

use std::sync::Arc;
use std::time::Duration;

use access::Key;
use base::Error;
use base::ids::{Id, RequestId};
use base::time::Stopwatch;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use telemetry::{Span, Tracer};
use usage::{Metric, UsageEvent};

use crate::metrics::{End, Metrics};

/// A request that is watched; nothing once it was taken.
pub(crate) struct Watched(Option<Box<Open>>);

struct Open {
    metrics: Arc<Metrics>,
    /// Since the head of the request.
    watch: Stopwatch,
    /// Since when it is in our hands, or in others'.
    lap: Stopwatch,
    /// How long it was in our hands.
    added: Duration,
    endpoint: &'static str,
    /// 0 as long as there is no answer.
    status: u16,
    key: Option<Arc<Key>>,
    /// Since it was forwarded.
    forwarded: Option<Stopwatch>,
    /// Which upstream answers.
    upstream: Option<usize>,
    span: Option<Span>,
}

/// What the last line about a request says beside how it ended.
struct Facts<'a> {
    id: &'a str,
    model: &'a str,
    tokens: [i64; 2],
    /// The code of the error, if there was one.
    code: Option<&'static str>,
}

impl Watched {
    /// Begins with the head of a request.
    pub(crate) fn begin(metrics: &Arc<Metrics>, tracer: &Tracer, head: &Parts) -> Self {
        metrics.in_flight.inc();
        let watch = Stopwatch::start();
        Self(Some(Box::new(Open {
            metrics: Arc::clone(metrics),
            watch,
            lap: watch,
            added: Duration::ZERO,
            endpoint: "other",
            status: 0,
            key: None,
            forwarded: None,
            upstream: None,
            span: tracer.span("request", &head.headers).map(|mut span| {
                if span.is_recorded() {
                    span.set("http.request.method", head.method.as_str().to_owned());
                }
                span
            }),
        })))
    }

    /// Whoever gets this watches on.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// It is for this endpoint.
    pub(crate) fn is_for(&mut self, endpoint: &'static str) {
        if let Some(open) = &mut self.0 {
            open.endpoint = endpoint;
        }
    }

    /// It has this key.
    pub(crate) fn is_of(&mut self, key: &Arc<Key>) {
        if let Some(open) = &mut self.0 {
            open.key = Some(Arc::clone(key));
        }
    }

    /// It asks for this model.
    pub(crate) fn asks_for(&mut self, model: &str) {
        let span = self.0.as_mut().and_then(|open| open.span.as_mut());
        if let Some(span) = span.filter(|span| span.is_recorded()) {
            span.set("gen_ai.request.model", model.to_owned());
        }
    }

    /// We hand it over: to the client, who has to send the rest, or to the upstream.
    pub(crate) fn leaves(&mut self) {
        if let Some(open) = &mut self.0 {
            open.added += open.lap.elapsed();
        }
    }

    /// It is in our hands again.
    pub(crate) fn returns(&mut self) {
        if let Some(open) = &mut self.0 {
            open.lap = Stopwatch::start();
        }
    }

    /// It goes to an upstream with these headers, which makes the upstream's work a part of ours.
    pub(crate) fn is_forwarded(&mut self, headers: &mut HeaderMap) {
        self.leaves();
        let Some(open) = &mut self.0 else { return };
        open.forwarded = Some(Stopwatch::start());
        if let Some(span) = &open.span {
            span.propagate(headers);
        }
    }

    /// The head of its answer has come from this upstream.
    pub(crate) fn is_answered_by(&mut self, upstream: &str) {
        self.returns();
        let Some(open) = &mut self.0 else { return };
        let mut upstreams = open.metrics.upstreams.iter();
        open.upstream = upstreams.position(|one| one.name == upstream);
        if let (Some(place), Some(watch)) = (open.upstream, open.forwarded) {
            open.metrics.upstreams[place].head_came(watch.elapsed());
        }
    }

    /// The head of its answer goes to the client.
    pub(crate) fn is_passed_on(&mut self, status: StatusCode) {
        self.leaves();
        if let Some(open) = &mut self.0 {
            open.status = status.as_u16();
            open.metrics.added(open.added);
        }
    }

    /// It was admitted, but there is no answer.
    pub(crate) fn is_failed(&mut self, error: &Error) {
        if let Some(open) = &mut self.0 {
            open.status = error.status.as_u16();
        }
    }

    /// It was answered by the gateway itself, or refused before it was admitted.
    pub(crate) fn end(&mut self, id: &RequestId, outcome: Result<StatusCode, &Error>) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        let (end, status, code) = match outcome {
            Ok(status) => (End::Answered, status, None),
            Err(error) => {
                let code = error.code.unwrap_or("internal_error");
                open.metrics.refused(code);
                (End::Refused, error.status, Some(code))
            }
        };
        open.status = status.as_u16();
        let facts = Facts {
            id: id.as_str(),
            model: "",
            tokens: [0; 2],
            code,
        };
        open.write_down(end, &facts);
    }

    /// This is what the ledger has of it.
    pub(crate) fn settle(mut self, event: &UsageEvent) {
        let Some(open) = self.0.take() else { return };
        let tokens = [Metric::InputTokens, Metric::OutputTokens];
        let facts = Facts {
            id: &event.id,
            model: event.model.as_deref().unwrap_or_default(),
            tokens: tokens.map(|metric| event.quantities.or_zero(metric)),
            code: None,
        };
        open.metrics.consumed(facts.model, facts.tokens);
        if let (Some(place), Some(watch)) = (open.upstream, open.forwarded) {
            open.metrics.upstreams[place].ended(watch.elapsed());
        }
        open.write_down(End::Metered(event.outcome), &facts);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let facts = Facts {
                id: "",
                model: "",
                tokens: [0; 2],
                code: None,
            };
            open.write_down(End::Abandoned, &facts);
        }
    }
}

impl Open {
    fn write_down(mut self: Box<Self>, end: End, facts: &Facts<'_>) {
        self.metrics.in_flight.dec();
        self.metrics.ended(self.endpoint, end, self.status);
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
            seconds = self.watch.elapsed().as_secs_f64(),
            "answered"
        );
        if let Some(span) = self.span.take().filter(Span::is_recorded) {
            self.trace(span, end, facts);
        }
    }

    /// Says on the span what is known now, by the names of OpenTelemetry's conventions for generative models and HTTP.
    fn trace(&self, mut span: Span, end: End, facts: &Facts<'_>) {
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
        if let Some(place) = self.upstream {
            let upstream = &self.metrics.upstreams[place];
            span.set("gen_ai.provider.name", upstream.name.clone());
            span.set("server.address", upstream.host.clone());
            if let Some(port) = upstream.port {
                span.set("server.port", i64::from(port));
            }
        }
        if let End::Metered(_) = end {
            span.set("gen_ai.response.model", facts.model.to_owned());
            span.set("gen_ai.usage.input_tokens", facts.tokens[0]);
            span.set("gen_ai.usage.output_tokens", facts.tokens[1]);
        }
        if !matches!(end, End::Answered | End::Metered(usage::Outcome::Succeeded)) {
            span.fail(facts.code.unwrap_or(end.as_str()));
        }
    }
}

/// What OpenTelemetry calls the work of a model at this endpoint.
fn operation(endpoint: &str) -> Option<&'static str> {
    Some(match endpoint {
        "/chat/completions" | "/responses" => "chat",
        "/completions" => "text_completion",
        "/embeddings" => "embeddings",
        "/moderations" => "moderation",
        _ if endpoint.starts_with("/images/") || endpoint.starts_with("/audio/") => {
            "generate_content"
        }
        _ => return None,
    })
}
