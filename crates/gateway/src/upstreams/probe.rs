//! What is done for upstreams beside requests: finding out whether a skipped one is back, so that no client's request has to;
//! and following their keys and certificates.

use std::sync::Arc;
use std::time::Duration;

use tasks::{Health, Task, TaskHandle};

use super::follow::follow;
use super::health::Trouble;
use super::upstream::Upstream;

/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest wait for the end of a pause.
const MOMENT: Duration = Duration::from_millis(1);

/// The watch over all upstreams: some tasks for each. Dropped, it stops.
pub(crate) struct Probes(Vec<TaskHandle>);

impl Probes {
    pub(super) fn new(upstreams: &[Arc<Upstream>]) -> Self {
        let probed = upstreams.iter().filter(|upstream| upstream.is_probed());
        let probes =
            probed.map(|upstream| tasks::start("upstream probes", |_| Probe(Arc::clone(upstream))));
        Self(probes.chain(upstreams.iter().flat_map(follow)).collect())
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

/// Whatever the answer says, an upstream that gives one is there; but not one that says it cannot, or points elsewhere.
async fn probe(upstream: &Upstream) {
    match tokio::time::timeout(TIMEOUT, upstream.probe()).await {
        Ok(None) => {}
        Ok(Some(Ok(answer))) => match upstream.trouble(&answer, upstream.health_path()) {
            None => upstream.answered(),
            Some(reason) => upstream.failed(Trouble::Failed, &reason),
        },
        Ok(Some(Err(error))) => upstream.failed_to_send(&error),
        Err(_) => upstream.failed(Trouble::Failed, "it did not answer in time"),
    }
}
