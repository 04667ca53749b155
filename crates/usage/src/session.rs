//! The session of this process among the nodes that share its database.

use std::sync::Arc;
use std::time::Duration;

/// A session: one life of a process, by the database's clock.
pub trait NodeSession: Send + Sync {
    /// Returns the number of the session. A session that comes back after its end has another one, which is higher.
    fn epoch(&self) -> i64;

    /// True once other nodes may take the session for over; nothing may be admitted then that a limit concerns.
    fn is_over(&self) -> bool;
}

/// The session of a node that shares its database with others, and what becomes of sessions that are over.
#[derive(Clone)]
pub struct LedgerNode {
    /// The session.
    pub session: Arc<dyn NodeSession>,
    /// The time after the end of a session from which on its requests are lost: longer than a request lasts.
    pub lost_after: Duration,
    /// True to keep what a lost session has reserved until its month ends; else it is released with the last row.
    pub keeps_lost: bool,
}
