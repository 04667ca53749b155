//! Size of the connection pool to PostgreSQL.

/// Default size of a process's connection pool to PostgreSQL: two connections for the ledger's writer, two for the
/// writer of bodies, and the others for requests.
pub const DEFAULT_CONNECTIONS: usize = 12;
/// Smallest size of a process's connection pool to PostgreSQL.
pub const MIN_CONNECTIONS: usize = 6;
