//! Resource exhaustion of this machine: connections that fail for want of file descriptors, ports or memory, which says
//! nothing of the upstream.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use base::time::Stopwatch;
use rustix::io::Errno;

/// Minimum time between two log lines, in milliseconds.
const MIN_LOG_INTERVAL_MILLISECONDS: u64 = 10_000;
/// Errors of the system that mean that this machine is out of a resource.
const EXHAUSTED: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::ADDRNOTAVAIL,
    Errno::NOBUFS,
    Errno::NOMEM,
];

/// True if the cause of `error` is that this machine is out of a resource.
pub(crate) fn is_resource_exhaustion(error: &(dyn Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        let io_error = error.downcast_ref::<io::Error>();
        if let Some(errno) = io_error.and_then(io::Error::raw_os_error) {
            return EXHAUSTED.map(Errno::raw_os_error).contains(&errno);
        }
        source = error.source();
    }
    false
}

/// Log of failed connections, limited to one line per interval.
pub(crate) struct ExhaustionLog {
    origin: Stopwatch,
    /// Earliest time of the next line, in milliseconds since `origin`.
    next: AtomicU64,
    /// Number of failures since the last line.
    suppressed: AtomicU64,
}

impl ExhaustionLog {
    pub(crate) fn new() -> Self {
        Self {
            origin: Stopwatch::start(),
            next: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Logs a failed connection to `upstream`, or counts it for the next line.
    pub(crate) fn log(&self, upstream: &str, error: &dyn Display) {
        let order = Ordering::Relaxed;
        let (now, due) = (self.origin.milliseconds(), self.next.load(order));
        let next = now + MIN_LOG_INTERVAL_MILLISECONDS;
        if now < due || self.next.compare_exchange(due, next, order, order).is_err() {
            self.suppressed.fetch_add(1, order);
            return;
        }
        let suppressed = self.suppressed.swap(0, order);
        tracing::error!(
            upstream,
            %error,
            suppressed,
            "connection to upstream failed: out of file descriptors, ports or memory"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error with a source, as connectors return it.
    #[derive(Debug, thiserror::Error)]
    #[error("connect")]
    struct ConnectorError(#[source] io::Error);

    #[test]
    fn resource_exhaustion_of_this_machine_is_told_from_failures_of_the_upstream() {
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
            assert_eq!(is_resource_exhaustion(&error()), expected, "{errno}");
            assert_eq!(
                is_resource_exhaustion(&ConnectorError(error())),
                expected,
                "{errno}"
            );
        }
        assert!(!is_resource_exhaustion(&io::Error::other("anything")));
    }
}
