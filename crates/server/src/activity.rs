//! The activity of a connection, so that it is closed when it has done nothing for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The time within which a connection over HTTP/2 has to bring its first request.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which a connection over HTTP/2 may be open without a request under way.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The requests that are under way on a connection, and the time since the last one.
pub(crate) struct Activity {
    began: Instant,
    /// True once the client has said that it speaks HTTP/2.
    is_http2: AtomicBool,
    had_requests: AtomicBool,
    requests: AtomicUsize,
    /// The moment at which the last request ended, in milliseconds since the beginning.
    idle_since: AtomicU64,
    /// The notice that the connection has to make room for another one.
    evicted: Notify,
}

/// A request that is under way until this is dropped.
pub(crate) struct UnderWay(Arc<Activity>);

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

    /// Counts a request.
    pub(crate) fn request(self: &Arc<Self>) -> UnderWay {
        self.had_requests.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Returns the time since the last request ended; `None` while one is under way.
    pub(crate) fn idle(&self) -> Option<Duration> {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        Some(self.began.elapsed().saturating_sub(since))
    }

    /// Returns the time after which the connection is to be looked at again; `None` if it has been idle for too long. One
    /// over HTTP/1 never is: the time for its next request's head is bounded elsewhere.
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

    /// Asks the connection to make room for another one.
    pub(crate) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Resolves when the connection is asked to make room.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for UnderWay {
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
