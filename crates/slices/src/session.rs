//! The session of this node among the nodes that share limits.

use std::sync::Arc;

/// The session of a node and the generation of the store, as far as the node knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The number of this life of the node, never 0 and never that of another one. Later ones are greater.
    pub epoch: u64,
    /// The generation of the store: another one if the store may have lost something, or its clock was set.
    pub generation: u64,
    /// True if the generation is open: all nodes have put into it what they used lately.
    pub is_open: bool,
    /// True until the session has ended. After that nothing is asked for.
    pub is_live: bool,
    /// The epochs of all sessions that are not over, in order, as of some time ago.
    pub living: Arc<[u64]>,
    /// The epochs of earlier sessions of the same process, whose use its counters still have.
    pub former: Arc<[u64]>,
    /// True if no other node had a session when the store last answered. Such a node goes on by its own counters while the
    /// store does not answer.
    pub is_alone: bool,
    /// The milliseconds that the clock was set forward by, in sum, since the node started; negative if it was set back.
    pub clock_shift: i64,
}

impl Session {
    /// True if the part with this epoch is of this process.
    pub(crate) fn is_own(&self, epoch: u64) -> bool {
        epoch == self.epoch || self.former.contains(&epoch)
    }

    /// True if the session with this epoch is known to be over.
    pub(crate) fn is_over(&self, epoch: u64) -> bool {
        // An epoch beyond those that are known may be younger than what is known.
        let is_known = self.living.last().is_some_and(|newest| epoch < *newest);
        is_known && epoch != self.epoch && self.living.binary_search(&epoch).is_err()
    }
}
