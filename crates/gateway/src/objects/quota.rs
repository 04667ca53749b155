//! Quota of a project at the upstream that keeps objects: all projects share the limits of its account there.

use std::sync::Arc;

use access::{LimitField, ModelLimits, Project};
use base::ids::Id;
use base::{Budget, BudgetLimits, BudgetPermit, Error, Result};
use http::Method;

use super::Objects;
use super::repository::ObjectOwner;
use super::request::ObjectRoute;
use crate::caller::Caller;
use crate::flow::ObjectLimits;
use crate::limits::{Amounts, RequestedAmounts, limited_model};
use crate::object_kind::ObjectKind;

/// The name under which requests to the upstream count in the limiter, beside the names of models.
const LIMITER_NAME: &str = "files, batches and vector stores";

/// The quota of each project, and its use.
pub(crate) struct Quota {
    limits: ObjectLimits,
    concurrent: Budget,
    /// Files and uploads, vector stores, and containers that are being created, and are not in the repository yet.
    creations: [Budget; 3],
}

/// RAII guard of a request's share of the quota. Drop releases the share.
#[derive(Default)]
pub(crate) struct QuotaShare {
    _concurrent: Option<BudgetPermit>,
    _creation: Option<BudgetPermit>,
}

impl Quota {
    /// Returns a quota with these limits for each project.
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
            creations: [u64::MAX; 3].map(per_project),
        }
    }
}

impl Objects {
    /// Charges one request to the caller's project.
    ///
    /// # Errors
    /// 429: too many requests in flight or within a minute, or too many objects.
    pub(crate) async fn charge(
        &self,
        caller: &Caller,
        route: &ObjectRoute,
        method: &Method,
    ) -> Result<QuotaShare> {
        let concurrent = caller.charge(&self.quota.concurrent, 1);
        let what = "The requests under way for files, batches, vector stores and containers";
        let concurrent = concurrent.map_err(|bound| bound.refusal(what))?;
        self.count_requests(&caller.project, 1).await?;
        let creation = if *method == Method::POST && route.id.is_none() {
            self.charge_creation(caller, route.kind).await?
        } else {
            None
        };
        Ok(QuotaShare {
            _concurrent: Some(concurrent),
            _creation: creation,
        })
    }

    /// Counts requests to the upstream.
    ///
    /// # Errors
    /// 429: too many requests of the project within a minute.
    pub(super) async fn count_requests(
        &self,
        project: &Arc<Project>,
        requests: usize,
    ) -> Result<()> {
        let limit = i64::from(self.quota.limits.requests_per_minute);
        if limit == 0 || requests == 0 {
            return Ok(());
        }
        let mut limits = ModelLimits::default();
        limits.set(LimitField::RequestsPerMinute, limit);
        let name = limited_model(LIMITER_NAME, &limits);
        // More than the limit of a minute passes if nothing else has been counted.
        let requests = i64::try_from(requests).unwrap_or(limit).min(limit);
        let amounts = Amounts::default().with(LimitField::RequestsPerMinute, requests);
        let requested = RequestedAmounts::from(amounts);
        let (reserved, _) = self.rate_limits.reserve(project, &[name], &requested).await;
        reserved?.forfeit();
        Ok(())
    }

    async fn charge_creation(
        &self,
        caller: &Caller,
        kind: ObjectKind,
    ) -> Result<Option<BudgetPermit>> {
        let limits = &self.quota.limits;
        let [files, vector_stores, containers] = &self.quota.creations;
        let (kind, bound, creations) = match kind {
            // An upload becomes a file.
            ObjectKind::File | ObjectKind::Upload => (ObjectKind::File, limits.max_files, files),
            kind @ ObjectKind::VectorStore => (kind, limits.max_vector_stores, vector_stores),
            kind @ ObjectKind::Container => (kind, limits.max_containers, containers),
            _ => return Ok(None),
        };
        if bound == 0 {
            return Ok(None);
        }
        let noun = kind.noun();
        let what = format!("The {noun}s that are being made");
        let permit = caller
            .charge(creations, 1)
            .map_err(|bound| bound.refusal(&what))?;
        // Read before the repository is counted: an object recorded in between counts twice rather than not at all.
        let being_created = permit.used_by_project();
        let owner = ObjectOwner::of(caller);
        // Uploads first: one that is completed in between counts twice.
        let uploads = match kind {
            ObjectKind::File => self.repository.count(&owner, ObjectKind::Upload).await?,
            _ => 0,
        };
        let kept = uploads.saturating_add(self.repository.count(&owner, kind).await?);
        if kept.saturating_add(being_created) <= u64::from(bound) {
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
