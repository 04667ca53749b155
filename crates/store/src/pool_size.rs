//! Size of the connection pool to PostgreSQL.

/// Default number of a process's connections to PostgreSQL: two for the ledger's writer, two for the writer of bodies, one
/// for the session and notifications of the node, and the others for requests.
pub const DEFAULT_CONNECTIONS: usize = 12;
/// Smallest number of a process's connections to PostgreSQL.
pub const MIN_CONNECTIONS: usize = 7;
