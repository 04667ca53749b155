//! Waiting for what other tasks do, with a deadline.

use std::time::Duration;

/// Time between two evaluations of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum time to wait for a condition.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until `condition` holds. Panics with `description` if that takes longer than [`WAIT_TIMEOUT`].
pub async fn until(description: &str, mut condition: impl AsyncFnMut() -> bool) {
    let polls = async {
        while !condition().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(WAIT_TIMEOUT, polls).await;
    waited.unwrap_or_else(|_| panic!("not within {WAIT_TIMEOUT:?}: {description}"));
}
