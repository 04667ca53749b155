//! How long is waited for the head of a request. hyper begins and ends such a wait with each request; a timer of its own
//! for each would cost more than all else that a small answer needs.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time;

/// The one timer of a connection, which waits for one thing at a time. It is set again only when it goes off too early
/// or would too late.
pub(crate) struct Patience(Shared);

type Shared = Arc<Mutex<Pin<Box<time::Sleep>>>>;

impl Patience {
    /// A timer for waits of about this length.
    pub(crate) fn new(length: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(time::sleep(length)))))
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait {
            deadline: deadline.into(),
            timer: Arc::clone(&self.0),
        })
    }
}

/// Ends at its deadline. Dropped before, it leaves the timer as it is.
struct Wait {
    deadline: time::Instant,
    timer: Shared,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        if timer.deadline() > self.deadline {
            timer.as_mut().reset(self.deadline);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use base::time::Stopwatch;
    use futures_util::FutureExt;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_millis(80);

    #[tokio::test]
    async fn a_wait_ends_at_its_own_deadline() {
        for length in [SHORT, LONG, Duration::from_secs(30)] {
            let patience = Patience::new(length);
            let watch = Stopwatch::start();
            assert!(patience.sleep(SHORT).now_or_never().is_none());
            patience.sleep(LONG).await;
            assert!(watch.elapsed() >= LONG, "{length:?}");
            let watch = Stopwatch::start();
            patience.sleep(SHORT).await;
            assert!(watch.elapsed() >= SHORT, "{length:?}");
            assert!(watch.elapsed() < Duration::from_secs(10), "{length:?}");
        }
    }
}
