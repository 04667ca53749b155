//! Rate limits: what a project may take of a model within a minute, or a day.
//!
//! A request reserves what it may consume, in one step of all its windows, and is settled with what it did consume. A
//! shared store can stand behind the same calls: amounts and limits go in, a verdict with what is left comes out, and
//! what is held is named by project, models and moment, so that one script each reserves and settles, and windows end
//! by themselves.

mod amounts;
mod counts;
mod held;
#[cfg(test)]
mod orders;
mod refusal;
mod shard;
mod standing;

#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use access::{ModelLimits, Project};
use base::ids::Id;
use base::ids::ProjectId;
use base::time::Stopwatch;

pub(crate) use amounts::{Amounts, Wanted};
pub(crate) use held::Held;
pub(crate) use refusal::Refusal;
pub(crate) use standing::Standing;

use shard::{Lock, Shard};

/// Into how many parts the projects are divided: those of a part wait for each other.
const SHARDS: usize = 32;

/// A name that a request counts under, and the limits that hold for it.
pub(crate) struct Name<'a> {
    pub(crate) model: &'a str,
    pub(crate) limits: ModelLimits,
}

/// Counts what every project takes of every model. What it counts is in this process's memory: a restart begins anew.
pub(crate) struct Limiter {
    shards: Vec<Lock<Shard>>,
    watch: Stopwatch,
}

impl Limiter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Lock::new(Shard::default())).collect(),
            watch: Stopwatch::start(),
        })
    }

    /// Takes what is wanted under all these names, or nothing; and how the limits stand then.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        project: &Arc<Project>,
        names: &[Name<'_>],
        wanted: &Wanted,
    ) -> (Result<Held, Refusal>, Standing) {
        self.reserve_at(self.watch.milliseconds(), project, names, wanted)
    }

    fn reserve_at(
        self: &Arc<Self>,
        now: u64,
        project: &Arc<Project>,
        names: &[Name<'_>],
        wanted: &Wanted,
    ) -> (Result<Held, Refusal>, Standing) {
        let (taken, standing) = {
            let mut shard = self.shard(&project.id);
            shard.reserve(now, &project.id, names, wanted)
        };
        let held = taken.map(|taken| Held::new(Arc::clone(self), Arc::clone(project), taken));
        (held, standing)
    }

    fn shard(&self, project: &ProjectId) -> impl std::ops::DerefMut<Target = Shard> {
        // The end of an id is random, so the sum of its bytes is as good as a hash.
        let place: usize = project.as_str().bytes().map(usize::from).sum();
        // What was counted is whole between any two statements.
        let lock = self.shards[place % SHARDS].lock();
        lock.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
