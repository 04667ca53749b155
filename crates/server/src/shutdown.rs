//! Graceful shutdown: requested by a signal, with phases that end at fixed times, and forced by a second signal.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tasks::Task;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Default time given to running requests.
pub(crate) const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time given to running requests, so that the whole shutdown takes at most 25 seconds.
pub(crate) const MAX_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Deadline for dropping aborted connections, after the end of requests.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// Deadline for draining abandoned responses, after the end of requests.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Deadline for writing the ledger, after the end of requests.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(4);
/// Deadline for everything else, after the end of requests.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time given to the ledger after a second signal.
const FORCED_LEDGER_TIMEOUT: Duration = Duration::from_millis(700);
/// Time given to every other component after a second signal.
const FORCED_TIMEOUT: Duration = Duration::from_millis(100);

/// Shutdown request and its deadlines. Clones share their state.
#[derive(Clone)]
pub struct Shutdown(Arc<ShutdownState>);

struct ShutdownState {
    /// Time given to running requests.
    timeout: Duration,
    asked: CancellationToken,
    began: OnceLock<Instant>,
    forced: CancellationToken,
    /// Exit code of the process; not 0 after a second signal or a failure.
    code: AtomicU8,
}

impl Shutdown {
    /// Creates a shutdown that only [`Shutdown::ask`] requests.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self(Arc::new(ShutdownState {
            timeout,
            asked: CancellationToken::new(),
            began: OnceLock::new(),
            forced: CancellationToken::new(),
            code: AtomicU8::new(0),
        }))
    }

    /// Creates a shutdown that SIGTERM, SIGINT or SIGQUIT requests, and a second such signal forces. Signals count
    /// from this call on.
    ///
    /// # Errors
    /// A handler cannot be installed.
    pub(crate) fn at_signals(timeout: Duration) -> io::Result<Self> {
        let signals = Signals::listen()?;
        let stop = Self::within(timeout);
        let shutdown = stop.clone();
        tasks::start("signals", |_| SignalTask { signals, shutdown }).detach();
        Ok(stop)
    }

    /// Requests the shutdown.
    pub fn ask(&self) {
        self.0.began.get_or_init(Instant::now);
        self.0.asked.cancel();
    }

    /// Requests the shutdown after a fatal failure; the exit code is 1 unless a signal sets another.
    pub(crate) fn fail(&self) {
        let (relaxed, failed) = (Ordering::Relaxed, 1);
        let _ = (self.0.code).compare_exchange(0, failed, relaxed, relaxed);
        self.ask();
    }

    /// Ends every wait; the process exits with `code`.
    fn force(&self, code: u8) {
        self.0.code.store(code, Ordering::Relaxed);
        self.0.forced.cancel();
    }

    /// Resolves when the shutdown is requested.
    pub(crate) async fn asked(&self) {
        self.0.asked.cancelled().await;
    }

    /// Resolves when running requests must be aborted.
    pub(crate) async fn requests_end(&self) {
        self.end(Duration::ZERO).await;
    }

    /// Resolves when abandoned responses must be settled as they are.
    pub(crate) async fn drains_end(&self) {
        self.end(DRAIN_TIMEOUT).await;
    }

    /// Returns the time left for writing the ledger.
    pub(crate) fn left_for_ledger(&self) -> Duration {
        if self.0.forced.is_cancelled() {
            return FORCED_LEDGER_TIMEOUT;
        }
        self.at(LEDGER_TIMEOUT)
            .saturating_duration_since(Instant::now())
    }

    /// Waits for the tasks of aborted connections. Returns false on timeout.
    pub(crate) async fn cut(&self, ended: impl Future<Output = ()>) -> bool {
        let limit = if self.0.forced.is_cancelled() {
            FORCED_TIMEOUT
        } else {
            CUT_TIMEOUT
        };
        timeout(limit, ended).await.is_ok()
    }

    /// Waits for the recorder, which knows its deadline. Returns false on timeout.
    pub(crate) async fn ledger(&self, written: impl Future<Output = ()>) -> bool {
        self.bound(LEDGER_TIMEOUT, FORCED_LEDGER_TIMEOUT, written)
            .await
    }

    /// Waits for the last component. Returns false on timeout.
    pub(crate) async fn last(&self, ended: impl Future<Output = ()>) -> bool {
        self.bound(LAST_TIMEOUT, FORCED_TIMEOUT, ended).await
    }

    /// Returns the exit code: 0, 1 after a failure, or 128 plus the number of the second signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.0.code.load(Ordering::Relaxed))
    }

    async fn bound(
        &self,
        after: Duration,
        forced: Duration,
        work: impl Future<Output = ()>,
    ) -> bool {
        let forced = async {
            self.0.forced.cancelled().await;
            sleep(forced).await;
        };
        tokio::select! {
            biased;
            () = work => true,
            () = sleep_until(self.at(after)) => false,
            () = forced => false,
        }
    }

    async fn end(&self, after: Duration) {
        tokio::select! {
            () = sleep_until(self.at(after)) => {}
            () = self.0.forced.cancelled() => {}
        }
    }

    /// Returns the time `after` the end of requests.
    fn at(&self, after: Duration) -> Instant {
        *self.0.began.get_or_init(Instant::now) + self.0.timeout + after
    }
}

