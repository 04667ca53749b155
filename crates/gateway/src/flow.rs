//! Bounds of the requests under way: how much of the gateway one key or project may use, and how long a client may take.

use std::time::Duration;

use access::{LimitField, ScopeSettings};
use base::ids::{Id, ProjectId};
use base::{Budget, BudgetLimits, BudgetPermit, Error, NanoDollars, Result};
use usage::Recorder;

use crate::Shared;
use crate::identify::Caller;

/// Bounds of the requests under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// The most requests of one key that are under way, or wait to be written to the ledger.
    pub max_requests_per_key: u64,
    /// The most requests of all keys of a project that are under way, or wait to be written to the ledger.
    pub max_requests_per_project: u64,
    /// The bytes of memory in which compressed answers are decoded at once.
    pub answer_memory_bytes: u64,
    /// The longest that a client may take no byte of an answer that is there for it.
    pub client_idle_timeout: Duration,
    /// The time for which an answer under way goes on after its key was revoked.
    pub revoked_stream_grace: Duration,
    /// Bounds of what is asked of the upstream that keeps files, batches and vector stores.
    pub objects: ObjectLimits,
}

/// Bounds of what a project may ask of the upstream that keeps files, batches and vector stores. 0 is no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLimits {
    /// The most requests to the upstream within a minute.
    pub requests_per_minute: u32,
    /// The most requests to the gateway that are under way at once.
    pub max_concurrent_requests: u32,
    /// The most files, those that batches have made included.
    pub max_files: u32,
    /// The most vector stores.
    pub max_vector_stores: u32,
}

impl Default for ObjectLimits {
    fn default() -> Self {
        Self {
            requests_per_minute: 3_000,
            max_concurrent_requests: 16,
            max_files: 10_000,
            max_vector_stores: 1_000,
        }
    }
}

/// The budget of request bodies where none is configured, in bytes.
pub const DEFAULT_BODY_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;

impl Default for FlowLimits {
    fn default() -> Self {
        let queue = Recorder::QUEUE_CAPACITY as u64;
        Self {
            max_requests_per_key: queue / 8,
            max_requests_per_project: queue / 4,
            answer_memory_bytes: 256 * 1024 * 1024,
            client_idle_timeout: Duration::from_secs(60),
            revoked_stream_grace: Duration::ZERO,
            objects: ObjectLimits::default(),
        }
    }
}

/// The budgets that requests under way share.
pub(crate) struct Flow {
    requests: Budget,
    bodies: Budget,
    answers: Budget,
}

impl Flow {
    /// Returns the budgets of these limits. `bodies`, that of the bytes of request bodies, is shared with the rest of the
    /// program.
    pub(crate) fn new(limits: &FlowLimits, bodies: Budget) -> Self {
        Self {
            requests: Budget::new(BudgetLimits {
                // The ledger's queue is the bound of all.
                total: u64::MAX,
                per_key: limits.max_requests_per_key,
                per_project: limits.max_requests_per_project,
            }),
            bodies,
            answers: Budget::new(BudgetLimits::shared(limits.answer_memory_bytes)),
        }
    }

    /// Takes a place among the requests under way of the caller's key and project.
    ///
    /// # Errors
    /// 429: the key, or the project, has as many under way as it may.
    pub(crate) fn request(&self, caller: &Caller) -> Result<BudgetPermit> {
        let permit = take(&self.requests, caller, 1);
        permit.map_err(|bound| bound.refusal("The requests under way"))
    }

    /// A permit for the bytes of the caller's request body, which holds none yet.
    pub(crate) fn body(&self, caller: &Caller) -> Result<BudgetPermit> {
        take(&self.bodies, caller, 0).map_err(crate::body::refusal)
    }

    /// A permit for the memory in which the answer to the caller is decoded, which holds none yet.
    pub(crate) fn answer(&self, caller: &Caller) -> Result<BudgetPermit> {
        let permit = take(&self.answers, caller, 0);
        permit.map_err(|bound| bound.refusal("The bytes of answers under way"))
    }

    /// Returns the number of bytes of memory in which compressed answers are decoded.
    pub(crate) fn answer_bytes(&self) -> u64 {
        self.answers.used()
    }
}

impl Shared {
    /// Refuses a request, before its body is read, if its project may take nothing of any model, or may spend nothing.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn may_send(&self, caller: &Caller) -> Result<()> {
        self.may_take(caller)?;
        self.may_spend(caller)
    }

    /// Refuses what uses an upstream if the project may take nothing of any model.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn may_take(&self, caller: &Caller) -> Result<()> {
        if self.is_closed(caller.level()) {
            let message = format!(
                "The rate limits of the project '{}' are 0 for every model. Nothing passes while they are.",
                caller.project.id.as_str()
            );
            return Err(Error::rate_limited("requests", message, None));
        }
        Ok(())
    }

    /// True if a limit of every model is 0.
    fn is_closed(&self, level: &ScopeSettings) -> bool {
        let is_closed = |model: &str| {
            let limits = level.limits(model, self.facts.kind_of(model));
            let fields = [
                LimitField::RequestsPerMinute,
                LimitField::RequestsPerDay,
                LimitField::TokensPerMinute,
            ];
            fields.iter().any(|field| limits.get(*field) == Some(0))
        };
        let mut models = self.upstreams.model_names().peekable();
        !self.upstreams.has_wildcard() && models.peek().is_some() && models.all(is_closed)
    }

    /// Refuses what costs money once a spend limit is reached.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn may_spend(&self, caller: &Caller) -> Result<()> {
        let organization = &caller.key.organization.id;
        let is_reached = |limit: Option<NanoDollars>, project: Option<&ProjectId>| {
            limit.is_some_and(|limit| self.spend.month_to_date(organization, project) >= limit)
        };
        let of_organization = caller.settings.organization.spend_limit;
        let of_project = caller.level().spend_limit;
        if is_reached(of_organization, None) || is_reached(of_project, Some(&caller.project.id)) {
            // It says which one.
            self.hold(caller, self.clock.now(), || Ok(NanoDollars::default()))?;
        }
        Ok(())
    }
}

/// Takes of a budget what is charged to the caller's key and project.
pub(crate) fn take(
    budget: &Budget,
    caller: &Caller,
    amount: u64,
) -> Result<BudgetPermit, base::Exhausted> {
    let project = caller.project.id.as_str();
    budget.take(caller.key.id.as_str(), Some(project), amount)
}
