//! What a request holds of its limits.

use std::sync::Arc;

use access::Project;

use super::shard::Taken;
use super::{Amounts, Limiter};

/// What was taken for a request. Dropped, it is given back: nothing was forwarded. What is neither settled nor given
/// back counts until its window ends.
#[must_use]
pub(crate) struct Held {
    limiter: Arc<Limiter>,
    project: Arc<Project>,
    /// `None` once that is done.
    taken: Option<Taken>,
}

impl Held {
    pub(super) fn new(limiter: Arc<Limiter>, project: Arc<Project>, taken: Taken) -> Self {
        Self {
            limiter,
            project,
            taken: Some(taken),
        }
    }

    /// Makes of it what was consumed, as far as that is known.
    pub(crate) fn settle(self, consumed: &Amounts) {
        let now = self.limiter.watch.milliseconds();
        self.settle_at(now, consumed);
    }

    pub(super) fn settle_at(mut self, now: u64, consumed: &Amounts) {
        self.end(now, consumed);
    }

    /// Lets all of it count: what was consumed will never be known.
    pub(crate) fn leave(mut self) {
        self.taken = None;
    }

    fn end(&mut self, now: u64, consumed: &Amounts) {
        if let Some(taken) = self.taken.take() {
            let mut shard = self.limiter.shard(&self.project.id);
            shard.settle(now, &self.project.id, &taken, consumed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Where it was taken, whenever that was.
        self.end(0, &Amounts::nothing());
    }
}
