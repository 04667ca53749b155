//! Batching of spans by the SDK's processor, which has a thread of its own. The wrappers around it count the spans that
//! are dropped, and run the exporter's client on the runtime that the client needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;

use crate::metrics::SpanCounters;

/// The most spans that wait to be exported; further ones are dropped.
const QUEUE_CAPACITY: usize = 2_048;
/// The most spans of a batch.
const MAX_BATCH: usize = 512;
/// The time for which spans wait for a batch to fill up.
const EXPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Returns a processor that hands batches of spans to `exporter`. Never blocks the thread that ends a span. Must be called
/// on the runtime that the exporter's client needs.
pub(crate) fn processor(
    exporter: impl SpanExporter + 'static,
    counters: SpanCounters,
) -> impl SpanProcessor + 'static {
    let waiting = Arc::<AtomicUsize>::default();
    let exporter = RuntimeExporter {
        exporter: Arc::new(exporter),
        runtime: Handle::current(),
        counters: counters.clone(),
        waiting: Arc::clone(&waiting),
        is_failing: AtomicBool::new(false),
    };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_CAPACITY)
        .with_max_export_batch_size(MAX_BATCH)
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    CountingProcessor {
        inner: BatchSpanProcessor::new(exporter, config),
        counters,
        waiting,
    }
}

/// A processor that counts the spans that do not fit the queue: the SDK's own count is not accessible.
#[derive(Debug)]
struct CountingProcessor {
    inner: BatchSpanProcessor,
    counters: SpanCounters,
    /// The number of spans in the queue of `inner`, or a few more.
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE_CAPACITY {
            self.inner.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counters.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter that runs on a runtime, called by the SDK's thread, which has none. A panic fails the batch, not the
/// thread.
#[derive(Debug)]
struct RuntimeExporter<E> {
    exporter: Arc<E>,
    runtime: Handle,
    counters: SpanCounters,
    waiting: Arc<AtomicUsize>,
    is_failing: AtomicBool,
}

impl<E: SpanExporter + 'static> SpanExporter for RuntimeExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let count = u64::try_from(spans).unwrap_or(u64::MAX);
        let exporter = Arc::clone(&self.exporter);
        let exporting = self
            .runtime
            .spawn(async move { exporter.export(batch).await });
        let exported = exporting
            .await
            .unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        match &exported {
            Ok(()) => {
                self.counters.exported.inc_by(count);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("trace collector accepts spans again");
                }
            }
            Err(error) => {
                self.counters.dropped.inc_by(count);
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "trace collector refuses spans; dropping spans");
                }
            }
        }
        exported
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tokio::sync::Semaphore;

    use super::*;

    /// An exporter that takes a batch whenever a permit is added.
    #[derive(Debug)]
    struct Gated(Arc<Semaphore>);

    impl SpanExporter for Gated {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let permit = self.0.acquire().await.expect("an open semaphore");
            permit.forget();
            assert!(batch.len() <= MAX_BATCH);
            Ok(())
        }
    }

    #[derive(Debug)]
    struct Panicking;

    impl SpanExporter for Panicking {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            panic!("on purpose");
        }
    }

    fn end_spans(provider: &SdkTracerProvider, count: usize) {
        let tracer = provider.tracer("test");
        for _ in 0..count {
            tracer.start("span").end();
        }
    }

    /// Shuts a provider down on a blocking thread, so that its exporter can run meanwhile.
    async fn shut_down(provider: SdkTracerProvider) {
        let ended = tokio::task::spawn_blocking(move || {
            let _ = provider.shutdown_with_timeout(Duration::from_secs(10));
        });
        ended.await.expect("no panic");
    }

    #[tokio::test]
    async fn spans_beyond_the_queue_are_dropped_and_counted_without_waiting() {
        let (gate, counters) = (Arc::new(Semaphore::new(0)), SpanCounters::default());
        let processor = processor(Gated(Arc::clone(&gate)), counters.clone());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .build();
        let ended = 2 * QUEUE_CAPACITY + MAX_BATCH;
        end_spans(&provider, ended);
        let dropped = usize::try_from(counters.dropped.get()).expect("few");
        // The SDK's thread may have taken a batch out of the queue.
        assert!((ended - QUEUE_CAPACITY - MAX_BATCH..=ended - QUEUE_CAPACITY).contains(&dropped));
        gate.add_permits(ended);
        shut_down(provider).await;
        let exported = usize::try_from(counters.exported.get()).expect("few");
        assert_eq!(exported + dropped, ended);
    }

    #[tokio::test]
    async fn a_panic_of_the_exporter_drops_a_batch_and_nothing_else() {
        let counters = SpanCounters::default();
        let processor = processor(Panicking, counters.clone());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .build();
        end_spans(&provider, MAX_BATCH + 1);
        shut_down(provider).await;
        assert_eq!(
            counters.dropped.get(),
            u64::try_from(MAX_BATCH + 1).expect("few")
        );
    }
}
