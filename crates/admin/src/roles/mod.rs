//! `/organization/roles`, `/projects/{project_id}/roles`: predefined and custom roles, of the organization and of projects.

#[macro_use]
mod page;

pub mod assignments;
pub(crate) mod principal;
pub(crate) mod realm;

use base::ids::{Id, RoleId, UserId};
use base::name::{Description, Name};
use base::permission::{PermissionList, PredefinedRole};
use base::{Error, Permission, Result, UnixTime};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::Row;

use crate::list::{Deleted, Item, NextList};
use crate::operation::{
    Done, Event, EventType, Nothing, Of, Operation, Organization, Patch, Read, TenantStatement,
    Write, read, write,
};
use crate::projects::ActiveProject;
use crate::{args, tenant_sql};
use page::{ListRoles, by_place};
use principal::{RoleDeleted, RoleObject};
use realm::{Realm, check_permissions, may_grant, resource};

macro_rules! operations_in {
    ($realm:ty, $command:literal, $path:literal, $whose:literal) => {
        vec![
            read(
                concat!($command, " list"),
                $path,
                Permission::RolesRead,
                concat!("Lists the roles that can be assigned in ", $whose, "."),
                list::<$realm>,
            ),
            write(
                concat!($command, " create"),
                Method::POST,
                $path,
                Permission::RolesWrite,
                concat!("Creates a custom role of ", $whose, "."),
                create::<$realm>,
            ),
            read(
                concat!($command, " retrieve"),
                concat!($path, "/{role_id}"),
                Permission::RolesRead,
                concat!("Retrieves a role of ", $whose, "."),
                retrieve::<$realm>,
            ),
            write(
                concat!($command, " update"),
                Method::POST,
                concat!($path, "/{role_id}"),
                Permission::RolesWrite,
                concat!("Modifies a custom role of ", $whose, "."),
                update::<$realm>,
            ),
            write(
                concat!($command, " delete"),
                Method::DELETE,
                concat!($path, "/{role_id}"),
                Permission::RolesWrite,
                concat!(
                    "Deletes a custom role of ",
                    $whose,
                    "; nobody has it any more."
                ),
                delete::<$realm>,
            ),
        ]
    };
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut all = operations_in!(
        Organization,
        "roles",
        "/organization/roles",
        "the organization"
    );
    all.extend(operations_in!(
        ActiveProject,
        "projects:roles",
        "/projects/{project_id}/roles",
        "a project"
    ));
    all
}

/// A name for permissions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Role {
    object: RoleObject,
    /// Its id.
    pub id: RoleId,
    /// What it is called.
    pub name: String,
    description: Option<String>,
    /// What it allows.
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

