//! What the program says of itself while it runs: lines for people on a terminal, JSON for everything else.
//!
//! Logging is best effort: whoever logs never waits, never fails and never panics, whatever has become of stderr. Lines go
//! through a bounded queue to a thread that writes them; those that are not written are counted.

mod sink;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use base::time::Stopwatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use sink::Sink;
pub(crate) use sink::dropped_lines;

/// The log of the process. Dropped, it waits a moment until what was logged is written.
pub(crate) struct Log(Sink);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Logs go to stderr. `RUST_LOG` says how much, `ORGPLANE_LOG_FORMAT` in which form. Panics are logged too.
///
/// # Errors
/// The form is not one that there is, or the thread that writes could not be started.
pub(crate) fn start() -> anyhow::Result<Log> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever is asked for: the values of statements are names, addresses and hashes of keys.
    let drivers = store::VERBOSE_TARGETS.iter();
    let quiet = drivers.map(|target| format!("{target}=info").parse());
    let quiet: Vec<Directive> = quiet.collect::<Result<_, _>>()?;
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let is_terminal = std::io::stderr().is_terminal();
    let format = std::env::var("ORGPLANE_LOG_FORMAT").unwrap_or_default();
    let is_json = match format.as_str() {
        "" => !is_terminal,
        "json" => true,
        "text" => false,
        other => bail!("ORGPLANE_LOG_FORMAT is '{other}'; it can be json or text"),
    };
    // A descriptor of its own: a thread that waits in a write holds no lock that others need.
    let stderr = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    let sink = Sink::start(stderr).context("the log's thread could not be started")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        // Else a line that cannot be made or written is told on stderr, where a failure panics.
        .log_internal_errors(false)
        .with_writer(sink.clone());
    // Whoever has begun to listen before us, as a test can, keeps listening.
    let _ = if is_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(Log(sink))
}

/// Logs a panic. The standard hook writes to stderr itself, and waits there while nobody reads.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            tracing::error!(panic = message, place, thread, %backtrace, "panicked");
        }
        _ => tracing::error!(panic = message, place, thread, "panicked"),
    }
}
/// The time in which something that happens often is logged once.
const SAMPLE_INTERVAL_MILLISECONDS: u64 = 10_000;

/// Lets a line that may come often into the log once per interval, with the number of those that were left out.
pub(crate) struct Sampled {
    watch: Stopwatch,
    /// The moment of the next line, in milliseconds on `watch`.
    next: AtomicU64,
    left_out: AtomicU64,
}

impl Sampled {
    pub(crate) fn start() -> Self {
        Self {
            watch: Stopwatch::start(),
            next: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Returns the number of lines that were left out since the last one; `None` if this one is to be left out too.
    pub(crate) fn admit(&self) -> Option<u64> {
        let (now, due) = (self.watch.milliseconds(), self.next.load(Ordering::Relaxed));
        let next = now + SAMPLE_INTERVAL_MILLISECONDS;
        let is_due = now >= due
            && (self.next)
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_due {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_a_line_that_comes_often_is_logged_once_per_interval() {
        let sampled = Sampled::start();
        assert_eq!(sampled.admit(), Some(0));
        for _ in 0..1_000 {
            assert_eq!(sampled.admit(), None);
        }
        sampled.next.store(0, Ordering::Relaxed);
        assert_eq!(sampled.admit(), Some(1_000));
        assert_eq!(sampled.admit(), None);
    }
}
