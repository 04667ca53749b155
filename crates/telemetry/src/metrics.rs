//! The metrics of tracing.

use prometheus::{IntCounter, Registry};

/// Counters of spans. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct SpanCounters {
    pub(crate) exported: IntCounter,
    pub(crate) dropped: IntCounter,
}

impl Default for SpanCounters {
    fn default() -> Self {
        let counter = |name: &str, help: &str| {
            IntCounter::new(name, help).expect("the name is valid in Prometheus")
        };
        Self {
            exported: counter(
                "orgplane_spans_exported_total",
                "Spans accepted by the trace collector.",
            ),
            dropped: counter(
                "orgplane_spans_dropped_total",
                "Spans dropped because the queue was full or the trace collector did not accept them.",
            ),
        }
    }
}

impl SpanCounters {
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.exported.clone()))?;
        registry.register(Box::new(self.dropped.clone()))
    }
}
