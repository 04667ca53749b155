//! Where roles are defined and assigned, and what a caller may give there.

use base::ids::{Id, OrganizationId, ProjectId, RoleId};
use base::permission::{PermissionList, PredefinedRole};
use base::{Error, PermissionSet, Result};
use serde_json::{Value as Json, json};

use crate::operation::{Organization, Scope, Write, missing};
use crate::projects::ActiveProject;

/// Where roles are defined and assigned: the organization, or one of its projects.
pub trait Realm: Scope {
    /// What the contract calls roles of this kind.
    const RESOURCE_TYPE: &'static str;

    /// The project, if it is one.
    fn project_id(&self) -> Option<&ProjectId> {
        self.project().map(|project| &project.id)
    }

    /// What the tables have for it as `project_id`.
    fn key(&self) -> &str {
        self.project_id().map_or("", Id::as_str)
    }

    /// Returns the id that tables and answers have for the role that a client names so here.
    fn role_id(&self, organization: &OrganizationId, named: &RoleId) -> RoleId {
        let predefined = PredefinedRole::named(named.as_str(), organization, self.project_id());
        predefined.map_or_else(|| named.clone(), |role| role.id(organization))
    }
}

impl Realm for Organization {
    const RESOURCE_TYPE: &'static str = "api.organization";
}

impl Realm for ActiveProject {
    const RESOURCE_TYPE: &'static str = "api.project";
}

/// What an event about roles says of where they are.
pub(super) fn resource<R: Realm>(cx: &Write, realm: &R) -> Json {
    let id = realm
        .project_id()
        .map_or(cx.organization().as_str(), Id::as_str);
    json!({"resource_type": R::RESOURCE_TYPE, "resource_id": id})
}

/// Refuses to let the caller give what they do not have: by a role, a membership, an invitation or a key.
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

/// Refuses what a role of a project cannot hold, and what is new in the role but not the caller's.
pub(super) async fn check_permissions<R: Realm>(
    cx: &mut Write,
    realm: &R,
    permissions: &PermissionList,
    before: &PermissionList,
) -> Result<()> {
    let (permissions, before) = (permissions.set(), before.set());
    let is_project = realm.project_id().is_some();
    let homeless = permissions
        .iter()
        .find(|one| is_project && !one.is_for_projects());
    if let Some(permission) = homeless {
        let message = format!(
            "'{}' means nothing in a project: only a role of the organization can hold it.",
            permission.as_str()
        );
        return Err(Error::invalid("permissions", message));
    }
    may_grant(cx, realm.project_id(), permissions.without(before)).await
}
