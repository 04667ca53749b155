//! The time that callers pass.

/// Bounds of the time of the clock that all nodes share, in milliseconds: `lo ≤ now ≤ hi`. Use is dated by `hi` and forgotten
/// by `lo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBounds {
    /// The earliest time that it may be.
    pub lo: u64,
    /// The latest time that it may be.
    pub hi: u64,
}

impl TimeBounds {
    /// Returns the bounds of a time that is known exactly.
    #[must_use]
    pub fn exact(now: u64) -> Self {
        Self { lo: now, hi: now }
    }

    /// Returns bounds that do not run backwards from `earlier`.
    pub(crate) fn after(self, earlier: Self) -> Self {
        Self {
            lo: self.lo.max(earlier.lo),
            hi: self.hi.max(earlier.hi),
        }
    }
}
