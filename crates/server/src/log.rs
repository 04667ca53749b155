//! What the program says of itself while it runs: lines for people on a terminal, JSON for everything else.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use base::time::Stopwatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

/// Logs go to stderr. `RUST_LOG` says how much, `ORGPLANE_LOG_FORMAT` in which form.
///
/// # Errors
/// The form is not one that there is.
pub(crate) fn start() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever is asked for: the values of statements are names, addresses and hashes of keys.
    let drivers = store::TALKATIVE.iter();
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
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr);
    // Whoever has begun to listen before us, as a test can, keeps listening.
    let _ = if is_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    Ok(())
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
