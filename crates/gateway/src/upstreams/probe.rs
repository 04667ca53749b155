//! Finding out in the background whether a skipped upstream is back, so that no client's request has to.

use std::sync::Arc;
use std::time::Duration;

use tasks::{Health, Task, TaskHandle};

use super::health::Trouble;
use super::upstream::Upstream;

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest wait for the end of a pause.
const MOMENT: Duration = Duration::from_millis(1);

/// The watch over all upstreams: a task for each. Dropped, it stops.
pub(crate) struct Probes(Vec<TaskHandle>);

impl Probes {
    pub(super) fn new(upstreams: &[Arc<Upstream>]) -> Self {
        let probed = upstreams.iter().filter(|upstream| upstream.is_probed());
        Self(
            probed
                .map(|upstream| tasks::start("upstream probes", |_| Probe(Arc::clone(upstream))))
                .collect(),
        )
    }

    /// Returns the health of each probe.
    pub(crate) fn healths(&self) -> impl Iterator<Item = Health> {
        self.0.iter().map(|task| task.health().clone())
    }

    /// Stops all.
    pub(crate) fn stop(self) {
        drop(self.0);
    }
}

/// The watch over one upstream.
struct Probe(Arc<Upstream>);

impl Task for Probe {
    async fn run(&mut self) {
        let upstream = &self.0;
        loop {
            match upstream.health.pause_left() {
                None => upstream.health.goes_down().await,
                Some(pause) => tokio::time::sleep(pause.max(MOMENT)).await,
            }
            if upstream.health.begin_trial() {
                probe(upstream).await;
            }
        }
    }
}

/// Whatever the answer says, an upstream that gives one is there; but not one that says it cannot.
async fn probe(upstream: &Upstream) {
    match tokio::time::timeout(TIMEOUT, upstream.probe()).await {
        Ok(None) => {}
        Ok(Some(Ok(answer))) if !answer.status().is_server_error() => upstream.answered(),
        Ok(Some(Ok(answer))) => upstream.failed(Trouble::Failed, answer.status().as_str()),
        Ok(Some(Err(error))) => upstream.failed_to_send(&error),
        Err(_) => upstream.failed(Trouble::Failed, "it did not answer in time"),
    }
}