/// The roles that can be assigned in a realm. `$2` is their type, `$3` the project or ''.
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

    /// The role with this id among those that can be assigned in the realm.
    ///
    /// # Errors
    /// 400 naming `param` when there is none; 403 when it allows what the caller may not do there.
    pub(crate) async fn to_grant<R: Realm>(
        cx: &mut Write,
        realm: &R,
        param: &'static str,
        id: &RoleId,
    ) -> Result<Self> {
        let id = &realm.role_id(cx.organization(), id);
        let found = cx.fetch_optional(one(cx, realm, id), Self::read).await?;
        let role = found.ok_or_else(|| {
            let message = format!(
                "No role with id '{id}' can be assigned here: its type must be {}.",
                R::RESOURCE_TYPE
            );
            Error::invalid(param, message)
        })?;
        may_grant(cx, realm.project_id(), role.permissions.set()).await?;
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

impl Item for Role {
    fn cursor(&self) -> String {
        self.id.to_string()
    }
}

fn one<R: Realm>(cx: &Write, realm: &R, id: &RoleId) -> TenantStatement {
    let mut statement = tenant_sql!(cx, ROLES, args![R::RESOURCE_TYPE, realm.key()]);
    statement.push(" AND r.id = ").bind(id);
    statement
}

async fn list<R: Realm>(mut cx: Read, realm: R, query: ListRoles) -> Result<NextList<Role>> {
    let list = tenant_sql!(cx, ROLES, args![R::RESOURCE_TYPE, realm.key()]);
    let request = query.page(&cx, &realm);
    let page = cx.page(&request, list.clone(), list, by_place(), Role::read);
    Ok(page.await?.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateRole {
    /// What the role is called: unique in its organization or project, in any spelling.
    role_name: Name,
    /// What it allows: names from `docs/permissions.md`.
    permissions: PermissionList,
    /// What it is for.
    description: Option<Description>,
}

async fn create<R: Realm>(mut cx: Write, realm: R, body: CreateRole) -> Result<Done<Role>> {
    let none = PermissionList::default();
    check_permissions(&mut cx, &realm, &body.permissions, &none).await?;
    let now = cx.now();
    let role = Role {
        object: RoleObject,
        id: cx.new_id(),
        name: body.role_name.into_string(),
        description: body.description.map(Description::into_string),
        permissions: body.permissions,
        resource_type: R::RESOURCE_TYPE.to_owned(),
        predefined_role: false,
        created_at: now,
        updated_at: now,
        created_by: Some(cx.permit().user()?.clone()),
    };
    check_name(&mut cx, &realm, &role).await?;
    let insert = tenant_sql!(
        cx,
        "INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, description, permissions, \
             predefined, created_at, updated_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, FALSE, $9, $9, $10)",
        args![
            &role.id,
            R::RESOURCE_TYPE,
            realm.key(),
            role.name.as_str(),
            role.name.to_lowercase(),
            role.description.clone(),
            role.permissions.to_json(),
            now,
            role.created_by.as_ref()
        ],
    );
    cx.execute(insert).await?;
    let mut details = resource(&cx, &realm);
    details["role_name"] = json!(role.name);
    details["permissions"] = json!(role.permissions);
    Ok(cx.done(Event::new(EventType::RoleCreated, &role.id, details), role))
}

async fn check_name<R: Realm>(cx: &mut Write, realm: &R, role: &Role) -> Result<()> {
    let mut same = tenant_sql!(cx, ROLES, args![R::RESOURCE_TYPE, realm.key()]);
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

async fn retrieve<R: Realm>(
    mut cx: Read,
    Of(realm, id): Of<R, RoleId>,
    _: Nothing,
) -> Result<Role> {
    let id = realm.role_id(cx.organization(), &id);
    let mut statement = tenant_sql!(cx, ROLES, args![R::RESOURCE_TYPE, realm.key()]);
    statement.push(" AND r.id = ").bind(&id);
    cx.find(&id, statement, Role::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateRole {
    /// What it allows from now on, and nothing else; null leaves it as it is.
    permissions: Option<PermissionList>,
    /// What it is for; null clears it.
    #[serde(default)]
    description: Patch<Description>,
    /// The new name; null leaves it as it is.
    role_name: Option<Name>,
}

async fn update<R: Realm>(
    mut cx: Write,
    Of(realm, id): Of<R, RoleId>,
    body: UpdateRole,
) -> Result<Done<Role>> {
    let id = realm.role_id(cx.organization(), &id);
    let old = one(&cx, &realm, &id);
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
    check_permissions(&mut cx, &realm, &role.permissions, &old.permissions).await?;
    check_name(&mut cx, &realm, &role).await?;
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
    let mut details = resource(&cx, &realm);
    if let Some(details) = details.as_object_mut() {
        details.extend(requested);
    }
    let details = json!({"changes_requested": details});
    Ok(cx.done(Event::new(EventType::RoleUpdated, &id, details), role))
}

/// What differs, as the event says it.
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

/// Deletes the role and whatever gives it to somebody; a group that works in a project with it leaves the project.
async fn delete<R: Realm>(
    mut cx: Write,
    Of(realm, id): Of<R, RoleId>,
    _: Nothing,
) -> Result<Done<Deleted<RoleDeleted>>> {
    let id = realm.role_id(cx.organization(), &id);
    let role = one(&cx, &realm, &id);
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
