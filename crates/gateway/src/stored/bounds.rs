//! Bounds of what a project may ask of the upstream that keeps files, batches and vector stores: all projects share the
//! limits that its account has there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::stored::Kind;
use access::{LimitField, ModelLimits, Project};
use base::ids::{Id, ProjectId};
use base::{Budget, BudgetLimits, BudgetPermit, Error, Result};
use tokio::sync::OwnedMutexGuard;

use super::cache::ObjectCache;
use super::owner;
use crate::Shared;
use crate::flow::{ObjectLimits, take};
use crate::identify::Caller;
use crate::limits::{Amounts, RateLimiter, RequestedAmounts, limited_model};

/// The name that requests to the upstream count under, beside those of models.
const COUNTED_AS: &str = "files, batches and vector stores";

/// The bounds, and what is used of them.
pub(crate) struct ObjectBounds {
    limits: ObjectLimits,
    concurrent: Budget,
    /// The objects that are being made, and not in the table yet.
    making: [Budget; 2],
    pub(super) cache: ObjectCache,
    listing: Arc<Listing>,
}

/// The share that a request has of the bounds, given back when it has ended at its upstream.
#[derive(Default)]
pub(crate) struct ObjectShare {
    _concurrent: Option<BudgetPermit>,
    _making: Option<BudgetPermit>,
}

/// The projects whose lists are asked for, one after the other in each project, so that the second finds what the first has
/// asked for.
#[derive(Default)]
struct Listing(Mutex<HashMap<ProjectId, Arc<tokio::sync::Mutex<()>>>>);

/// The turn of a project's list.
pub(super) struct Turn {
    listing: Arc<Listing>,
    project: ProjectId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl ObjectBounds {
    pub(crate) fn new(limits: ObjectLimits) -> Self {
        let per_project = |bound: u64| {
            Budget::new(BudgetLimits {
                total: u64::MAX,
                per_key: u64::MAX,
                per_project: bound,
            })
        };
        let concurrent = match limits.max_concurrent_requests {
            0 => u64::MAX,
            bound => u64::from(bound),
        };
        Self {
            limits,
            concurrent: per_project(concurrent),
            making: [u64::MAX; 2].map(per_project),
            cache: ObjectCache::default(),
            listing: Arc::default(),
        }
    }

    /// Counts requests to the upstream.
    ///
    /// # Errors
    /// 429: the project has asked for too much within a minute.
    pub(super) fn count(
        &self,
        limiter: &RateLimiter,
        project: &Arc<Project>,
        requests: usize,
    ) -> Result<()> {
        let limit = i64::from(self.limits.requests_per_minute);
        if limit == 0 || requests == 0 {
            return Ok(());
        }
        let mut limits = ModelLimits::default();
        limits.set(LimitField::RequestsPerMinute, limit);
        let name = limited_model(COUNTED_AS, &limits);
        // More than there can be in a minute passes when there was nothing else.
        let requests = i64::try_from(requests).unwrap_or(limit).min(limit);
        let amounts = Amounts::default().with(LimitField::RequestsPerMinute, requests);
        let requested = RequestedAmounts::from(amounts);
        let (held, _) = limiter.reserve(project, std::slice::from_ref(&name), &requested);
        held.map_err(|refusal| refusal.error(project))?.forfeit();
        Ok(())
    }

    /// Waits until no other list of the project is asked for.
    pub(super) async fn turn(&self, project: &ProjectId) -> Turn {
        let lock = Arc::clone(self.listing.lock().entry(project.clone()).or_default());
        let mut turn = Turn {
            listing: Arc::clone(&self.listing),
            project: project.clone(),
            guard: None,
        };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    /// The bound of how many of a kind a project may have, if there is one, and what is being made of it.
    fn quota(&self, kind: Kind) -> Option<(u32, &Budget)> {
        let [files, stores] = &self.making;
        let (bound, making) = match kind {
            Kind::File => (self.limits.max_files, files),
            Kind::VectorStore => (self.limits.max_vector_stores, stores),
            Kind::Batch => return None,
        };
        (bound > 0).then_some((bound, making))
    }
}

impl Shared {
    /// Takes the caller's share of the upstream for one request; `makes` says what the request makes.
    ///
    /// # Errors
    /// 429: too much is under way, was asked for within a minute, or is kept already.
    pub(super) async fn object_share(
        &self,
        caller: &Caller,
        makes: Option<Kind>,
    ) -> Result<ObjectShare> {
        let objects = &self.objects;
        let concurrent = take(&objects.concurrent, caller, 1);
        let what = "The requests under way for files, batches and vector stores";
        let concurrent = concurrent.map_err(|bound| bound.refusal(what))?;
        objects.count(&self.limiter, &caller.project, 1)?;
        let making = match makes {
            None => None,
            Some(kind) => self.within_quota(caller, kind).await?,
        };
        Ok(ObjectShare {
            _concurrent: Some(concurrent),
            _making: making,
        })
    }

    async fn within_quota(&self, caller: &Caller, kind: Kind) -> Result<Option<BudgetPermit>> {
        let Some((bound, making)) = self.objects.quota(kind) else {
            return Ok(None);
        };
        let noun = kind.noun();
        let what = format!("The {noun}s that are being made");
        let permit = take(making, caller, 1).map_err(|bound| bound.refusal(&what))?;
        // In this order: what is made meanwhile counts as the one, or as the other, or twice.
        let being_made = permit.used_by_project();
        let kept = self.stored.count(&owner(caller), kind).await?;
        if kept.saturating_add(being_made) <= u64::from(bound) {
            return Ok(Some(permit));
        }
        Err(Error::insufficient_quota(format!(
            "The project '{}' may keep {bound} {noun}s, and has {kept}. Delete some, or ask the operator of this gateway to \
             raise [objects] max_{}s.",
            caller.project.id.as_str(),
            kind.as_str(),
        )))
    }
}

impl Listing {
    fn lock(&self) -> MutexGuard<'_, HashMap<ProjectId, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut projects = self.listing.lock();
        let is_idle = projects
            .get(&self.project)
            .is_some_and(|lock| Arc::strong_count(lock) == 1);
        if is_idle {
            projects.remove(&self.project);
        }
    }
}
