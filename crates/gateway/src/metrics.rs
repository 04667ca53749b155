//! Prometheus metrics of the gateway. Each handle is found by an index or one look-up, so a request costs a few additions and
//! allocates nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use access::Key;
use http::Uri;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use proxy::UpstreamConfig;
use usage::{Outcome, Refusals};

use crate::dialect::DIALECTS;

/// Endpoints other than those of [`DIALECTS`]; the last stands for every other path.
const OTHER_ENDPOINTS: [&str; 11] = [
    "/models",
    "/models/{model}",
    "/files",
    "/batches",
    "/vector_stores",
    "/uploads",
    "/containers",
    "/responses/{response_id}",
    "/conversations",
    "/chat/completions/{completion_id}",
    "other",
];
/// Label for models and endpoints that are not listed.
const OTHER: &str = "other";
/// Labels of the status classes, by the first digit of a status.
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Histogram buckets of the latency that the gateway adds, in seconds.
const GATEWAY_TIME_BUCKETS: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];
/// Histogram buckets that OpenTelemetry's conventions recommend for the latency of a model, in seconds.
const MODEL_TIME_BUCKETS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// The end of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    /// Recorded in the ledger, with this outcome.
    Metered(Outcome),
    /// Answered by the gateway itself.
    Answered,
    /// Refused before it was forwarded.
    Refused,
    /// Abandoned by the client before it was admitted.
    Abandoned,
}

impl RequestEnd {
    const VARIANT_COUNT: usize = 6;

    /// Returns an index below [`Self::VARIANT_COUNT`].
    fn index(self) -> usize {
        match self {
            Self::Answered | Self::Metered(Outcome::Succeeded) => 0,
            Self::Metered(Outcome::UpstreamFailed) => 1,
            Self::Metered(Outcome::TimedOut) => 2,
            Self::Metered(
                Outcome::ClientGone
                | Outcome::NodeLost
                | Outcome::Reported
                | Outcome::Repriced
                | Outcome::Corrected,
            ) => 3,
            Self::Refused => 4,
            Self::Abandoned => 5,
        }
    }

    /// Returns the label: the ledger's name of the outcome, if the ledger has one.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Metered(outcome) => outcome.as_str(),
            Self::Answered => Outcome::Succeeded.as_str(),
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Name, address and latency histograms of an upstream.
pub(crate) struct UpstreamMetrics {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// Time to the head of an answer.
    pub(crate) first_chunk: Histogram,
    /// Time to the end of an answer.
    pub(crate) end: Histogram,
}

/// Metrics of the gateway.
pub(crate) struct GatewayMetrics {
    pub(crate) in_flight: IntGauge,
    /// Open WebSocket connections of clients.
    pub(crate) sockets: IntGauge,
    /// Answers that were not drained after their client hung up.
    pub(crate) undrained: IntCounter,
    requests: IntCounterVec,
    /// Handles by endpoint, end and status class, created on first use.
    request_counters: Vec<OnceLock<IntCounter>>,
    refusals: IntCounterVec,
    refusals_of_projects: Refusals,
    tokens: IntCounterVec,
    token_counters: HashMap<String, OnceLock<[IntCounter; 2]>>,
    /// Latency that the gateway added to a request.
    pub(crate) gateway_time: Histogram,
    pub(crate) upstreams: Vec<UpstreamMetrics>,
    first_chunks: HistogramVec,
    ends: HistogramVec,
}

impl GatewayMetrics {
    /// Returns the metrics of a deployment with these upstreams and models.
    #[expect(clippy::too_many_lines, reason = "one metric after the other")]
    pub(crate) fn new(
        upstreams: &[UpstreamConfig],
        models: &BTreeSet<String>,
        refusals_of_projects: Refusals,
    ) -> prometheus::Result<Self> {
        let first_chunks = histograms(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Time from forwarding a request to the head of the upstream's response, in seconds.",
        )?;
        let ends = histograms(
            "gen_ai_client_operation_duration_seconds",
            "Time from forwarding a request to the end of the upstream's response, in seconds.",
        )?;
        let listed = upstreams.iter().flat_map(|upstream| {
            let targets = upstream.aliases.values();
            upstream.models.iter().chain(targets)
        });
        let known = models.iter().chain(listed).map(String::as_str);
        let known = known.filter(|model| *model != "*").chain([OTHER]);
        let combinations = (DIALECTS.len() + OTHER_ENDPOINTS.len())
            * RequestEnd::VARIANT_COUNT
            * STATUS_CLASSES.len();
        Ok(Self {
            in_flight: IntGauge::new(
                "http_server_active_requests",
                "Requests to the gateway in flight, including drains of abandoned responses.",
            )?,
            sockets: IntGauge::new(
                "orgplane_websocket_connections",
                "Open WebSocket connections of clients.",
            )?,
            undrained: IntCounter::new(
                "orgplane_answers_unread_total",
                "Abandoned responses not drained because a limit on drains was reached; their usage is estimated.",
            )?,
            requests: counters(
                "orgplane_requests_total",
                "Completed requests to the gateway.",
                &["endpoint", "outcome", "status"],
            )?,
            request_counters: (0..combinations).map(|_| OnceLock::new()).collect(),
            refusals: counters(
                "orgplane_refusals_total",
                "Requests refused by the gateway, by error code.",
                &["code"],
            )?,
            refusals_of_projects,
            tokens: counters(
                "orgplane_tokens_total",
                "Tokens metered by the gateway, by the upstream's name of the model.",
                &["model", "token_type"],
            )?,
            token_counters: known
                .map(|model| (model.to_owned(), OnceLock::new()))
                .collect(),
            gateway_time: Histogram::with_opts(
                HistogramOpts::new(
                    "orgplane_added_latency_seconds",
                    "Latency added to a forwarded request by the gateway, without waits for the client and the upstream, in seconds.",
                )
                .buckets(GATEWAY_TIME_BUCKETS.to_vec()),
            )?,
            upstreams: upstreams
                .iter()
                .map(|config| UpstreamMetrics::new(config, &first_chunks, &ends))
                .collect(),
            first_chunks,
            ends,
        })
    }

