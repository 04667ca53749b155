//! What the ledger's writer counts and times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::time::Stopwatch;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};

/// The bounds of how many events a transaction has.
const EVENTS: [f64; 9] = [1.0, 5.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 10_000.0];
/// The bounds of how long a transaction takes, in seconds.
const TIME: [f64; 11] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// What the ledger's writer counts and times.
pub(crate) struct Metrics {
    events: Histogram,
    time: Histogram,
    failures: IntCounter,
    watch: Stopwatch,
    /// When the oldest event came that is not durable, in milliseconds on `watch`; 0 when there is none.
    oldest: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))
        };
        Ok(Self {
            events: histogram(
                "orgplane_ledger_batch_events",
                "Usage events that were written in one transaction.",
                &EVENTS,
            )?,
            time: histogram(
                "orgplane_ledger_write_duration_seconds",
                "How long a transaction of the ledger took.",
                &TIME,
            )?,
            failures: IntCounter::new(
                "orgplane_ledger_write_failures_total",
                "Transactions of the ledger that failed; they are tried again.",
            )?,
            watch: Stopwatch::start(),
            oldest: AtomicU64::new(0),
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 3] = [
            Box::new(self.events.clone()),
            Box::new(self.time.clone()),
            Box::new(self.failures.clone()),
        ];
        all.into_iter().try_for_each(|one| registry.register(one))
    }

    /// The writer takes up events, of which the oldest came `since`.
    pub(crate) fn takes_up(&self, since: Stopwatch) {
        let came = self.watch.milliseconds();
        let came = came.saturating_sub(since.milliseconds()).max(1);
        self.oldest.store(came, Ordering::Relaxed);
    }

    /// All that was taken up is durable, or was refused.
    pub(crate) fn is_done(&self) {
        self.oldest.store(0, Ordering::Relaxed);
    }

    /// Events were written in a transaction.
    pub(crate) fn wrote(&self, events: usize, time: Duration) {
        self.events.observe(events as f64);
        self.time.observe(time.as_secs_f64());
    }

    /// A transaction failed.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    /// How long the oldest event waits that is not durable; zero when none waits.
    pub(crate) fn oldest_age(&self) -> Duration {
        match self.oldest.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            came => Duration::from_millis(self.watch.milliseconds().saturating_sub(came)),
        }
    }
}
