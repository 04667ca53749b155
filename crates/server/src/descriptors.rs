//! File descriptors: the soft limit is raised at the start, and some are kept back from clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections that are open at once, however many descriptors there are.
const MAX_CONNECTIONS: u64 = 16_384;
/// The fewest, however few descriptors there are.
const MIN_CONNECTIONS: u64 = 16;
/// The descriptors that clients never take: for the database, files, mails, traces and the log.
const RESERVED_DESCRIPTORS: u64 = 256;
/// The limit that is asked for where the hard limit is none.
const ASKED_DESCRIPTORS: u64 = 65_536;

/// Raises the soft limit of open files to the hard one.
pub(crate) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    let wanted = before.maximum.unwrap_or(ASKED_DESCRIPTORS);
    if before.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: before.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = before.current, "limit of open files not raised");
    }
}

/// Returns the most client connections that may be open at once under the limit of this process.
pub(crate) fn max_connections() -> usize {
    connections_within(getrlimit(Resource::Nofile).current)
}

/// Returns half of what is not reserved: each request to a model may need a connection to its upstream as well.
fn connections_within(limit: Option<u64>) -> usize {
    let half = limit.map_or(MAX_CONNECTIONS, |limit| {
        limit.saturating_sub(RESERVED_DESCRIPTORS) / 2
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
