//! Activity of a connection, for idle timeouts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Maximum time until the first request of an HTTP/2 connection.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time that an HTTP/2 connection stays open without a running request.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Running requests of a connection, and the end of the last one.
pub(crate) struct Activity {
    began: Instant,
    /// True once the client has sent the HTTP/2 preface.
    is_http2: AtomicBool,
    had_requests: AtomicBool,
    requests: AtomicUsize,
    /// End of the last request, in milliseconds since `began`.
    idle_since: AtomicU64,
    /// Signal to close the connection in favor of a new one.
    evicted: Notify,
}

/// RAII guard of a running request.
pub(crate) struct ActiveRequest(Arc<Activity>);

impl Activity {
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            is_http2: AtomicBool::new(false),
            had_requests: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            evicted: Notify::new(),
        })
    }

    pub(crate) fn speaks_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Counts a running request until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> ActiveRequest {
        self.had_requests.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(Arc::clone(self))
    }

    /// Returns the time since the end of the last request; `None` while a request is running.
    pub(crate) fn idle(&self) -> Option<Duration> {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        Some(self.began.elapsed().saturating_sub(since))
    }

    /// Returns the time until the next idle check; `None` if the idle timeout has expired. HTTP/1 connections never
    /// expire here: the timeout for the next head applies to them.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let limit = if self.had_requests.load(Ordering::Relaxed) {
            IDLE_TIMEOUT
        } else {
            FIRST_REQUEST_TIMEOUT
        };
        match self.idle() {
            Some(idle) if self.is_http2() => {
                Some(limit.saturating_sub(idle)).filter(|left| !left.is_zero())
            }
            _ => Some(limit),
        }
    }

    /// Asks the connection to close in favor of a new one.
    pub(crate) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Resolves when the connection is asked to close.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let Self(activity) = self;
        let now = u64::try_from(activity.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        activity.idle_since.store(now, Ordering::Relaxed);
        activity.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s14_a_connection_is_idle_when_no_request_is_under_way() {
        let activity = Activity::begin();
        activity.speaks_http2();
        assert_eq!(activity.time_left(), Some(FIRST_REQUEST_TIMEOUT));
        advance(FIRST_REQUEST_TIMEOUT).await;
        assert_eq!(activity.time_left(), None);
        let request = activity.request();
        assert_eq!(
            (activity.idle(), activity.time_left()),
            (None, Some(IDLE_TIMEOUT))
        );
        advance(IDLE_TIMEOUT).await;
        assert_eq!(activity.time_left(), Some(IDLE_TIMEOUT));
        drop(request);
        advance(IDLE_TIMEOUT - Duration::from_secs(1)).await;
        assert_eq!(activity.time_left(), Some(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(activity.time_left(), None);
    }
}
