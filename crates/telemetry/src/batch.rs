//! The bounded queue between the requests and the collector: what does not fit is given up, and counted.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use prometheus::{IntCounter, Registry};
use tasks::{Health, Task, TaskHandle};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::STOP_PATIENCE;

/// How many spans wait for the collector at the most.
pub const MOST_SPANS: usize = 2_048;
/// How many are sent at once.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(1);

/// What became of the spans.
#[derive(Clone)]
pub(crate) struct Counts {
    exported: IntCounter,
    dropped: IntCounter,
}

impl Default for Counts {
    fn default() -> Self {
        let counter = |name: &str, help: &str| {
            IntCounter::new(name, help).expect("the name is one that Prometheus allows")
        };
        Self {
            exported: counter(
                "orgplane_spans_exported_total",
                "Spans that the collector of traces has taken.",
            ),
            dropped: counter(
                "orgplane_spans_dropped_total",
                "Spans given up, because the queue was full or the collector did not take them.",
            ),
        }
    }
}

impl Counts {
    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.exported.clone()))?;
        registry.register(Box::new(self.dropped.clone()))
    }
}

/// Takes ended spans in.
pub(crate) struct Queue {
    spans: mpsc::Sender<SpanData>,
    counts: Counts,
}

/// What sends the spans.
pub struct TracerTask(TaskHandle);

impl Queue {
    pub(crate) fn start(exporter: SpanExporter, counts: Counts) -> (Self, TracerTask) {
        let (spans, receiver) = mpsc::channel(MOST_SPANS);
        let task = tasks::start("traces", |stop| Sending {
            exporter,
            spans: receiver,
            counts: counts.clone(),
            is_failing: false,
            stop,
        });
        (Self { spans, counts }, TracerTask(task))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.counts.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl TracerTask {
    /// Sends what waits, for [`STOP_PATIENCE`] at the most.
    pub async fn stop(self) {
        if timeout(STOP_PATIENCE, self.0.stop()).await.is_err() {
            tracing::warn!("some spans were not sent: the collector of traces is slow or gone");
        }
    }

    /// Returns the health of what sends the spans.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.0.health()
    }
}

/// The queue's other end.
struct Sending {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    counts: Counts,
    is_failing: bool,
    stop: CancellationToken,
}

impl Task for Sending {
    async fn run(&mut self) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                count = self.spans.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = self.stop.cancelled() => break,
            }
            let mut linger = pin!(sleep(LINGER));
            let mut is_stopping = false;
            while batch.len() < BATCH && !is_stopping {
                let room = BATCH - batch.len();
                tokio::select! {
                    count = self.spans.recv_many(&mut batch, room) => if count == 0 { break },
                    () = &mut linger => break,
                    () = self.stop.cancelled() => is_stopping = true,
                }
            }
            self.send(batch).await;
            if is_stopping {
                break;
            }
        }
        self.finish().await;
    }
}

impl Sending {
    /// Sends what is left, and takes no more.
    async fn finish(&mut self) {
        self.spans.close();
        loop {
            let mut batch = Vec::new();
            if self.spans.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        match self.exporter.export(batch).await {
            Ok(()) => {
                self.counts.exported.inc_by(count);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector of traces takes spans again");
                }
            }
            Err(error) => {
                self.counts.dropped.inc_by(count);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the collector of traces takes no spans; they are given up");
                }
            }
        }
    }
}
