//! The metrics of the ledger writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::time::Stopwatch;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

/// The histogram buckets of the number of events in a transaction.
const EVENTS_BUCKETS: [f64; 9] = [1.0, 5.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 10_000.0];
/// The histogram buckets of the duration of a transaction, in seconds.
const TIME_BUCKETS: [f64; 11] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// The metrics of the ledger writer.
pub(crate) struct LedgerMetrics {
    events: Histogram,
    time: Histogram,
    failures: IntCounter,
    conflicts: IntCounter,
    lost: IntCounter,
    set_aside: IntGauge,
    /// True if an event waits that the ledger refuses and that could not be set aside either.
    is_blocked: AtomicBool,
    /// True from the start of the writer's thread until its end.
    is_running: AtomicBool,
    watch: Stopwatch,
    /// The arrival of the oldest event that is not durable, in milliseconds on `watch`; 0 if there is none.
    oldest: AtomicU64,
}

impl LedgerMetrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))
        };
        Ok(Self {
            events: histogram(
                "orgplane_ledger_batch_events",
                "Usage events written in one transaction.",
                &EVENTS_BUCKETS,
            )?,
            time: histogram(
                "orgplane_ledger_write_duration_seconds",
                "Duration of a ledger transaction, in seconds.",
                &TIME_BUCKETS,
            )?,
            failures: IntCounter::new(
                "orgplane_ledger_write_failures_total",
                "Ledger transactions that failed; each is retried.",
            )?,
            conflicts: IntCounter::new(
                "orgplane_ledger_conflicts_total",
                "Usage events of the gateway that were not written because another row has the same id.",
            )?,
            lost: IntCounter::new(
                "orgplane_ledger_lost_events_total",
                "Usage events of the gateway that could not be written before the shutdown; the log has their content.",
            )?,
            set_aside: IntGauge::new(
                "orgplane_ledger_set_aside_events",
                "Usage events set aside because the database refused them; each is retried.",
            )?,
            is_blocked: AtomicBool::new(false),
            is_running: AtomicBool::new(true),
            watch: Stopwatch::start(),
            oldest: AtomicU64::new(0),
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 6] = [
            Box::new(self.events.clone()),
            Box::new(self.time.clone()),
            Box::new(self.failures.clone()),
            Box::new(self.conflicts.clone()),
            Box::new(self.lost.clone()),
            Box::new(self.set_aside.clone()),
        ];
        all.into_iter().try_for_each(|one| registry.register(one))
    }

    /// Sets the arrival of the oldest event of the batch that the writer starts.
    pub(crate) fn set_oldest(&self, since: Stopwatch) {
        let came = self.watch.milliseconds();
        let came = came.saturating_sub(since.milliseconds()).max(1);
        self.oldest.store(came, Ordering::Relaxed);
    }

    /// Clears the arrival of the oldest event, since all of the batch are durable or refused.
    pub(crate) fn clear_oldest(&self) {
        self.oldest.store(0, Ordering::Relaxed);
    }

    /// Counts a transaction that wrote events.
    pub(crate) fn wrote(&self, events: usize, time: Duration) {
        self.events.observe(events as f64);
        self.time.observe(time.as_secs_f64());
    }

    /// Counts a transaction that failed.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    /// Counts events of the gateway that were not written, since their ids are taken by other rows.
    pub(crate) fn conflicted(&self, events: usize) {
        self.conflicts.inc_by(events as u64);
    }

    /// Counts events of the gateway that only the log has.
    pub(crate) fn lost(&self, events: usize) {
        self.lost.inc_by(events as u64);
    }

    /// Sets the number of events that are set aside.
    pub(crate) fn set_set_aside(&self, events: i64) {
        self.set_aside.set(events);
    }

    /// Returns the number of events that are set aside.
    pub(crate) fn set_aside(&self) -> i64 {
        self.set_aside.get()
    }

    /// Sets whether an event waits that could be neither written nor set aside.
    pub(crate) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Records that the writer's thread has ended.
    pub(crate) fn ended(&self) {
        self.is_running.store(false, Ordering::Relaxed);
    }

    /// True if an event recorded now will be written.
    pub(crate) fn is_accepting(&self) -> bool {
        self.is_running.load(Ordering::Relaxed) && !self.is_blocked.load(Ordering::Relaxed)
    }

    /// Returns the age of the oldest event that is not durable; zero if there is none.
    pub(crate) fn oldest_age(&self) -> Duration {
        match self.oldest.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            came => Duration::from_millis(self.watch.milliseconds().saturating_sub(came)),
        }
    }
}
