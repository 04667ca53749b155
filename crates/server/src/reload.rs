//! SIGHUP: files are read again, and nothing ends. Only where the terminal has closed that the program was started from, the
//! program stops as at SIGTERM.

use std::fs::File;
use std::io;
use std::time::Duration;

use tasks::{Task, TaskHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::stop::Stop;

/// The number of times that the terminal is looked for after a SIGHUP. The signal may come a moment before the kernel takes
/// the terminal away.
const TERMINAL_ATTEMPTS: u32 = 5;
/// The time between two of them.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(50);

/// A request to all who hold what is in files that they read the files again. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Reload(watch::Sender<()>);

impl Reload {
    /// Asks for a reload.
    pub fn ask(&self) {
        self.0.send_replace(());
    }

    /// Returns a receiver that is changed at each reload that is asked for from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// The signals that must not end a server, although that is what they do by default.
pub(crate) struct ReloadSignals {
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
    is_of_terminal: bool,
}

impl ReloadSignals {
    /// Listens to the signals: from here on they do not end the process. What has come until [`Self::follow`] is seen then.
    ///
    /// # Errors
    /// No handler can be installed.
    pub(crate) fn listen() -> io::Result<Self> {
        // To be asked before the handler is there: `nohup` lets a program ignore the signal when its terminal closes.
        let is_of_terminal = has_terminal() && !is_hangup_ignored();
        // A file that may not grow is an error of its writer. The handler outlasts the stream.
        let file_size = rustix::process::Signal::XFSZ.as_raw();
        drop(signal(SignalKind::from_raw(file_size))?);
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
            is_of_terminal,
        })
    }

    /// Calls `reread` and asks for a reload at each SIGHUP, or asks for the stop if the terminal has closed; until the handle
    /// is dropped.
    pub(crate) fn follow(
        self,
        reload: Reload,
        stop: Stop,
        reread: impl Fn() + Clone + Send + 'static,
    ) -> TaskHandle {
        tasks::start("reloads", |_| Following {
            signals: self,
            reload,
            stop,
            reread,
        })
    }
}

/// The task that acts on the signals.
struct Following<F> {
    signals: ReloadSignals,
    reload: Reload,
    stop: Stop,
    reread: F,
}

impl<F: Fn() + Clone + Send + 'static> Task for Following<F> {
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
                    "signal ignored: there is nothing to reopen or toggle"
                );
            } else if self.signals.is_of_terminal && is_terminal_gone().await {
                tracing::info!(signal = "SIGHUP", "terminal closed; stopping");
                self.stop.ask();
            } else {
                tracing::info!(signal = "SIGHUP", "reloading");
                let reread = tokio::task::spawn_blocking(self.reread.clone());
                if reread.await.is_err() {
                    tracing::error!("configuration was not read again: a panic");
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

/// True once the process has no controlling terminal any more; false if it still has one a moment later.
async fn is_terminal_gone() -> bool {
    for _ in 0..TERMINAL_ATTEMPTS {
        if !has_terminal() {
            return true;
        }
        tokio::time::sleep(TERMINAL_INTERVAL).await;
    }
    false
}

/// True if the process was started with SIGHUP ignored. Where the system does not say, false.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    // The bit of a signal is one less than its number.
    ignored.is_some_and(|bits| bits & 1 << (SignalKind::hangup().as_raw_value() - 1) != 0)
}
