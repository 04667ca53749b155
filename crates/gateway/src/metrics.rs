//! What the gateway counts and times. Handles are found by index or by one look-up, so that a request costs some additions
//! and allocates nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;
use std::time::Duration;

use http::Uri;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use usage::Outcome;

use crate::UpstreamConfig;
use crate::dialect::DIALECTS;

/// The endpoints that are not forwarded, after those that are; the last stands for every other path.
const OTHERS: [&str; 7] = [
    "/models",
    "/models/{model}",
    "/files",
    "/batches",
    "/vector_stores",
    "/responses/{response_id}",
    "other",
];
/// What stands for the models that this deployment does not know.
const OTHER: &str = "other";
/// The classes of statuses, by their first digit.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// The bounds of what the gateway adds, in seconds.
const ADDED: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];
/// The bounds that OpenTelemetry's conventions advise for the time that a model takes, in seconds.
const MODEL_TIME: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is in the ledger, with this outcome.
    Metered(Outcome),
    /// The gateway answered it by itself.
    Answered,
    /// It was refused before it was forwarded.
    Refused,
    /// The client hung up before it was admitted.
    Abandoned,
}

impl End {
    const COUNT: usize = 6;

    /// Its place among all, and its name.
    fn place(self) -> (usize, &'static str) {
        let place = match self {
            Self::Answered | Self::Metered(Outcome::Succeeded) => 0,
            Self::Metered(Outcome::UpstreamFailed) => 1,
            Self::Metered(Outcome::TimedOut) => 2,
            Self::Metered(
                Outcome::ClientGone | Outcome::Reported | Outcome::Repriced | Outcome::Corrected,
            ) => 3,
            Self::Refused => 4,
            Self::Abandoned => 5,
        };
        (place, self.as_str())
    }

    /// As the ledger calls it, where it is in the ledger.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Metered(outcome) => outcome.as_str(),
            Self::Answered => Outcome::Succeeded.as_str(),
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What is known of an upstream, and measured of it.
pub(crate) struct UpstreamMetrics {
    pub(crate) name: String,
    /// The host and port of its address.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    head: Histogram,
    total: Histogram,
}

/// Everything that the gateway counts and times.
pub(crate) struct Metrics {
    pub(crate) in_flight: IntGauge,
    pub(crate) unread: IntCounter,
    requests: IntCounterVec,
    /// By endpoint, end and class of status; made when they are first needed.
    request_counters: Vec<OnceLock<IntCounter>>,
    refusals: IntCounterVec,
    tokens: IntCounterVec,
    token_counters: HashMap<String, OnceLock<[IntCounter; 2]>>,
    added: Histogram,
    pub(crate) upstreams: Vec<UpstreamMetrics>,
    heads: HistogramVec,
    totals: HistogramVec,
}

impl Metrics {
    /// For a deployment that has these upstreams and knows these models.
    pub(crate) fn new(
        upstreams: &[UpstreamConfig],
        models: &BTreeSet<String>,
    ) -> prometheus::Result<Self> {
        let heads = histograms(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "From forwarding a request to the head of the upstream's answer.",
        )?;
        let totals = histograms(
            "gen_ai_client_operation_duration_seconds",
            "From forwarding a request to the end of the upstream's answer.",
        )?;
        let listed = upstreams.iter().flat_map(|upstream| {
            let targets = upstream.aliases.values();
            upstream.models.iter().chain(targets)
        });
        let known = models.iter().chain(listed).map(String::as_str);
        let known = known.filter(|model| *model != "*").chain([OTHER]);
        let combinations = (DIALECTS.len() + OTHERS.len()) * End::COUNT * CLASSES.len();
        Ok(Self {
            in_flight: IntGauge::new(
                "http_server_active_requests",
                "Requests to the gateway that have not ended, with those whose answers are read on after the client hung up.",
            )?,
            unread: IntCounter::new(
                "orgplane_answers_unread_total",
                "Answers not read to their end after the client hung up, for want of room; their usage is estimated.",
            )?,
            requests: counters(
                "orgplane_requests_total",
                "Requests to the gateway that have ended.",
                &["endpoint", "outcome", "status"],
            )?,
            request_counters: (0..combinations).map(|_| OnceLock::new()).collect(),
            refusals: counters(
                "orgplane_refusals_total",
                "Requests that the gateway refused, by the code of the error.",
                &["code"],
            )?,
            tokens: counters(
                "orgplane_tokens_total",
                "Tokens metered by the gateway, by the upstream's name for the model.",
                &["model", "token_type"],
            )?,
            token_counters: known
                .map(|model| (model.to_owned(), OnceLock::new()))
                .collect(),
            added: Histogram::with_opts(
                HistogramOpts::new(
                    "orgplane_added_latency_seconds",
                    "What the gateway added to a forwarded request, apart from waiting for the client and the upstream.",
                )
                .buckets(ADDED.to_vec()),
            )?,
            upstreams: upstreams
                .iter()
                .map(|config| UpstreamMetrics::new(config, &heads, &totals))
                .collect(),
            heads,
            totals,
        })
    }

