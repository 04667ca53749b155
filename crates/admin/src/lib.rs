//! The Administration API: the operations of all resources.

pub mod admin_api_keys;
pub mod api_keys;
pub mod audit_logs;
pub mod bodies;
pub mod certificates;
mod column;
pub mod credentials;
pub mod data_retention;
pub mod groups;
pub mod invites;
pub mod keys;
pub mod list;
mod literal;
pub mod lockout;
pub mod mail;
pub mod me;
pub mod operation;
pub mod organization;
pub mod projects;
pub mod rate_limit_usage;
mod role_scope;
pub mod roles;
pub mod search;
mod services;
mod session_lifetimes;
pub mod sessions;
mod setting;
pub mod sign_ins;
pub mod spend;
pub mod spend_alerts;
pub mod spend_limit;
mod stored_data;
pub mod usage;
pub mod users;

pub use services::Services;

use operation::Operation;

/// Returns all operations.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        me::operations(),
        me::api_keys::operations(),
        me::sessions::operations(),
        admin_api_keys::operations(),
        api_keys::operations(),
        users::operations(),
        users::groups::operations(),
        users::projects::operations(),
        users::sessions::operations(),
        invites::operations(),
        invites::link::operations(),
        groups::operations(),
        groups::users::operations(),
        audit_logs::operations(),
        certificates::operations(),
        data_retention::operations(),
        spend_alerts::operations(),
        spend_limit::operations(),
        projects::operations(),
        roles::operations(),
        roles::holders::operations(),
        roles::assignments::operations(),
        usage::operations(),
        usage::events::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