/// Task that waits for signals.
struct SignalTask {
    signals: Signals,
    shutdown: Shutdown,
}

impl Task for SignalTask {
    async fn run(&mut self) {
        if !self.shutdown.0.asked.is_cancelled() {
            let first = self.signals.next().await;
            self.shutdown.ask();
            tracing::info!(signal = first.name, "server stopping");
        }
        let second = self.signals.next().await;
        self.shutdown.force(second.code);
        tracing::warn!(
            signal = second.name,
            "second signal: aborting running requests"
        );
    }
}

/// Signals that request a shutdown.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

/// A received signal.
struct Received {
    name: &'static str,
    /// Exit code that a shell reports for this signal.
    code: u8,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received { name: "SIGTERM", code: 128 + 15 },
            _ = self.interrupt.recv() => Received { name: "SIGINT", code: 128 + 2 },
            _ = self.quit.recv() => Received { name: "SIGQUIT", code: 128 + 3 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s16_a_stop_takes_at_most_25_seconds_however_slow_its_parts_are() {
        let stop = Shutdown::within(MAX_STOP_TIMEOUT);
        let began = Instant::now();
        stop.ask();
        stop.requests_end().await;
        assert_eq!(began.elapsed(), MAX_STOP_TIMEOUT);
        assert!(!stop.cut(pending()).await);
        stop.drains_end().await;
        assert!(stop.left_for_ledger() >= Duration::from_secs(2));
        assert!(!stop.ledger(pending()).await);
        assert!(!stop.last(pending()).await);
        let whole = began.elapsed().as_secs_f64().round();
        assert!(whole <= 25.0, "{whole}");
    }

    #[tokio::test]
    async fn strangers_1_a_process_that_fails_stops_in_order_and_exits_with_1() {
        let stop = Shutdown::within(MAX_STOP_TIMEOUT);
        assert_eq!(stop.exit_code(), ExitCode::SUCCESS);
        stop.fail();
        stop.asked().await;
        assert_eq!(stop.exit_code(), ExitCode::from(1));
        stop.force(143);
        assert_eq!(stop.exit_code(), ExitCode::from(143));
    }

    #[tokio::test(start_paused = true)]
    async fn s16_after_a_second_signal_no_part_takes_longer_than_a_second() {
        let stop = Shutdown::within(MAX_STOP_TIMEOUT);
        stop.ask();
        stop.force(130);
        let began = Instant::now();
        stop.requests_end().await;
        stop.drains_end().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(!stop.cut(pending()).await);
        assert!(!stop.ledger(pending()).await);
        assert!(!stop.last(pending()).await);
        assert!(began.elapsed() <= Duration::from_secs(1));
    }
}
