//! Checks that callers grant no permission that they lack themselves.

use base::ids::{Id, ProjectId};
use base::permission::PermissionList;
use base::{Error, PermissionSet, Result};
use serde_json::{Value as Json, json};

use crate::operation::{Write, missing};
use crate::role_scope::RoleScope;

/// Returns the part of a role event's payload that names the scope of the role.
pub(super) fn scope_details<S: RoleScope>(cx: &Write, scope: &S) -> Json {
    let id = scope
        .project_id()
        .map_or(cx.organization().as_str(), Id::as_str);
    json!({"resource_type": S::RESOURCE_TYPE, "resource_id": id})
}

/// Refuses to let the caller grant permissions that the caller lacks, be it by a role, a membership, an invitation or a
/// key.
///
/// # Errors
/// 403 naming the first permission that the caller lacks in the organization or in the project.
pub(crate) async fn may_grant(
    cx: &mut Write,
    project: Option<&ProjectId>,
    permissions: PermissionSet,
) -> Result<()> {
    let own = cx.permissions(project).await?;
    match permissions.without(own).iter().next() {
        Some(lacked) => Err(missing(lacked)),
        None => Ok(()),
    }
}

/// Refuses permissions that a role in this scope cannot have, and added permissions that the caller lacks.
pub(super) async fn check_permissions<S: RoleScope>(
    cx: &mut Write,
    scope: &S,
    permissions: &PermissionList,
    before: &PermissionList,
) -> Result<()> {
    let is_project = scope.project_id().is_some();
    let set = if is_project {
        PermissionList::set_in_project
    } else {
        PermissionList::set
    };
    let (permissions, before) = (set(permissions), set(before));
    let misplaced = permissions
        .iter()
        .find(|one| is_project && !one.is_for_projects());
    if let Some(permission) = misplaced {
        let message = format!(
            "'{}' means nothing in a project: only a role of the organization can hold it.",
            permission.as_str()
        );
        return Err(Error::invalid("permissions", message));
    }
    may_grant(cx, scope.project_id(), permissions.without(before)).await
}
