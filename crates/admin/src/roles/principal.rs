//! Who can be given roles: users and groups, and what their memberships carry.

use base::ids::{GroupId, Id, OrganizationId, RoleId, UserId};
use base::permission::{OrganizationRole, PredefinedRole};
use base::{Error, Result, UnixTime};
use schemars::JsonSchema;
use serde::Serialize;
use store::{Connection, Row, sql};

use super::Role;
use super::realm::Realm;
use crate::keys::{administrable_until, keep_administrable};
use crate::literal::literals;
use crate::operation::{PathIds, Scope, Write, inside};
use crate::projects::Project;
use crate::users;
use crate::{args, tenant_sql};

/// Somebody in the organization, and where their roles are looked at.
pub struct Holder<R, P> {
    pub(super) realm: R,
    pub(super) principal: P,
}

impl<R: Realm, P: Principal> Scope for Holder<R, P> {
    async fn resolve(
        connection: &mut Connection,
        organization: &OrganizationId,
        ids: &mut PathIds<'_>,
    ) -> Result<Self> {
        let realm = R::resolve(connection, organization, ids).await;
        let realm = realm.map_err(|error| inside::<P::Id>(error, ids))?;
        let id: P::Id = ids.take()?;
        let find = sql!(P::FIND, organization, &id);
        let found = connection.fetch_optional(find, P::read).await?;
        let principal = found.ok_or_else(|| Error::not_found(P::Id::NOUN, id.as_str()))?;
        Ok(Self { realm, principal })
    }

    fn project(&self) -> Option<&Project> {
        self.realm.project()
    }
}

/// A kind of holder of roles.
pub trait Principal: Sized + Send + Sync + 'static {
    /// Its id.
    type Id: Id;
    /// The answer to an assignment.
    type Assignment: Serialize + JsonSchema + Send + 'static;
    /// What the tables and `assignment_sources` call it.
    const TYPE: &'static str;
    /// The `object` of the answer to an unassignment.
    const UNASSIGNED: &'static str;
    /// Selects the one with the id `$2`.
    const FIND: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// A column is not as expected.
    fn read(row: &Row<'_>) -> store::Result<Self>;

    /// Its id.
    fn id(&self) -> &Self::Id;

    /// The answer to an assignment.
    fn assigned(self, role: Role) -> Self::Assignment;

    /// Gives `role`, which it does not have of its own.
    fn give<R: Realm>(
        &mut self,
        cx: &mut Write,
        realm: &R,
        role: &RoleId,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Takes `role` away, which it has of its own.
    fn take<R: Realm>(
        &self,
        cx: &mut Write,
        realm: &R,
        role: &RoleId,
    ) -> impl Future<Output = Result<()>> + Send;
}

literals! {
    AssignedUserObject = "organization.user";
    UserRoleObject = "user.role";
    AssignedGroupObject = "group";
    GroupRoleObject = "group.role";
    RoleObject = "role";
    RoleDeleted = "role.deleted";
}

/// A user, as answers to assignments show them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AssignedUser {
    object: AssignedUserObject,
    id: UserId,
    name: String,
    email: String,
    role: String,
    added_at: UnixTime,
}

/// A role was given to a user.
#[derive(Serialize, JsonSchema)]
pub struct UserRoleAssignment {
    object: UserRoleObject,
    user: AssignedUser,
    role: Role,
}

impl Principal for AssignedUser {
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

    /// A predefined role is the one that the membership carries: it replaces the one before.
    async fn give<R: Realm>(&mut self, cx: &mut Write, realm: &R, role: &RoleId) -> Result<()> {
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
                    args![realm.key(), &self.id, role.as_str(), cx.now()],
                );
                cx.execute(join).await?;
                Ok(())
            }
            None => assign(cx, self, realm, role).await,
        }
    }

    /// Without its role, a membership of a project ends; in the organization, everybody is at least a reader.
    async fn take<R: Realm>(&self, cx: &mut Write, realm: &R, role: &RoleId) -> Result<()> {
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
                let leave = cx.sql(leave, args![realm.key(), &self.id]);
                cx.execute(leave).await?;
                Ok(())
            }
            None => unassign(cx, self, realm, role).await,
        }
    }
}

/// Makes `role` the user's role in the organization.
///
/// # Errors
/// 400: nobody would own the organization any more, or no owner would have an admin key for long.
pub(crate) async fn set_role(cx: &mut Write, user: &UserId, role: OrganizationRole) -> Result<()> {
    if role != OrganizationRole::Owner {
        users::refuse_last_owner(cx, user, "demoted").await?;
    }
    let before = administrable_until(cx).await?;
    let update = tenant_sql!("UPDATE users SET role = $3 WHERE organization_id = $1 AND id = $2");
    let update = cx.sql(update, args![user, role.as_str()]);
    cx.execute(update).await?;
    keep_administrable(cx, before).await
}

/// A group, as answers to assignments show it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AssignedGroup {
    object: AssignedGroupObject,
    id: GroupId,
    name: String,
    created_at: UnixTime,
    scim_managed: bool,
}

/// A role was given to a group.
#[derive(Serialize, JsonSchema)]
pub struct GroupRoleAssignment {
    object: GroupRoleObject,
    group: AssignedGroup,
    role: Role,
}

impl Principal for AssignedGroup {
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

    async fn give<R: Realm>(&mut self, cx: &mut Write, realm: &R, role: &RoleId) -> Result<()> {
        assign(cx, self, realm, role).await
    }

    /// A group that works in a project with this role leaves the project.
    async fn take<R: Realm>(&self, cx: &mut Write, realm: &R, role: &RoleId) -> Result<()> {
        let leave = tenant_sql!(
            cx,
            "DELETE FROM project_groups WHERE organization_id = $1 AND project_id = $2 AND group_id = $3 AND role_id = $4",
            args![realm.key(), &self.id, role],
        );
        cx.execute(leave).await?;
        unassign(cx, self, realm, role).await
    }
}

async fn assign<R: Realm, P: Principal>(
    cx: &mut Write,
    principal: &P,
    realm: &R,
    role: &RoleId,
) -> Result<()> {
    let caller = cx.permit().user()?.clone();
    let insert = tenant_sql!(
        cx,
        "INSERT INTO role_assignments (organization_id, project_id, principal_type, principal_id, role_id, \
             created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            realm.key(),
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

async fn unassign<R: Realm, P: Principal>(
    cx: &mut Write,
    principal: &P,
    realm: &R,
    role: &RoleId,
) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM role_assignments WHERE organization_id = $1 AND project_id = $2 AND principal_type = $3 \
         AND principal_id = $4 AND role_id = $5",
        args![realm.key(), P::TYPE, principal.id(), role],
    );
    cx.execute(delete).await?;
    Ok(())
}
