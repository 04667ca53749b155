//! Logging to stderr: text on a terminal, else one JSON object per line.
//!
//! Logging is best effort: it never blocks, fails or panics, whatever the state of stderr. Lines pass through a
//! bounded queue to a writer thread; lines that cannot be written are counted.

mod sink;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;

use anyhow::{Context, bail};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use sink::Sink;
pub(crate) use sink::dropped_lines;

/// Handle of the log. Drop waits up to two seconds for queued lines.
pub(crate) struct Log(Sink);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Filter of the log, unless `RUST_LOG` sets one.
pub(crate) const DEFAULT_FILTER: &str = "info";

/// Starts logging to stderr and logs panics. `RUST_LOG` sets the filter, in place of `filter`, `ORGPLANE_LOG_FORMAT` the
/// format.
///
/// # Errors
/// The format is unknown, or the writer thread cannot be started.
pub(crate) fn start(filter: &str) -> anyhow::Result<Log> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    // Always suppressed: these targets log values of statements, such as names, addresses and key hashes.
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
    // A duplicate descriptor: a writer blocked in a write holds no lock that other threads need.
    let stderr = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    let sink = Sink::start(stderr).context("the log's thread could not be started")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        // Otherwise tracing reports a failed line on stderr, where a failure panics.
        .log_internal_errors(false)
        .with_writer(sink.clone());
    // A subscriber installed earlier, by a test for example, stays.
    let _ = if is_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(Log(sink))
}

/// Logs a panic. The default hook writes to stderr itself and blocks while the pipe is full.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            tracing::error!(panic = message, place, thread, %backtrace, "thread panicked");
        }
        _ => tracing::error!(panic = message, place, thread, "thread panicked"),
    }
}
