//! `/organization/projects`: projects and their resources.

pub mod api_keys;
mod configured;
pub mod groups;
pub mod hosted_tool_permissions;
pub mod limits_now;
pub mod model_permissions;
mod project;
pub mod rate_limits;
mod residency;
pub mod service_accounts;
pub mod service_tier_settings;
pub mod users;

pub use configured::ConfiguredProject;
pub use project::{ActiveProject, Project};
pub use residency::Residency;

use crate::operation::Operation;

/// Returns the operations of projects and of all that belongs to a project.
pub(crate) fn operations() -> Vec<Operation> {
    [
        project::operations(),
        users::operations(),
        groups::operations(),
        service_accounts::operations(),
        api_keys::operations(),
        rate_limits::operations(),
        limits_now::operations(),
        model_permissions::operations(),
        hosted_tool_permissions::operations(),
        service_tier_settings::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
