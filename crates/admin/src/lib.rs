//! The Administration API: the operations of all resources.

pub mod admin_api_keys;
pub mod audit_logs;
pub mod bodies;
pub mod certificates;
mod column;
pub mod data_retention;
pub mod groups;
pub mod invites;
pub mod keys;
pub mod list;
mod literal;
pub mod lockout;
pub mod mail;
pub mod operation;
pub mod organization;
pub mod projects;
mod role_scope;
pub mod roles;
mod setting;
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

/// Shared services of the program, as far as the Administration API needs them.
pub struct Services {
    /// Administrative database.
    pub store: Store,
    /// Directory of keys and settings.
    pub directory: Arc<Directory>,
    /// Usage database, with a connection pool of its own, so that a transaction that waits for a connection blocks no other.
    pub usage: Database,
    /// Names of the models that have upstreams or prices.
    pub models: BTreeSet<String>,
    /// Facts about models.
    pub facts: ModelFacts,
    /// Recorder of the ledger.
    pub recorder: Recorder,
    /// Usage reports.
    pub reports: Reports,
    /// Retention of usage data.
    pub keep_usage: Keep,
    /// Spend by month, from the ledger.
    pub spend: Spend,
    /// Times of the last activity of keys and users.
    pub last_used: LastUsed,
    /// Pepper for hashing keys.
    pub pepper: Pepper,
    /// Wall clock.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
    /// Generator of ids.
    pub ids: Arc<IdGenerator>,
    /// Public base URL of the server, for links in emails.
    pub public_url: String,
    /// Memory budget for request bodies, of the whole program.
    pub body_memory: Budget,
}

/// Returns all operations.
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