    /// Lets `registry` tell of all of it.
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 8] = [
            Box::new(self.in_flight.clone()),
            Box::new(self.unread.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.refusals.clone()),
            Box::new(self.tokens.clone()),
            Box::new(self.added.clone()),
            Box::new(self.heads.clone()),
            Box::new(self.totals.clone()),
        ];
        all.into_iter().try_for_each(|one| registry.register(one))
    }

    /// Counts a request to this endpoint that has ended.
    pub(crate) fn ended(&self, endpoint: &str, end: End, status: u16) {
        let endpoint = place_of(endpoint);
        let (end, outcome) = end.place();
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        let counter = &self.request_counters[(endpoint * End::COUNT + end) * CLASSES.len() + class];
        let make = || {
            let labels = [&route(endpoint), outcome, CLASSES[class]];
            self.requests.with_label_values(&labels)
        };
        counter.get_or_init(make).inc();
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, code: &'static str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// Counts tokens of a model, as its upstream calls it.
    pub(crate) fn consumed(&self, model: &str, [input, output]: [i64; 2]) {
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

    /// Times what the gateway added to a request.
    pub(crate) fn added(&self, time: Duration) {
        self.added.observe(time.as_secs_f64());
    }
}

impl UpstreamMetrics {
    fn new(config: &UpstreamConfig, heads: &HistogramVec, totals: &HistogramVec) -> Self {
        let address = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let name = config.name.clone();
        Self {
            host: address.host().unwrap_or_default().to_owned(),
            port: address.port_u16(),
            head: heads.with_label_values(&[&name]),
            total: totals.with_label_values(&[&name]),
            name,
        }
    }

    /// Times how long the head of its answer took.
    pub(crate) fn head_came(&self, after: Duration) {
        self.head.observe(after.as_secs_f64());
    }

    /// Times how long its whole answer took.
    pub(crate) fn ended(&self, after: Duration) {
        self.total.observe(after.as_secs_f64());
    }
}

/// The place of an endpoint among all.
fn place_of(endpoint: &str) -> usize {
    let forwarded = DIALECTS.iter().map(|dialect| dialect.path);
    let mut all = forwarded.chain(OTHERS);
    let last = DIALECTS.len() + OTHERS.len() - 1;
    all.position(|one| one == endpoint).unwrap_or(last)
}

/// The name of the endpoint at this place.
fn route(place: usize) -> String {
    let path = match DIALECTS.get(place) {
        Some(dialect) => dialect.path,
        None => OTHERS[place - DIALECTS.len()],
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
    let options = HistogramOpts::new(name, help).buckets(MODEL_TIME.to_vec());
    HistogramVec::new(options, &["upstream"])
}
