//! Principals of roles: users and groups.

use base::ids::{GroupId, Id, RoleId, UserId};
use base::permission::{OrganizationRole, PredefinedRole};
use base::{Error, Result, UnixTime};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Row, sql};

use super::Role;
use crate::literal::literals;
use crate::lockout::{administrable_until, keep_administrable, refuse_last_owner};
use crate::operation::{ProjectRef, ResourcePath, Scope, ScopedId, Write};
use crate::role_scope::RoleScope;
use crate::{args, tenant_sql};

/// A user or group, and the scope of its roles.
pub struct ScopedPrincipal<S, P> {
    pub(super) scope: S,
    pub(super) principal: P,
}

impl<S: RoleScope, P: RolePrincipal> Scope for ScopedPrincipal<S, P> {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let ScopedId(scope, id) = ScopedId::<S, P::Id>::resolve(path).await?;
        let find = sql!(P::FIND, path.organization(), &id);
        let principal = path.find(&id, find, P::read).await?;
        Ok(Self { scope, principal })
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        self.scope.project()
    }
}

/// A user or a group, to which roles are assigned.
pub trait RolePrincipal: Sized + Send + Sync + 'static {
    /// Type of the id.
    type Id: Id;
    /// Response to an assignment.
    type Assignment: Serialize + JsonSchema + Send + 'static;
    /// Name in tables and in `assignment_sources`.
    const TYPE: &'static str;
    /// `object` in the response to an unassignment.
    const UNASSIGNED: &'static str;
    /// SQL that selects the principal with the id `$2`.
    const FIND: &'static str;

    /// Reads a row.
    ///
    /// # Errors
    /// A column is missing, or of an unexpected type.
    fn read(row: &Row<'_>) -> store::Result<Self>;

    /// Returns the id.
    fn id(&self) -> &Self::Id;

    /// Returns the response to an assignment.
    fn assigned(self, role: Role) -> Self::Assignment;

    /// Assigns a role that the principal does not have directly.
    fn give<S: RoleScope>(
        &mut self,
        cx: &mut Write,
        scope: &S,
        role: &RoleId,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes a role that the principal has directly.
    fn take<S: RoleScope>(
        &self,
        cx: &mut Write,
        scope: &S,
        role: &RoleId,
    ) -> impl Future<Output = Result<()>> + Send;
}

literals! {
    AssignedUserObject = "organization.user";
    UserRoleObject = "user.role";
    AssignedGroupObject = "group";
    GroupRoleObject = "group.role";
}

/// A user in the response to an assignment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AssignedUser {
    object: AssignedUserObject,
    id: UserId,
    name: String,
    email: String,
    role: String,
    added_at: UnixTime,
}

/// The assignment of a role to a user.
#[derive(Serialize, JsonSchema)]
pub struct UserRoleAssignment {
    object: UserRoleObject,
    user: AssignedUser,
    role: Role,
}

impl RolePrincipal for AssignedUser {
    type Id = UserId;
    type Assignment = UserRoleAssignment;
    const TYPE: &'static str = "user";
    const UNASSIGNED: &'static str = "user.role.deleted";
    const FIND: &'static str =
        "SELECT id, name, email, role, added_at FROM users WHERE organization_id = $1 AND id = $2";

    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: AssignedUserObject,
            id: row.id("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            role: row.get("role")?,
            added_at: row.time("added_at")?,
        })
    }

    fn id(&self) -> &UserId {
        &self.id
    }

    fn assigned(self, role: Role) -> UserRoleAssignment {
        UserRoleAssignment {
            object: UserRoleObject,
            user: self,
            role,
        }
    }

    /// Replaces the role of the membership if `role` is predefined, else adds an assignment.
    async fn give<S: RoleScope>(&mut self, cx: &mut Write, scope: &S, role: &RoleId) -> Result<()> {
        match PredefinedRole::parse(role.as_str()) {
            Some(PredefinedRole::Organization(role)) => {
                set_role(cx, &self.id, role).await?;
                role.as_str().clone_into(&mut self.role);
                Ok(())
            }
            Some(PredefinedRole::Project(role)) => {
                let join = tenant_sql!(
                    cx,
                    "INSERT INTO project_users (organization_id, project_id, user_id, role, added_at) \
                     VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (organization_id, project_id, user_id) DO UPDATE SET role = excluded.role",
                    args![scope.project_key(), &self.id, role.as_str(), cx.now()],
                );
                cx.execute(join).await?;
                Ok(())
            }
            None => assign(cx, self, scope, role).await,
        }
    }

    /// Removes the assignment of a custom role. Without its predefined role, a membership of a project ends; in the
    /// organization, the role becomes `reader`.
    async fn take<S: RoleScope>(&self, cx: &mut Write, scope: &S, role: &RoleId) -> Result<()> {
        match PredefinedRole::parse(role.as_str()) {
            Some(PredefinedRole::Organization(OrganizationRole::Owner)) => {
                set_role(cx, &self.id, OrganizationRole::Reader).await
            }
            Some(PredefinedRole::Organization(OrganizationRole::Reader)) => {
                let message = "Everybody in the organization is at least a reader. Delete the user to take that away.";
                Err(Error::refused("least_role", message))
            }
            Some(PredefinedRole::Project(_)) => {
                let leave = tenant_sql!(
                    "DELETE FROM project_users WHERE organization_id = $1 AND project_id = $2 AND user_id = $3"
                );
                let leave = cx.sql(leave, args![scope.project_key(), &self.id]);
                cx.execute(leave).await?;
                Ok(())
            }
            None => unassign(cx, self, scope, role).await,
        }
    }
}

