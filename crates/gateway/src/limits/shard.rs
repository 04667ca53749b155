//! Some of the projects, and what each took of each model lately.

use std::sync::Arc;

use access::{LimitField, ModelLimits};
use base::ids::ProjectId;
use hashbrown::HashMap;

use super::Name;
use super::amounts::{Amounts, Wanted};
use super::counts::Counts;
use super::refusal::{Reached, Refusal};
use super::standing::{Standing, State};

/// In tests the lock is one of which every order of the threads is tried.
#[cfg(test)]
pub(super) use loom::sync::Mutex as Lock;
#[cfg(not(test))]
pub(super) use std::sync::Mutex as Lock;

/// Of how many models a project can be counted at once. Only where an upstream takes any name can there be so many.
pub(super) const MAX_MODELS: usize = 1024;
/// How many pairs of a project and a model there are at least before those that are idle are looked for.
const FEW: usize = 256;

type Models = HashMap<Arc<str>, Counts>;

#[derive(Clone, Default)]
pub(super) struct Shard {
    projects: HashMap<ProjectId, Models>,
    pairs: usize,
    /// With how many pairs the idle ones are dropped the next time.
    full: usize,
    /// The latest moment that was seen. A thread that read the clock before another one, but comes after it, is as late.
    now: u64,
}

/// What was taken, and when.
pub(super) struct Taken {
    pub(super) at: u64,
    pub(super) names: Vec<(Arc<str>, Amounts)>,
}

impl Shard {
    /// Takes what is wanted under all these names, or nothing; and how the limits stand then.
    pub(super) fn reserve(
        &mut self,
        now: u64,
        project: &ProjectId,
        names: &[Name<'_>],
        wanted: &Wanted,
    ) -> (Result<Taken, Refusal>, Standing) {
        let now = self.at(now);
        let Some(models) = self.models(now, project, names) else {
            return (Err(Refusal::TooManyModels), Standing::default());
        };
        let taken = take(models, now, names, wanted);
        let mut standing = standing(models, now, names);
        standing.retry = taken.as_ref().err().and_then(Refusal::retry);
        (taken, standing)
    }

    /// Makes of what was taken what was consumed.
    pub(super) fn settle(
        &mut self,
        now: u64,
        project: &ProjectId,
        taken: &Taken,
        consumed: &Amounts,
    ) {
        let now = self.at(now);
        for (model, amounts) in &taken.names {
            let name = Name {
                model,
                limits: ModelLimits::default(),
            };
            let models = self.models(now, project, std::slice::from_ref(&name));
            if let Some(counts) = models.and_then(|models| models.get_mut(model)) {
                counts.settle(taken.at, now, amounts, consumed);
            }
        }
    }

    /// How many pairs of a project and a model are counted.
    #[cfg(test)]
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    fn at(&mut self, now: u64) -> u64 {
        self.now = self.now.max(now);
        self.now
    }

    /// The project's models, with all these names among them. `None`: it would have too many.
    fn models(&mut self, now: u64, project: &ProjectId, names: &[Name<'_>]) -> Option<&mut Models> {
        let known = self.projects.get(project);
        let is_known =
            |name: &Name<'_>| known.is_some_and(|models| models.contains_key(name.model));
        if !names.iter().all(is_known) {
            self.add(now, project, names)?;
        }
        self.projects.get_mut(project)
    }

    #[cold]
    fn add(&mut self, now: u64, project: &ProjectId, names: &[Name<'_>]) -> Option<()> {
        if self.pairs >= self.full {
            self.drop_idle(now);
        }
        let models = self.projects.entry(project.clone()).or_default();
        let before = models.len();
        if before + names.len() > MAX_MODELS {
            models.retain(|_, counts| !counts.is_idle(now));
        }
        let fits = models.len() + names.len() <= MAX_MODELS;
        if fits {
            for name in names {
                if !models.contains_key(name.model) {
                    models.insert(name.model.into(), Counts::default());
                }
            }
        }
        self.pairs = self.pairs + models.len() - before;
        fits.then_some(())
    }

    /// Forgets where nothing counts any more.
    fn drop_idle(&mut self, now: u64) {
        self.projects.retain(|_, models| {
            models.retain(|_, counts| !counts.is_idle(now));
            !models.is_empty()
        });
        self.pairs = self.projects.values().map(HashMap::len).sum();
        self.full = (self.pairs * 2).max(FEW);
    }
}

/// Takes it under all names, if each lets it through.
fn take(
    models: &mut Models,
    now: u64,
    names: &[Name<'_>],
    wanted: &Wanted,
) -> Result<Taken, Refusal> {
    let mut all = Vec::with_capacity(names.len());
    let mut worst: Option<(&str, Reached)> = None;
    for name in names {
        let Some(counts) = models.get_mut(name.model) else {
            continue;
        };
        match counts.check(now, &name.limits, wanted) {
            Ok(amounts) => all.push(amounts),
            Err(reached) if worst.is_none_or(|(_, worst)| worst.is_before(&reached)) => {
                worst = Some((name.model, reached));
            }
            Err(_) => {}
        }
    }
    if let Some((model, reached)) = worst {
        let model = model.into();
        return Err(Refusal::Reached { model, reached });
    }
    let mut taken = Vec::with_capacity(names.len());
    for (name, amounts) in names.iter().zip(all) {
        if let Some((model, counts)) = models.get_key_value_mut(name.model) {
            taken.push((Arc::clone(model), amounts));
            counts.take(now, &amounts);
        }
    }
    Ok(Taken {
        at: now,
        names: taken,
    })
}

/// How the limits stand: of those of requests, and of tokens, the tightest.
fn standing(models: &mut Models, now: u64, names: &[Name<'_>]) -> Standing {
    let mut standing = Standing::default();
    for name in names {
        let Some(counts) = models.get_mut(name.model) else {
            continue;
        };
        let mut state = |field| counts.state(now, &name.limits, field);
        for field in [LimitField::RequestsPerMinute, LimitField::RequestsPerDay] {
            standing.requests = State::tighter(standing.requests, state(field));
        }
        standing.tokens = State::tighter(standing.tokens, state(LimitField::TokensPerMinute));
    }
    standing
}
