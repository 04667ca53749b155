//! File descriptors: raises the soft limit at the start and reserves some for internal use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Maximum number of open connections, whatever the descriptor limit.
const MAX_CONNECTIONS: u64 = 16_384;
/// Minimum number of open connections, whatever the descriptor limit.
const MIN_CONNECTIONS: u64 = 16;
/// Descriptors reserved for the database, files, mail, traces and the log.
const RESERVED_DESCRIPTOR_COUNT: u64 = 256;
/// Descriptor limit requested if the hard limit is unlimited.
const DEFAULT_DESCRIPTOR_LIMIT: u64 = 65_536;

/// Raises the soft limit of open files to the hard limit.
pub(crate) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    let wanted = before.maximum.unwrap_or(DEFAULT_DESCRIPTOR_LIMIT);
    if before.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: before.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = before.current, "failed to raise limit of open files");
    }
}

/// Returns the maximum number of client connections under the descriptor limit of this process.
pub(crate) fn max_connections() -> usize {
    connections_within(getrlimit(Resource::Nofile).current)
}

/// Returns half of the unreserved descriptors: each request may need an upstream connection as well.
fn connections_within(limit: Option<u64>) -> usize {
    let half = limit.map_or(MAX_CONNECTIONS, |limit| {
        limit.saturating_sub(RESERVED_DESCRIPTOR_COUNT) / 2
    });
    half.clamp(MIN_CONNECTIONS, MAX_CONNECTIONS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_clients_never_take_the_descriptors_that_the_rest_needs() {
        for (limit, connections) in [
            (None, 16_384),
            (Some(1_048_576), 16_384),
            (Some(4_096), 1_920),
            (Some(1_024), 384),
            (Some(64), 16),
        ] {
            assert_eq!(connections_within(limit), connections, "{limit:?}");
        }
    }

    #[test]
    fn s14_the_soft_limit_is_raised_to_the_hard_one() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