/// Sets the user's role in the organization.
///
/// # Errors
/// 400 if the organization would be left without an owner, or without an owner's admin key of sufficient lifetime.
pub(crate) async fn set_role(cx: &mut Write, user: &UserId, role: OrganizationRole) -> Result<()> {
    if role != OrganizationRole::Owner {
        refuse_last_owner(cx, user, "demoted").await?;
    }
    let before = administrable_until(cx).await?;
    let update = tenant_sql!("UPDATE users SET role = $3 WHERE organization_id = $1 AND id = $2");
    let update = cx.sql(update, args![user, role.as_str()]);
    cx.execute(update).await?;
    keep_administrable(cx, before).await
}

/// A group in the response to an assignment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AssignedGroup {
    object: AssignedGroupObject,
    id: GroupId,
    name: String,
    created_at: UnixTime,
    scim_managed: bool,
}

/// The assignment of a role to a group.
#[derive(Serialize, JsonSchema)]
pub struct GroupRoleAssignment {
    object: GroupRoleObject,
    group: AssignedGroup,
    role: Role,
}

impl RolePrincipal for AssignedGroup {
    type Id = GroupId;
    type Assignment = GroupRoleAssignment;
    const TYPE: &'static str = "group";
    const UNASSIGNED: &'static str = "group.role.deleted";
    const FIND: &'static str = "SELECT id, name, created_at FROM groups \
                                WHERE organization_id = $1 AND id = $2";

    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: AssignedGroupObject,
            id: row.id("id")?,
            name: row.get("name")?,
            created_at: row.time("created_at")?,
            scim_managed: false,
        })
    }

    fn id(&self) -> &GroupId {
        &self.id
    }

    fn assigned(self, role: Role) -> GroupRoleAssignment {
        GroupRoleAssignment {
            object: GroupRoleObject,
            group: self,
            role,
        }
    }

    async fn give<S: RoleScope>(&mut self, cx: &mut Write, scope: &S, role: &RoleId) -> Result<()> {
        assign(cx, self, scope, role).await
    }

    /// Removes the assignment. A group that is in a project with this role is removed from the project.
    async fn take<S: RoleScope>(&self, cx: &mut Write, scope: &S, role: &RoleId) -> Result<()> {
        let leave = tenant_sql!(
            cx,
            "DELETE FROM project_groups WHERE organization_id = $1 AND project_id = $2 AND group_id = $3 AND role_id = $4",
            args![scope.project_key(), &self.id, role],
        );
        cx.execute(leave).await?;
        unassign(cx, self, scope, role).await
    }
}

async fn assign<S: RoleScope, P: RolePrincipal>(
    cx: &mut Write,
    principal: &P,
    scope: &S,
    role: &RoleId,
) -> Result<()> {
    let caller = cx.permit().user()?.clone();
    let insert = tenant_sql!(
        cx,
        "INSERT INTO role_assignments (organization_id, project_id, principal_type, principal_id, role_id, \
             created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            scope.project_key(),
            P::TYPE,
            principal.id(),
            role,
            cx.now(),
            &caller
        ],
    );
    cx.execute(insert).await?;
    Ok(())
}

async fn unassign<S: RoleScope, P: RolePrincipal>(
    cx: &mut Write,
    principal: &P,
    scope: &S,
    role: &RoleId,
) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM role_assignments WHERE organization_id = $1 AND project_id = $2 AND principal_type = $3 \
         AND principal_id = $4 AND role_id = $5",
        args![scope.project_key(), P::TYPE, principal.id(), role],
    );
    cx.execute(delete).await?;
    Ok(())
}
