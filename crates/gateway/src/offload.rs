//! Offloading of CPU-bound work from the threads that serve requests, with bounded concurrency.

use std::sync::LazyLock;

use base::{Error, Result};
use tokio::sync::{Semaphore, oneshot};

/// The permits of concurrent work: half of the processors, so that clients who send large bodies leave the other half to all
/// others. Permits are granted in the order of the requests for them.
static PERMITS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new((processors / 2).max(1))
});

/// Runs `work` on a thread of its own. The work is not cancelled when the future is dropped.
///
/// # Errors
/// 500: the work has panicked, or no thread could be started.
pub(crate) async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let permit = PERMITS.acquire().await.map_err(|_| Error::internal())?;
    let (done, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("offload".to_owned());
    let thread = thread.spawn(move || {
        let _permit = permit;
        if let Err(error) = tasks::lower_thread_priority() {
            tracing::debug!(%error, "failed to lower thread priority");
        }
        // The receiver is gone if the request was cancelled.
        let _ = done.send(work());
    });
    if let Err(error) = thread {
        tracing::error!(%error, "failed to start offload thread");
        return Err(Error::internal());
    }
    answer.await.map_err(|_| Error::internal())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn s10_long_work_leaves_half_of_the_processors_to_others() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..16).map(|number| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            offload(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                number
            })
        });
        let done = futures_util::future::join_all(work).await;
        let done: Vec<i32> = done.into_iter().map(|done| done.expect("done")).collect();
        assert_eq!(done, (0..16).collect::<Vec<_>>());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert!((1..=(processors / 2).max(1)).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_returns_its_permit() {
        for _ in 0..20 {
            assert!(offload(|| panic!("on purpose")).await.is_err());
        }
    }
}
