//! The Administration API, called as its users call it.

mod admin_api_keys;
mod api_keys;
mod audit_logs;
mod bad_input;
mod certificates;
mod compile_fail;
mod data_retention;
mod events;
mod every_operation;
mod groups;
mod hosted_tool_permissions;
mod invites;
mod kept;
mod model_permissions;
mod project_groups;
mod project_users;
mod projects;
mod rate_limits;
mod registry;
mod reports;
mod roles;
mod service_accounts;
mod spend_alerts;
mod spend_limit;
mod usage;
mod users;
