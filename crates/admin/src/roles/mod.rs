//! `/organization/roles`, `/projects/{project_id}/roles`: predefined and custom roles, of the organization and of projects.

#[macro_use]
mod page;

pub mod assignments;
pub(crate) mod grant;
pub(crate) mod holders;
pub(crate) mod principal;

use base::ids::{Id, RoleId, UserId};
use base::name::{Description, Name};
use base::permission::{PermissionList, PredefinedRole};
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::Row;

use crate::list::{Deleted, NextList, list_item};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, NoParameters, Operation, Organization, Patch, Read, ScopedId,
    TenantStatement, Write, operations,
};
use crate::projects::ActiveProject;
use crate::role_scope::RoleScope;
use crate::{args, tenant_sql};
use grant::{check_permissions, may_grant, scope_details};
use page::{ListRoles, by_place};

macro_rules! operations_in {
    ($scope:ty: $command:literal, $path:literal, $whose:literal) => {
        operations! {
            GET concat!($command, " list"), $path, Permission::RolesRead,
                concat!("Lists the roles that can be assigned in ", $whose, "."), list::<$scope>;
            POST concat!($command, " create"), $path, Permission::RolesWrite,
                concat!("Creates a custom role of ", $whose, "."), create::<$scope>;
            GET concat!($command, " retrieve"), concat!($path, "/{role_id}"), Permission::RolesRead,
                concat!("Retrieves a role of ", $whose, "."), retrieve::<$scope>;
            POST concat!($command, " update"), concat!($path, "/{role_id}"), Permission::RolesWrite,
                concat!("Modifies a custom role of ", $whose, "."), update::<$scope>;
            DELETE concat!($command, " delete"), concat!($path, "/{role_id}"), Permission::RolesWrite,
                concat!("Deletes a custom role of ", $whose, " and all its assignments."), delete::<$scope>;
        }
    };
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut all = operations_in!(Organization: "roles", "/organization/roles", "the organization");
    all.extend(operations_in!(
        ActiveProject: "projects:roles", "/projects/{project_id}/roles", "a project"
    ));
    all
}

literals! {
    RoleObject = "role";
    RoleDeleted = "role.deleted";
}

/// A named set of permissions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Role {
    object: RoleObject,
    /// Id.
    pub id: RoleId,
    /// Name.
    pub name: String,
    description: Option<String>,
    /// Permissions.
    pub permissions: PermissionList,
    resource_type: String,
    predefined_role: bool,
    #[serde(skip)]
    created_at: UnixTime,
    #[serde(skip)]
    updated_at: UnixTime,
    #[serde(skip)]
    created_by: Option<UserId>,
}

/// Roles that can be assigned in a scope. `$2` is their `resource_type`, `$3` the project, or empty.
const ROLES: &str = concat!(
    "SELECT r.id, r.name, r.description, r.permissions, r.resource_type, r.predefined, r.created_at, r.updated_at, \
         r.created_by, r.place \
     FROM ",
    roles_in_place!(),
    " WHERE r.organization_id = $1 AND r.resource_type = $2 AND r.project_id IN ('', $3)"
);

impl Role {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let id: RoleId = row.id("id")?;
        let custom: String = row.get("permissions")?;
        let predefined = PredefinedRole::parse(id.as_str());
        Ok(Self {
            object: RoleObject,
            name: row.get("name")?,
            description: match predefined {
                Some(role) => Some(role.describe().to_owned()),
                None => row.get("description")?,
            },
            permissions: match predefined {
                Some(role) => role.permissions().into(),
                None => PermissionList::from_json(&custom),
            },
            resource_type: row.get("resource_type")?,
            predefined_role: row.get("predefined")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            created_by: row.optional_id("created_by")?,
            id,
        })
    }

    /// Finds a role that can be assigned in the scope, and checks that the caller may grant it.
    ///
    /// # Errors
    /// 400 naming `param` if there is no such role; 403 if it has permissions that the caller lacks.
    pub(crate) async fn to_grant<S: RoleScope>(
        cx: &mut Write,
        scope: &S,
        param: &'static str,
        id: &RoleId,
    ) -> Result<Self> {
        let id = &scope.role_id(cx.organization(), id);
        let found = cx.fetch_optional(one(cx, scope, id), Self::read).await?;
        let role = found.ok_or_else(|| {
            let message = format!(
                "No role with id '{id}' can be assigned here: its type must be {}.",
                S::RESOURCE_TYPE
            );
            Error::invalid(param, message)
        })?;
        may_grant(cx, scope.project_id(), role.permissions.set()).await?;
        Ok(role)
    }

    fn refuse_predefined(&self, verb: &str) -> Result<()> {
        if self.predefined_role {
            let message = format!(
                "The role '{}' is predefined: it cannot be {verb}.",
                self.name
            );
            return Err(Error::refused("predefined_role", message));
        }
        Ok(())
    }
}

