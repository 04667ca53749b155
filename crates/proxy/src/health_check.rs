//! Health checks: background probes of upstreams with an open circuit, so that no client's request has to probe them.

use std::sync::Arc;
use std::time::Duration;

use tasks::{Health, Task, TaskHandle};

use crate::circuit_breaker::FailureKind;
use crate::reload;
use crate::upstream::Upstream;

/// Maximum time to the head of the response to a health check.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Minimum wait for the end of a backoff, so that a wake-up just before it does not spin.
const MIN_BACKOFF_DELAY: Duration = Duration::from_millis(1);

/// Background tasks of all upstreams: health checks, and reloads of keys and certificates. They stop on drop.
pub struct UpstreamTasks(Vec<TaskHandle>);

impl UpstreamTasks {
    /// Starts the tasks, on the current Tokio runtime.
    pub(crate) fn start(upstreams: &[Arc<Upstream>]) -> Self {
        let checked = upstreams
            .iter()
            .filter(|upstream| upstream.has_health_checks());
        let checks = checked
            .map(|upstream| tasks::start("upstream probes", |_| HealthCheck(Arc::clone(upstream))));
        Self(
            checks
                .chain(upstreams.iter().flat_map(reload::start))
                .collect(),
        )
    }

    /// Returns the health of each task.
    pub fn healths(&self) -> impl Iterator<Item = Health> {
        self.0.iter().map(|task| task.health().clone())
    }
}

/// Task that probes one upstream whenever a backoff has passed.
struct HealthCheck(Arc<Upstream>);

impl Task for HealthCheck {
    async fn run(&mut self) {
        let breaker = &self.0.breaker;
        loop {
            match breaker.backoff_left() {
                None => breaker.opened().await,
                Some(backoff) => tokio::time::sleep(backoff.max(MIN_BACKOFF_DELAY)).await,
            }
            if breaker.try_half_open() {
                probe(&self.0).await;
            }
        }
    }
}

/// Sends one health check and records its outcome. Any response will do but an error of the server or a redirect.
async fn probe(upstream: &Upstream) {
    match tokio::time::timeout(RESPONSE_TIMEOUT, upstream.send_health_check()).await {
        Ok(None) => {}
        Ok(Some(Ok(response))) => upstream.record_response(&response, upstream.health_path()),
        Ok(Some(Err(error))) => upstream.record_send_error(&error),
        Err(_) => upstream.record_failure(FailureKind::Response, "no response in time"),
    }
}
