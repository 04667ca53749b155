//! `database_connections`: size of the connection pool to PostgreSQL.

use anyhow::ensure;
use store::{DEFAULT_CONNECTIONS, MIN_CONNECTIONS};

/// Maximum accepted number of connections.
const MAX_CONNECTIONS: usize = 1_000;

/// Validates the number of connections.
pub(super) fn connections(configured: Option<usize>) -> anyhow::Result<usize> {
    let connections = configured.unwrap_or(DEFAULT_CONNECTIONS);
    ensure!(
        (MIN_CONNECTIONS..=MAX_CONNECTIONS).contains(&connections),
        "database_connections is {connections}; it must be from {MIN_CONNECTIONS} to {MAX_CONNECTIONS}"
    );
    Ok(connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b14_the_number_of_connections_has_bounds() {
        assert_eq!(connections(None).ok(), Some(12));
        for number in [7, 1_000] {
            assert_eq!(connections(Some(number)).ok(), Some(number));
        }
        for number in [0, 6, 1_001] {
            let error = connections(Some(number)).expect_err("out of bounds");
            assert!(error.to_string().contains("from 7 to 1000"), "{error}");
        }
    }
}
