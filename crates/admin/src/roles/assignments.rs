//! `…/users/{user_id}/roles`, `…/groups/{group_id}/roles`: assignments of roles to users and groups, in the organization and
//! in projects.

use std::collections::{BTreeMap, HashMap};

use base::ids::{Id, RoleAssignmentId, RoleId, UserId};
use base::permission::PermissionList;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Page, Row};

use super::Role;
use super::grant::scope_details;
use super::page::{ListRoles, by_place};
use super::principal::{AssignedGroup, AssignedUser, RolePrincipal, ScopedPrincipal};
use crate::list::{NextList, list_item};
use crate::operation::{
    Done, Event, EventType, NoParameters, Operation, Organization, Read, ScopedId, TenantStatement,
    Write, operations,
};
use crate::projects::ActiveProject;
use crate::role_scope::RoleScope;
use crate::{args, tenant_sql};

macro_rules! operations_of {
    ($scope:ty, $principal:ty: $command:literal, $path:literal, $whose:literal) => {
        operations! {
            GET concat!($command, " list"), $path, Permission::RolesRead,
                concat!("Lists the roles of ", $whose, "."), list::<$scope, $principal>;
            POST concat!($command, " create"), $path, Permission::RolesWrite,
                concat!("Assigns a role to ", $whose, "."), create::<$scope, $principal>;
            GET concat!($command, " retrieve"), concat!($path, "/{role_id}"), Permission::RolesRead,
                concat!("Retrieves a role of ", $whose, "."), retrieve::<$scope, $principal>;
            DELETE concat!($command, " delete"), concat!($path, "/{role_id}"), Permission::RolesWrite,
                concat!("Removes a role from ", $whose, "."), delete::<$scope, $principal>;
        }
    };
}

