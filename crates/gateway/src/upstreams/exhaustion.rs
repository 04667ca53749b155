//! Failures to connect that are this machine's own, and say nothing of the upstream: no file descriptor, port or memory is
//! left.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use base::time::Stopwatch;
use rustix::io::Errno;

/// The time in which it is logged once, in milliseconds.
const LOG_INTERVAL_MILLISECONDS: u64 = 10_000;
/// The errors of the system that mean that something of our own has run out.
const EXHAUSTED: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::ADDRNOTAVAIL,
    Errno::NOBUFS,
    Errno::NOMEM,
];

/// True if `error` comes from something that this machine has run out of.
pub(super) fn is_exhausted(error: &(dyn Error + 'static)) -> bool {
    let mut reason = Some(error);
    while let Some(error) = reason {
        let of_system = error.downcast_ref::<io::Error>();
        if let Some(number) = of_system.and_then(io::Error::raw_os_error) {
            return EXHAUSTED.map(Errno::raw_os_error).contains(&number);
        }
        reason = error.source();
    }
    false
}

/// Logs that connections are not made, once per interval.
pub(super) struct Exhaustion {
    watch: Stopwatch,
    /// The moment of the next line, in milliseconds on `watch`.
    next: AtomicU64,
    left_out: AtomicU64,
}

impl Exhaustion {
    pub(super) fn start() -> Self {
        Self {
            watch: Stopwatch::start(),
            next: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Takes note of a connection to `upstream` that was not made.
    pub(super) fn log(&self, upstream: &str, reason: &dyn std::fmt::Display) {
        let (now, due) = (self.watch.milliseconds(), self.next.load(Ordering::Relaxed));
        let next = now + LOG_INTERVAL_MILLISECONDS;
        let order = Ordering::Relaxed;
        if now < due || self.next.compare_exchange(due, next, order, order).is_err() {
            self.left_out.fetch_add(1, order);
            return;
        }
        let left_out = self.left_out.swap(0, order);
        tracing::error!(upstream, %reason, left_out, "out of descriptors, ports or memory: connection to upstream not made");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error around another one, as connectors make them.
    #[derive(Debug, thiserror::Error)]
    #[error("around")]
    struct Around(#[source] io::Error);

    #[test]
    fn s14_what_this_machine_has_run_out_of_is_not_the_upstreams_fault() {
        for (errno, expected) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::NOBUFS, true),
            (Errno::CONNREFUSED, false),
            (Errno::CONNRESET, false),
            (Errno::TIMEDOUT, false),
            (Errno::HOSTUNREACH, false),
        ] {
            let error = || io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(is_exhausted(&error()), expected, "{errno}");
            assert_eq!(is_exhausted(&Around(error())), expected, "{errno}");
        }
        assert!(!is_exhausted(&io::Error::other("anything")));
    }
}
