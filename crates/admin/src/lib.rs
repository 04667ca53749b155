//! The Administration API: every resource's operations.

pub mod admin_api_keys;
pub mod audit_logs;
pub mod bodies;
pub mod certificates;
mod column;
pub mod data_retention;
pub mod groups;
pub mod invites;
pub mod keys;
pub mod level;
pub mod list;
mod literal;
pub mod mail;
pub mod operation;
pub mod organization;
pub mod projects;
pub mod roles;
pub mod sign_ins;
pub mod spend;
pub mod spend_alerts;
pub mod spend_limit;
pub mod usage;
pub mod users;

use std::collections::BTreeSet;
use std::sync::Arc;

use ::usage::{Keep, LastUsed, ModelFacts, Recorder, Reports, Spend};
use access::Directory;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Budget, Clock, Entropy};
use store::{Database, Store};

use operation::Operation;

/// What the whole program shares, as far as administration needs it.
pub struct Services {
    /// Where everything lasts.
    pub store: Store,
    /// The keys, and what they may do.
    pub directory: Arc<Directory>,
    /// The usage data through connections of their own: a transaction may wait for one and hold nobody up.
    pub usage: Database,
    /// The models that this deployment knows: those it has upstreams or prices for.
    pub models: BTreeSet<String>,
    /// The facts about models.
    pub facts: ModelFacts,
    /// The one writer of the ledger.
    pub recorder: Recorder,
    /// What was consumed, by its sums.
    pub reports: Reports,
    /// For how long that is kept.
    pub keep_usage: Keep,
    /// What has been spent, as the ledger says.
    pub spend: Spend,
    /// When keys and users were last active.
    pub last_used: LastUsed,
    /// What keys are hashed with.
    pub pepper: Pepper,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// New ids.
    pub ids: Arc<IdGenerator>,
    /// The address that others reach this server at, for links in mails.
    pub public_url: String,
    /// The bytes of request bodies under way, of all parts of the program.
    pub body_memory: Budget,
}

/// Every operation there is.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        admin_api_keys::operations(),
        users::operations(),
        invites::operations(),
        groups::operations(),
        groups::users::operations(),
        audit_logs::operations(),
        certificates::operations(),
        data_retention::operations(),
        spend_alerts::operations(),
        spend_limit::operations(),
        projects::operations(),
        projects::users::operations(),
        projects::groups::operations(),
        projects::service_accounts::operations(),
        projects::api_keys::operations(),
        projects::rate_limits::operations(),
        projects::model_permissions::operations(),
        projects::hosted_tool_permissions::operations(),
        roles::operations(),
        roles::assignments::operations(),
        usage::operations(),
        usage::events::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
