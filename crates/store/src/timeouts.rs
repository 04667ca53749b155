//! The time that a database has for a piece of work.

use std::time::Duration;

/// The time that a database has before its caller is told that it does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// The time for a connection or the writer's turn, and the first answer on it.
    pub(crate) acquire: Duration,
    /// The time for each further statement on PostgreSQL; `None` for no bound.
    pub(crate) statement: Option<Duration>,
}

impl Timeouts {
    /// Somebody waits for the answer to a request.
    pub(crate) const REQUEST: Self = Self {
        acquire: Duration::from_secs(5),
        statement: Some(Duration::from_secs(5)),
    };
    /// Somebody waits for a report, which may read much.
    pub(crate) const REPORT: Self = Self {
        acquire: Duration::from_secs(5),
        statement: Some(Duration::from_secs(60)),
    };
    /// A look at the database that is repeated several times a second: if one fails, the next one tells.
    pub(crate) const POLL: Self = Self {
        acquire: Duration::from_secs(1),
        statement: Some(Duration::from_secs(1)),
    };
    /// Work beside the requests of a server, which is tried again when it fails: a connection that hangs is given up.
    pub(crate) const BACKGROUND: Self = Self {
        acquire: Duration::from_secs(10),
        statement: Some(Duration::from_secs(30)),
    };
    /// A migration, or a command.
    pub(crate) const JOB: Self = Self {
        acquire: Duration::from_secs(10),
        statement: None,
    };
}
