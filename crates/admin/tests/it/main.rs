//! The Administration API, called as its users call it.

mod admin_api_keys;
mod api_keys;
mod audit_logs;
mod bad_input;
mod compile_fail;
mod events;
mod every_operation;
mod groups;
mod invites;
mod project_groups;
mod project_users;
mod projects;
mod registry;
mod service_accounts;
mod usage;
mod users;