pub(crate) fn operations() -> Vec<Operation> {
    [
        operations_of!(Organization, AssignedUser: "users:roles", "/organization/users/{user_id}/roles",
            "a user in the organization"),
        operations_of!(Organization, AssignedGroup: "groups:roles", "/organization/groups/{group_id}/roles",
            "a group in the organization"),
        operations_of!(ActiveProject, AssignedUser: "projects:users:roles",
            "/projects/{project_id}/users/{user_id}/roles", "a user in a project"),
        operations_of!(ActiveProject, AssignedGroup: "projects:groups:roles",
            "/projects/{project_id}/groups/{group_id}/roles", "a group in a project"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A role of a user or group, with the sources of inherited roles.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AssignedRole {
    id: RoleId,
    name: String,
    permissions: PermissionList,
    resource_type: String,
    predefined_role: bool,
    description: Option<String>,
    /// Time of the role's creation.
    created_at: Option<UnixTime>,
    /// Time of the role's last change.
    updated_at: Option<UnixTime>,
    /// Id of the user who created the role; null for a predefined role.
    created_by: Option<UserId>,
    created_by_user_obj: Option<Creator>,
    /// Always empty.
    metadata: Option<BTreeMap<String, String>>,
    /// Groups that the role is inherited from; null for a direct assignment.
    assignment_sources: Option<Vec<Source>>,
}

/// The user who created a role.
#[derive(Debug, Serialize, JsonSchema)]
struct Creator {
    id: UserId,
    name: String,
    email: String,
}

/// The source of an inherited role.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Source {
    principal_id: String,
    principal_type: &'static str,
}

/// Roles of the principal `$4` of type `$3` in the project `$2`, or in the organization if `$2` is empty.
const ASSIGNED: &str = concat!(
    "SELECT r.id, r.name, r.description, r.permissions, r.resource_type, r.predefined, r.created_at, r.updated_at, \
         r.created_by, r.place, c.name AS creator_name, c.email AS creator_email \
     FROM ",
    roles_in_place!(),
    " LEFT JOIN users c ON c.organization_id = r.organization_id AND c.id = r.created_by \
     WHERE r.organization_id = $1 AND r.id IN \
         (SELECT g.role_id FROM effective_grants g \
          WHERE g.organization_id = $1 AND g.project_id = $2 AND g.principal_type = $3 AND g.principal_id = $4)"
);

/// Sources of these roles.
const SOURCES: &str = "\
    SELECT g.role_id, g.group_id FROM effective_grants g \
    WHERE g.organization_id = $1 AND g.project_id = $2 AND g.principal_type = $3 AND g.principal_id = $4 \
    ORDER BY g.group_id";

impl AssignedRole {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let role = Role::read(row)?;
        let name: Option<String> = row.get("creator_name")?;
        let email: Option<String> = row.get("creator_email")?;
        let creator = role.created_by.clone().zip(name.zip(email));
        Ok(Self {
            id: role.id,
            name: role.name,
            permissions: role.permissions,
            resource_type: role.resource_type,
            predefined_role: role.predefined_role,
            description: role.description,
            created_at: Some(role.created_at),
            updated_at: Some(role.updated_at),
            created_by: role.created_by,
            created_by_user_obj: creator.map(|(id, (name, email))| Creator { id, name, email }),
            metadata: Some(BTreeMap::new()),
            assignment_sources: None,
        })
    }
}

list_item!(AssignedRole, id);

/// Sources of a principal's roles by role: `None` for a direct assignment, else a group.
type Sources = HashMap<String, Vec<Option<String>>>;

fn group_by_role(rows: Vec<(String, Option<String>)>) -> Sources {
    let mut sources = Sources::new();
    for (role, group) in rows {
        sources.entry(role).or_default().push(group);
    }
    sources
}

fn source(row: &Row<'_>) -> store::Result<(String, Option<String>)> {
    Ok((row.get("role_id")?, row.get("group_id")?))
}

/// Returns the groups that a role is inherited from; `None` if it is assigned directly or not at all.
fn inherited(sources: &Sources, role: &RoleId) -> Option<Vec<Source>> {
    let groups = sources.get(role.as_str())?.iter().cloned();
    let groups: Option<Vec<String>> = groups.collect();
    let source = |principal_id| Source {
        principal_id,
        principal_type: AssignedGroup::TYPE,
    };
    Some(groups?.into_iter().map(source).collect())
}

impl<S: RoleScope, P: RolePrincipal> ScopedPrincipal<S, P> {
    fn args(&self) -> Vec<store::Value> {
        args![self.scope.project_key(), P::TYPE, self.principal.id()]
    }

    async fn shown(&self, cx: &mut Read, page: Page<AssignedRole>) -> Result<Page<AssignedRole>> {
        let sources = tenant_sql!(cx, SOURCES, self.args());
        let sources = group_by_role(cx.fetch_all(sources, source).await?);
        Ok(page.map(|mut role| {
            role.assignment_sources = inherited(&sources, &role.id);
            role
        }))
    }
}

async fn list<S: RoleScope, P: RolePrincipal>(
    mut cx: Read,
    assignee: ScopedPrincipal<S, P>,
    query: ListRoles,
) -> Result<NextList<AssignedRole>> {
    let whole = tenant_sql!(cx, ASSIGNED, assignee.args());
    let mut list = whole.clone();
    query.filter(&mut list);
    let request = query.page(&cx, &assignee.scope);
    let page = cx
        .page(&request, list, whole, by_place(), AssignedRole::read)
        .await?;
    Ok(assignee.shown(&mut cx, page).await?.into())
}

async fn retrieve<S: RoleScope, P: RolePrincipal>(
    mut cx: Read,
    ScopedId(assignee, id): ScopedId<ScopedPrincipal<S, P>, RoleId>,
    _: NoParameters,
) -> Result<AssignedRole> {
    let id = assignee.scope.role_id(cx.organization(), &id);
    let mut one: TenantStatement = tenant_sql!(cx, ASSIGNED, assignee.args());
    one.push(" AND r.id = ").bind(&id);
    let mut role = cx.find(&id, one, AssignedRole::read).await?;
    let sources = tenant_sql!(cx, SOURCES, assignee.args());
    let sources = group_by_role(cx.fetch_all(sources, source).await?);
    role.assignment_sources = inherited(&sources, &id);
    Ok(role)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AssignRole {
    /// Id of the role.
    role_id: RoleId,
}

async fn create<S: RoleScope, P: RolePrincipal>(
    mut cx: Write,
    mut assignee: ScopedPrincipal<S, P>,
    body: AssignRole,
) -> Result<Done<P::Assignment>> {
    let role = Role::to_grant(&mut cx, &assignee.scope, "role_id", &body.role_id).await?;
    let sources = tenant_sql!(cx, SOURCES, assignee.args());
    let sources = group_by_role(cx.fetch_all(sources, source).await?);
    if sources
        .get(role.id.as_str())
        .is_some_and(|from| from.contains(&None))
    {
        return Ok(cx.unchanged(assignee.principal.assigned(role)));
    }
    let ScopedPrincipal { scope, principal } = &mut assignee;
    principal.give(&mut cx, scope, &role.id).await?;
    let event = event(EventType::RoleAssignmentCreated, &cx, &assignee, &role.id);
    let answer = assignee.principal.assigned(role);
    Ok(cx.done(event, answer))
}

/// Returns the event of an assignment, which is also filed under the role. The id of an assignment is composed of the ids of
/// the role and the principal.
fn event<S: RoleScope, P: RolePrincipal>(
    kind: EventType,
    cx: &Write,
    assignee: &ScopedPrincipal<S, P>,
    role: &RoleId,
) -> Event {
    let mut details = scope_details(cx, &assignee.scope);
    details["principal_id"] = json!(assignee.principal.id().as_str());
    details["principal_type"] = json!(P::TYPE);
    let id = [
        RoleAssignmentId::PREFIX,
        role.as_str(),
        "_",
        assignee.principal.id().as_str(),
    ]
    .concat();
    Event::new(kind, &RoleAssignmentId::from_text(id), details).filed_under(role)
}

/// The response to an unassignment.
#[derive(Serialize, JsonSchema)]
struct Unassigned {
    object: &'static str,
    deleted: bool,
}

async fn delete<S: RoleScope, P: RolePrincipal>(
    mut cx: Write,
    ScopedId(assignee, id): ScopedId<ScopedPrincipal<S, P>, RoleId>,
    _: NoParameters,
) -> Result<Done<Unassigned>> {
    let id = assignee.scope.role_id(cx.organization(), &id);
    let sources = tenant_sql!(cx, SOURCES, assignee.args());
    let sources = group_by_role(cx.fetch_all(sources, source).await?);
    if !sources.contains_key(id.as_str()) {
        return Err(Error::not_found(RoleId::NOUN, id.as_str()));
    }
    if let Some(groups) = inherited(&sources, &id) {
        let groups: Vec<String> = groups.into_iter().map(|group| group.principal_id).collect();
        let message = format!(
            "The role '{id}' is inherited from {}. Take it from there.",
            groups.join(", ")
        );
        return Err(Error::refused("inherited_role", message));
    }
    assignee
        .principal
        .take(&mut cx, &assignee.scope, &id)
        .await?;
    let event = event(EventType::RoleAssignmentDeleted, &cx, &assignee, &id);
    let answer = Unassigned {
        object: P::UNASSIGNED,
        deleted: true,
    };
    Ok(cx.done(event, answer))
}
