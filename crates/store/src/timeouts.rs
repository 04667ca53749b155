//! Timeouts of database operations, by the kind of work.

use std::time::Duration;

/// The longest waits for the database before an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// The time for acquiring a connection or the write lock, the first answer on it included.
    pub(crate) acquire: Duration,
    /// The time for each further statement on PostgreSQL; `None` for no limit.
    pub(crate) statement: Option<Duration>,
}

impl Timeouts {
    /// A request, whose client waits.
    pub(crate) const REQUEST: Self = Self {
        acquire: Duration::from_secs(5),
        statement: Some(Duration::from_secs(5)),
    };
    /// A report, which may read many rows while its client waits.
    pub(crate) const REPORT: Self = Self {
        acquire: Duration::from_secs(5),
        statement: Some(Duration::from_secs(60)),
    };
    /// A poll that is repeated several times a second.
    pub(crate) const POLL: Self = Self {
        acquire: Duration::from_secs(1),
        statement: Some(Duration::from_secs(1)),
    };
    /// Background work that is retried on failure: a hanging connection is given up.
    pub(crate) const BACKGROUND: Self = Self {
        acquire: Duration::from_secs(10),
        statement: Some(Duration::from_secs(30)),
    };
    /// A migration or a command.
    pub(crate) const JOB: Self = Self {
        acquire: Duration::from_secs(10),
        statement: None,
    };
}
