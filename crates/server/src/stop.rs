//! The stop of the process: asked for by a signal, in phases that end at fixed times after it, hurried by a second one.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tasks::Task;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// The default time that requests under way have to end.
pub(crate) const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest time that requests under way can be given, so that the whole stop takes at most 25 seconds.
pub(crate) const MAX_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// The time after the requests' end by which connections that were cut off have been dropped.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time after the requests' end at which answers that clients hung up on are settled as they are.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The time after the requests' end by which the ledger is written.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(4);
/// The time after the requests' end by which everything has stopped.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// The time that the ledger has after a second signal.
const HURRIED_LEDGER_TIMEOUT: Duration = Duration::from_millis(700);
/// The time that any other part has after a second signal.
const HURRIED_TIMEOUT: Duration = Duration::from_millis(100);

/// A stop that may be asked for, and its deadlines. Clones are the same stop.
#[derive(Clone)]
pub struct Stop(Arc<Shared>);

struct Shared {
    /// The time that requests under way have to end.
    timeout: Duration,
    asked: CancellationToken,
    began: OnceLock<Instant>,
    hurried: CancellationToken,
    /// The exit code of the process: not 0 if a second signal ends it, or if it failed.
    code: AtomicU8,
}

impl Stop {
    /// Returns a stop that is asked for by [`Stop::ask`] only.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            timeout,
            asked: CancellationToken::new(),
            began: OnceLock::new(),
            hurried: CancellationToken::new(),
            code: AtomicU8::new(0),
        }))
    }

    /// Returns a stop that SIGTERM asks for, or SIGINT or SIGQUIT from a terminal, and that a second one hurries. Signals count from
    /// this call on.
    ///
    /// # Errors
    /// No handler can be installed.
    pub(crate) fn at_signals(timeout: Duration) -> io::Result<Self> {
        let signals = Signals::listen()?;
        let stop = Self::within(timeout);
        let told = stop.clone();
        tasks::start("signals", |_| Listening { signals, told }).detach();
        Ok(stop)
    }

    /// Asks for the stop.
    pub fn ask(&self) {
        self.0.began.get_or_init(Instant::now);
        self.0.asked.cancel();
    }

    /// Asks for the stop of a process that cannot go on; it exits with 1 unless a signal says otherwise.
    pub(crate) fn fail(&self) {
        let (relaxed, failed) = (Ordering::Relaxed, 1);
        let _ = (self.0.code).compare_exchange(0, failed, relaxed, relaxed);
        self.ask();
    }

    /// Ends all waiting at once; the process is to exit with `code`.
    fn hurry(&self, code: u8) {
        self.0.code.store(code, Ordering::Relaxed);
        self.0.hurried.cancel();
    }

    /// Resolves once the stop is asked for.
    pub(crate) async fn asked(&self) {
        self.0.asked.cancelled().await;
    }

    /// Resolves when requests under way are to be cut off.
    pub(crate) async fn requests_end(&self) {
        self.end(Duration::ZERO).await;
    }

    /// Resolves when answers that clients hung up on are to be settled as they are.
    pub(crate) async fn drains_end(&self) {
        self.end(DRAIN_TIMEOUT).await;
    }

    /// Returns the time that is left to write the ledger.
    pub(crate) fn left_for_ledger(&self) -> Duration {
        if self.0.hurried.is_cancelled() {
            return HURRIED_LEDGER_TIMEOUT;
        }
        self.at(LEDGER_TIMEOUT)
            .saturating_duration_since(Instant::now())
    }

    /// Waits until the tasks of connections that were cut off have ended; false if they have not in time.
    pub(crate) async fn cut(&self, ended: impl Future<Output = ()>) -> bool {
        let limit = if self.0.hurried.is_cancelled() {
            HURRIED_TIMEOUT
        } else {
            CUT_TIMEOUT
        };
        timeout(limit, ended).await.is_ok()
    }

    /// Waits for the ledger's writer, which has been told how long it may take; false if it has not ended in time.
    pub(crate) async fn ledger(&self, written: impl Future<Output = ()>) -> bool {
        self.bound(LEDGER_TIMEOUT, HURRIED_LEDGER_TIMEOUT, written)
            .await
    }

    /// Waits for the last part; false if it has not ended in time.
    pub(crate) async fn last(&self, ended: impl Future<Output = ()>) -> bool {
        self.bound(LAST_TIMEOUT, HURRIED_TIMEOUT, ended).await
    }

    /// Returns the exit code of the process: 0, 1 if it failed, or 128 and the number of the second signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.0.code.load(Ordering::Relaxed))
    }

    async fn bound(
        &self,
        after: Duration,
        hurried: Duration,
        work: impl Future<Output = ()>,
    ) -> bool {
        let hurried = async {
            self.0.hurried.cancelled().await;
            sleep(hurried).await;
        };
        tokio::select! {
            biased;
            () = work => true,
            () = sleep_until(self.at(after)) => false,
            () = hurried => false,
        }
    }

    async fn end(&self, after: Duration) {
        tokio::select! {
            () = sleep_until(self.at(after)) => {}
            () = self.0.hurried.cancelled() => {}
        }
    }

    /// The moment this long after the requests' end.
    fn at(&self, after: Duration) -> Instant {
        *self.0.began.get_or_init(Instant::now) + self.0.timeout + after
    }
}

/// The task that waits for signals.
struct Listening {
    signals: Signals,
    told: Stop,
}

impl Task for Listening {
    async fn run(&mut self) {
        if !self.told.0.asked.is_cancelled() {
            let first = self.signals.next().await;
            self.told.ask();
            tracing::info!(signal = first.name, "stopping");
        }
        let second = self.signals.next().await;
        self.told.hurry(second.code);
        tracing::warn!(
            signal = second.name,
            "second signal: stopping at once; requests under way are cut off"
        );
    }
}

/// The signals that ask for a stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

/// A signal that has come.
struct Received {
    name: &'static str,
    /// The exit code that a shell gives a process which this signal ended.
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
        let stop = Stop::within(MAX_STOP_TIMEOUT);
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
        let stop = Stop::within(MAX_STOP_TIMEOUT);
        assert_eq!(stop.exit_code(), ExitCode::SUCCESS);
        stop.fail();
        stop.asked().await;
        assert_eq!(stop.exit_code(), ExitCode::from(1));
        stop.hurry(143);
        assert_eq!(stop.exit_code(), ExitCode::from(143));
    }

    #[tokio::test(start_paused = true)]
    async fn s16_after_a_second_signal_no_part_takes_longer_than_a_second() {
        let stop = Stop::within(MAX_STOP_TIMEOUT);
        stop.ask();
        stop.hurry(130);
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
