//! Lifetimes of sessions.

/// The end of a session that is not used, in seconds, unless configured otherwise.
pub const DEFAULT_IDLE_SECONDS: i64 = 3_600;
/// The end of every session, in seconds, unless configured otherwise.
pub const DEFAULT_ABSOLUTE_SECONDS: i64 = 12 * 3_600;

/// Lifetimes of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetimes {
    /// Seconds without a request after which a session ends.
    pub idle_seconds: i64,
    /// Seconds after its beginning at which a session ends, however much it is used.
    pub absolute_seconds: i64,
}

impl Default for SessionLifetimes {
    fn default() -> Self {
        Self {
            idle_seconds: DEFAULT_IDLE_SECONDS,
            absolute_seconds: DEFAULT_ABSOLUTE_SECONDS,
        }
    }
}
