//! Resource exhaustion of this machine: connections that fail for want of file descriptors, ports or memory, which says
//! nothing of the upstream.

use std::error::Error;
use std::fmt::Display;
use std::io;

use base::LogSampler;
use rustix::io::Errno;

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

/// Log of failed connections, limited to one line per interval of its sampler.
pub(crate) struct ExhaustionLog(LogSampler);

impl ExhaustionLog {
    pub(crate) fn new() -> Self {
        Self(LogSampler::start())
    }

    /// Logs a failed connection to `upstream`, or counts it for the next line.
    pub(crate) fn log(&self, upstream: &str, error: &dyn Display) {
        let Some(suppressed) = self.0.admit() else {
            return;
        };
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
