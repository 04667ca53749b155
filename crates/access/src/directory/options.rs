//! Options of a directory.

use std::time::Duration;

use base::Clock;
use cluster::NodeSession;

use super::DEFAULT_MAX_AGE;

/// Options of a directory.
pub struct DirectoryOptions {
    /// The age up to which the snapshot is trusted while the database is unavailable; `None` for any age.
    pub max_age: Option<Duration>,
    /// The session of this process.
    pub session: NodeSession,
    /// True if a change is to be in the snapshots of all nodes before it is answered.
    pub settles_everywhere: bool,
}

impl Default for DirectoryOptions {
    fn default() -> Self {
        Self {
            max_age: Some(DEFAULT_MAX_AGE),
            session: NodeSession::local(Clock::system()),
            settles_everywhere: false,
        }
    }
}