list_item!(Role, id);

fn one<S: RoleScope>(cx: &Write, scope: &S, id: &RoleId) -> TenantStatement {
    let mut statement = tenant_sql!(cx, ROLES, args![S::RESOURCE_TYPE, scope.project_key()]);
    statement.push(" AND r.id = ").bind(id);
    statement
}

async fn list<S: RoleScope>(mut cx: Read, scope: S, query: ListRoles) -> Result<NextList<Role>> {
    let whole = tenant_sql!(cx, ROLES, args![S::RESOURCE_TYPE, scope.project_key()]);
    let mut list = whole.clone();
    query.filter(&mut list);
    let request = query.page(&cx, &scope);
    cx.list(&request, list, whole, by_place(), Role::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateRole {
    /// Name of the role. Unique in the organization or project, regardless of case.
    role_name: Name,
    /// Names of permissions, as listed in `docs/permissions.md`.
    permissions: PermissionList,
    /// Description of the role.
    description: Option<Description>,
}

async fn create<S: RoleScope>(mut cx: Write, scope: S, body: CreateRole) -> Result<Done<Role>> {
    let none = PermissionList::default();
    check_permissions(&mut cx, &scope, &body.permissions, &none).await?;
    let now = cx.now();
    let role = Role {
        object: RoleObject,
        id: cx.new_id(),
        name: body.role_name.into_string(),
        description: body.description.map(Description::into_string),
        permissions: body.permissions,
        resource_type: S::RESOURCE_TYPE.to_owned(),
        predefined_role: false,
        created_at: now,
        updated_at: now,
        created_by: Some(cx.permit().user()?.clone()),
    };
    check_name(&mut cx, &scope, &role).await?;
    let insert = tenant_sql!(
        cx,
        "INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, description, permissions, \
             predefined, created_at, updated_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, FALSE, $9, $9, $10)",
        args![
            &role.id,
            S::RESOURCE_TYPE,
            scope.project_key(),
            role.name.as_str(),
            role.name.to_lowercase(),
            role.description.clone(),
            role.permissions.to_json(),
            now,
            role.created_by.as_ref()
        ],
    );
    cx.execute(insert).await?;
    let mut details = scope_details(&cx, &scope);
    details["role_name"] = json!(role.name);
    details["permissions"] = json!(role.permissions);
    Ok(cx.done(Event::new(EventType::RoleCreated, &role.id, details), role))
}

async fn check_name<S: RoleScope>(cx: &mut Write, scope: &S, role: &Role) -> Result<()> {
    let mut same = tenant_sql!(cx, ROLES, args![S::RESOURCE_TYPE, scope.project_key()]);
    same.push(" AND r.name_key = ")
        .bind(role.name.to_lowercase());
    same.push(" AND r.id <> ").bind(&role.id);
    match cx.fetch_optional(same, Role::read).await? {
        Some(other) => {
            let message = format!("A role '{}' already exists: '{}'.", other.name, other.id);
            Err(Error::invalid("role_name", message))
        }
        None => Ok(()),
    }
}

async fn retrieve<S: RoleScope>(
    mut cx: Read,
    ScopedId(scope, id): ScopedId<S, RoleId>,
    _: NoParameters,
) -> Result<Role> {
    let id = scope.role_id(cx.organization(), &id);
    let mut statement = tenant_sql!(cx, ROLES, args![S::RESOURCE_TYPE, scope.project_key()]);
    statement.push(" AND r.id = ").bind(&id);
    cx.find(&id, statement, Role::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateRole {
    /// New permissions, which replace all previous ones; null leaves the permissions unchanged.
    permissions: Option<PermissionList>,
    /// New description; null clears the description.
    #[serde(default)]
    description: Patch<Description>,
    /// New name; null leaves the name unchanged.
    role_name: Option<Name>,
}

async fn update<S: RoleScope>(
    mut cx: Write,
    ScopedId(scope, id): ScopedId<S, RoleId>,
    body: UpdateRole,
) -> Result<Done<Role>> {
    let id = scope.role_id(cx.organization(), &id);
    let old = one(&cx, &scope, &id);
    let old = cx.find(&id, old, Role::read).await?;
    let mut role = old.clone();
    role.permissions = body.permissions.unwrap_or(role.permissions);
    let description = body.description.map(Description::into_string);
    role.description = description.apply(role.description);
    role.name = body.role_name.map_or(role.name, Name::into_string);
    let requested = changes(&old, &role);
    if requested.is_empty() {
        return Ok(cx.unchanged(old));
    }
    old.refuse_predefined("changed")?;
    check_permissions(&mut cx, &scope, &role.permissions, &old.permissions).await?;
    check_name(&mut cx, &scope, &role).await?;
    role.updated_at = cx.now();
    let update = tenant_sql!(
        cx,
        "UPDATE roles SET name = $3, name_key = $4, description = $5, permissions = $6, updated_at = $7 \
         WHERE organization_id = $1 AND id = $2",
        args![
            &id,
            role.name.as_str(),
            role.name.to_lowercase(),
            role.description.clone(),
            role.permissions.to_json(),
            role.updated_at
        ],
    );
    cx.execute(update).await?;
    let mut details = scope_details(&cx, &scope);
    if let Some(details) = details.as_object_mut() {
        details.extend(requested);
    }
    let details = json!({"changes_requested": details});
    Ok(cx.done(Event::new(EventType::RoleUpdated, &id, details), role))
}

/// Returns the changed fields, as the event shows them.
fn changes(old: &Role, new: &Role) -> serde_json::Map<String, Json> {
    let mut changes = serde_json::Map::new();
    let mut note = |name: &str, value| changes.insert(name.to_owned(), value);
    if new.name != old.name {
        note("role_name", json!(new.name));
    }
    if new.description != old.description {
        note("description", json!(new.description));
    }
    if new.permissions != old.permissions {
        note(
            "permissions_added",
            json!(new.permissions.without(&old.permissions)),
        );
        note(
            "permissions_removed",
            json!(old.permissions.without(&new.permissions)),
        );
    }
    changes
}

/// Deletes the role with all its assignments. Groups that are in a project with this role are removed from the project.
async fn delete<S: RoleScope>(
    mut cx: Write,
    ScopedId(scope, id): ScopedId<S, RoleId>,
    _: NoParameters,
) -> Result<Done<Deleted<RoleDeleted>>> {
    let id = scope.role_id(cx.organization(), &id);
    let role = one(&cx, &scope, &id);
    let role = cx.find(&id, role, Role::read).await?;
    role.refuse_predefined("deleted")?;
    let holders = tenant_sql!(
        cx,
        "SELECT principal_type, principal_id FROM role_assignments WHERE organization_id = $1 AND role_id = $2 \
         UNION SELECT 'group', group_id FROM project_groups WHERE organization_id = $1 AND role_id = $2 \
         ORDER BY 1, 2",
        args![&id],
    );
    let holder = |row: &Row<'_>| {
        let (kind, id): (String, String) = (row.get("principal_type")?, row.get("principal_id")?);
        Ok(json!({"principal_type": kind, "principal_id": id}))
    };
    let holders = cx.fetch_all(holders, holder).await?;
    for text in [
        tenant_sql!("DELETE FROM role_assignments WHERE organization_id = $1 AND role_id = $2"),
        tenant_sql!("DELETE FROM project_groups WHERE organization_id = $1 AND role_id = $2"),
        tenant_sql!("DELETE FROM roles WHERE organization_id = $1 AND id = $2"),
    ] {
        let delete = cx.sql(text, args![&id]);
        cx.execute(delete).await?;
    }
    let details = json!({"role_name": role.name, "unassigned": holders});
    let answer = Deleted::new(RoleDeleted, &id);
    Ok(cx.done(Event::new(EventType::RoleDeleted, &id, details), answer))
}