    /// Registers all metrics.
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 9] = [
            Box::new(self.in_flight.clone()),
            Box::new(self.sockets.clone()),
            Box::new(self.undrained.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.refusals.clone()),
            Box::new(self.tokens.clone()),
            Box::new(self.gateway_time.clone()),
            Box::new(self.first_chunks.clone()),
            Box::new(self.ends.clone()),
        ];
        all.into_iter()
            .try_for_each(|collector| registry.register(collector))
    }

    /// Counts a request to an endpoint that has ended.
    pub(crate) fn count_request(&self, endpoint: &str, end: RequestEnd, status: u16) {
        let endpoint = endpoint_index(endpoint);
        let class = usize::from(status / 100).min(STATUS_CLASSES.len() - 1);
        let kind = endpoint * RequestEnd::VARIANT_COUNT + end.index();
        let counter = &self.request_counters[kind * STATUS_CLASSES.len() + class];
        let make = || {
            let labels = [
                &endpoint_label(endpoint),
                end.as_str(),
                STATUS_CLASSES[class],
            ];
            self.requests.with_label_values(&labels)
        };
        counter.get_or_init(make).inc();
    }

    /// Counts a refusal with this error code, for the project of the key if it is known.
    pub(crate) fn count_refusal(&self, key: Option<&Key>, code: &'static str) {
        self.refusals.with_label_values(&[code]).inc();
        if let Some(key) = key
            && let Some(project) = &key.project
        {
            let organization = &key.organization.id;
            self.refusals_of_projects
                .count(organization, &project.id, code);
        }
    }

    /// Counts input and output tokens of a model, by the upstream's name of the model.
    pub(crate) fn count_tokens(&self, model: &str, [input, output]: [i64; 2]) {
        if input == 0 && output == 0 {
            return;
        }
        let known = self.token_counters.get_key_value(model);
        let known = known.or_else(|| self.token_counters.get_key_value(OTHER));
        let Some((model, counters)) = known else {
            return;
        };
        let make = |kind| self.tokens.with_label_values(&[model.as_str(), kind]);
        let counters = counters.get_or_init(|| ["input", "output"].map(make));
        for (counter, amount) in counters.iter().zip([input, output]) {
            counter.inc_by(u64::try_from(amount).unwrap_or(0));
        }
    }
}

impl UpstreamMetrics {
    fn new(config: &UpstreamConfig, first_chunks: &HistogramVec, ends: &HistogramVec) -> Self {
        let address = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let name = config.name.clone();
        Self {
            host: address.host().unwrap_or_default().to_owned(),
            port: address.port_u16(),
            first_chunk: first_chunks.with_label_values(&[&name]),
            end: ends.with_label_values(&[&name]),
            name,
        }
    }
}

/// Returns the index of an endpoint among all.
fn endpoint_index(endpoint: &str) -> usize {
    let forwarded = DIALECTS.iter().map(|dialect| dialect.path);
    let mut all = forwarded.chain(OTHER_ENDPOINTS);
    let last = DIALECTS.len() + OTHER_ENDPOINTS.len() - 1;
    all.position(|path| path == endpoint).unwrap_or(last)
}

/// Returns the label of the endpoint with this index.
fn endpoint_label(index: usize) -> String {
    let path = match DIALECTS.get(index) {
        Some(dialect) => dialect.path,
        None => OTHER_ENDPOINTS[index - DIALECTS.len()],
    };
    match path {
        OTHER => path.to_owned(),
        _ => format!("/v1{path}"),
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histograms(name: &str, help: &str) -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(MODEL_TIME_BUCKETS.to_vec());
    HistogramVec::new(options, &["upstream"])
}
