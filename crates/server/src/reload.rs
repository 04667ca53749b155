//! SIGHUP: reloads files. If the controlling terminal has closed, the process shuts down as for SIGTERM.

use std::fs::File;
use std::io;
use std::time::Duration;

use tasks::{Task, TaskHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::shutdown::Shutdown;

/// Number of checks for the terminal after a SIGHUP: the signal may precede its removal.
const MAX_TERMINAL_ATTEMPTS: u32 = 5;
/// Interval between two checks.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(50);

/// Broadcast of reload requests to everything that holds file contents. Clones share the channel.
#[derive(Clone, Debug, Default)]
pub struct Reload(watch::Sender<()>);

impl Reload {
    /// Requests a reload.
    pub fn ask(&self) {
        self.0.send_replace(());
    }

    /// Returns a receiver that changes with every later reload request.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Handlers of the signals that would end a server by default.
pub(crate) struct ReloadSignals {
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
    is_of_terminal: bool,
}

impl ReloadSignals {
    /// Installs the handlers; signals received before [`Self::follow`] are not lost.
    ///
    /// # Errors
    /// A handler cannot be installed.
    pub(crate) fn listen() -> io::Result<Self> {
        // Checked before the handler is installed: `nohup` makes a program ignore the signal.
        let is_of_terminal = has_terminal() && !is_hangup_ignored();
        // Exceeding a file size limit becomes an error of the write. The handler outlives the stream.
        let file_size = rustix::process::Signal::XFSZ.as_raw();
        drop(signal(SignalKind::from_raw(file_size))?);
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            is_of_terminal,
        })
    }

    /// Starts the task that, on each SIGHUP, calls `reread` and requests a reload, or requests the shutdown if the
    /// terminal has closed; until the handle is dropped.
    pub(crate) fn follow(
        self,
        reload: Reload,
        stop: Shutdown,
        reread: impl Fn() + Clone + Send + 'static,
    ) -> TaskHandle {
        tasks::start("reloads", |_| SignalReloadTask {
            signals: self,
            reload,
            stop,
            reread,
        })
    }
}

/// Task that handles the signals.
struct SignalReloadTask<F> {
    signals: ReloadSignals,
    reload: Reload,
    stop: Shutdown,
    reread: F,
}

impl<F: Fn() + Clone + Send + 'static> Task for SignalReloadTask<F> {
    async fn run(&mut self) {
        loop {
            let ignored = tokio::select! {
                _ = self.signals.hangup.recv() => None,
                _ = self.signals.user_1.recv() => Some("SIGUSR1"),
                _ = self.signals.user_2.recv() => Some("SIGUSR2"),
            };
            if let Some(signal) = ignored {
                tracing::info!(
                    signal,
                    "signal ignored: the server has no log file to reopen"
                );
            } else if self.signals.is_of_terminal && is_terminal_gone().await {
                tracing::info!(signal = "SIGHUP", "terminal closed; server stopping");
                self.stop.ask();
            } else {
                tracing::info!(signal = "SIGHUP", "configuration reload started");
                let reread = tokio::task::spawn_blocking(self.reread.clone());
                if reread.await.is_err() {
                    tracing::error!("configuration reload panicked");
                }
                self.reload.ask();
            }
        }
    }
}

/// True if the process has a controlling terminal.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// True if the process has lost its controlling terminal; false if it still has one after all checks.
async fn is_terminal_gone() -> bool {
    for _ in 0..MAX_TERMINAL_ATTEMPTS {
        if !has_terminal() {
            return true;
        }
        tokio::time::sleep(TERMINAL_INTERVAL).await;
    }
    false
}

/// True if the process was started with SIGHUP ignored; false if unknown.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    // The bit of a signal is one less than its number.
    ignored.is_some_and(|bits| bits & 1 << (SignalKind::hangup().as_raw_value() - 1) != 0)
}
