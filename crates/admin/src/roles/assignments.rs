//! `…/users/{user_id}/roles`, `…/groups/{group_id}/roles`: the roles that users and groups have, in the organization and
//! in projects.

use std::collections::{BTreeMap, HashMap};

use base::ids::{Id, RoleAssignmentId, RoleId, UserId};
use base::permission::PermissionList;
use base::{Error, Permission, Result, UnixTime};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Page, Row};

use super::Role;
use super::page::{ListRoles, by_place};
use super::principal::{AssignedGroup, AssignedUser, Holder, Principal};
use super::realm::{Realm, resource};
use crate::list::{Item, NextList};
use crate::operation::{
    Done, Event, EventType, Nothing, Of, Operation, Organization, Read, TenantStatement, Write,
    read, write,
};
use crate::projects::ActiveProject;
use crate::{args, tenant_sql};

macro_rules! operations_of {
    ($realm:ty, $principal:ty, $command:literal, $path:literal, $whose:literal) => {
        [
            read(
                concat!($command, " list"),
                $path,
                Permission::RolesRead,
                concat!("Lists the roles of ", $whose, "."),
                list::<$realm, $principal>,
            ),
            write(
                concat!($command, " create"),
                Method::POST,
                $path,
                Permission::RolesWrite,
                concat!("Assigns a role to ", $whose, "."),
                create::<$realm, $principal>,
            ),
            read(
                concat!($command, " retrieve"),
                concat!($path, "/{role_id}"),
                Permission::RolesRead,
                concat!("Retrieves a role of ", $whose, "."),
                retrieve::<$realm, $principal>,
            ),
            write(
                concat!($command, " delete"),
                Method::DELETE,
                concat!($path, "/{role_id}"),
                Permission::RolesWrite,
                concat!("Takes a role from ", $whose, "."),
                delete::<$realm, $principal>,
            ),
        ]
    };
}

pub(crate) fn operations() -> Vec<Operation> {
    let users = operations_of!(
        Organization,
        AssignedUser,
        "users:roles",
        "/organization/users/{user_id}/roles",
        "a user in the organization"
    );
    let groups = operations_of!(
        Organization,
        AssignedGroup,
        "groups:roles",
        "/organization/groups/{group_id}/roles",
        "a group in the organization"
    );
    let project_users = operations_of!(
        ActiveProject,
        AssignedUser,
        "projects:users:roles",
        "/projects/{project_id}/users/{user_id}/roles",
        "a user in a project"
    );
    let project_groups = operations_of!(
        ActiveProject,
        AssignedGroup,
        "projects:groups:roles",
        "/projects/{project_id}/groups/{group_id}/roles",
        "a group in a project"
    );
    [users, groups, project_users, project_groups]
        .into_iter()
        .flatten()
        .collect()
}

/// A role that somebody has, and where it comes from.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AssignedRole {
    id: RoleId,
    name: String,
    permissions: PermissionList,
    resource_type: String,
    predefined_role: bool,
    description: Option<String>,
    /// When the role was created.
    created_at: Option<UnixTime>,
    /// When the role was last changed.
    updated_at: Option<UnixTime>,
    /// Who created the role; null for a predefined one.
    created_by: Option<UserId>,
    created_by_user_obj: Option<Creator>,
    /// Always empty.
    metadata: Option<BTreeMap<String, String>>,
    /// The groups that it is inherited from; null when it is the user's or the group's own.
    assignment_sources: Option<Vec<Source>>,
}

/// Who created a role.
#[derive(Debug, Serialize, JsonSchema)]
struct Creator {
    id: UserId,
    name: String,
    email: String,
}

/// Where an inherited role comes from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Source {
    principal_id: String,
    principal_type: &'static str,
}

/// The roles that `$4` of the type `$3` has in the project `$2`, or '' for the organization.
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

/// Where they come from.
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

impl Item for AssignedRole {
    fn cursor(&self) -> String {
        self.id.to_string()
    }
}

/// Where each role of a holder comes from: `None` for the holder itself, else a group.
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

/// The groups that a role is inherited from; `None` when it is the holder's own, or not theirs at all.
fn inherited(sources: &Sources, role: &RoleId) -> Option<Vec<Source>> {
    let groups = sources.get(role.as_str())?.iter().cloned();
    let groups: Option<Vec<String>> = groups.collect();
    let source = |principal_id| Source {
        principal_id,
        principal_type: AssignedGroup::TYPE,
    };
    Some(groups?.into_iter().map(source).collect())
}

impl<R: Realm, P: Principal> Holder<R, P> {
    fn args(&self) -> Vec<store::Value> {
        args![self.realm.key(), P::TYPE, self.principal.id()]
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

async fn list<R: Realm, P: Principal>(
    mut cx: Read,
    holder: Holder<R, P>,
    query: ListRoles,
) -> Result<NextList<AssignedRole>> {
    let list = tenant_sql!(cx, ASSIGNED, holder.args());
    let request = query.page(&cx, &holder.realm);
    let page = cx
        .page(&request, list.clone(), list, by_place(), AssignedRole::read)
        .await?;
    Ok(holder.shown(&mut cx, page).await?.into())
}

async fn retrieve<R: Realm, P: Principal>(
    mut cx: Read,
    Of(holder, id): Of<Holder<R, P>, RoleId>,
    _: Nothing,
) -> Result<AssignedRole> {
    let id = holder.realm.role_id(cx.organization(), &id);
    let mut one: TenantStatement = tenant_sql!(cx, ASSIGNED, holder.args());
    one.push(" AND r.id = ").bind(&id);
    let mut role = cx.find(&id, one, AssignedRole::read).await?;
    let sources = tenant_sql!(cx, SOURCES, holder.args());
    let sources = group_by_role(cx.fetch_all(sources, source).await?);
    role.assignment_sources = inherited(&sources, &id);
    Ok(role)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AssignRole {
    /// The role.
    role_id: RoleId,
}

async fn create<R: Realm, P: Principal>(
    mut cx: Write,
    mut holder: Holder<R, P>,
    body: AssignRole,
) -> Result<Done<P::Assignment>> {
    let role = Role::to_grant(&mut cx, &holder.realm, "role_id", &body.role_id).await?;
    let sources = tenant_sql!(cx, SOURCES, holder.args());
    let sources = group_by_role(cx.fetch_all(sources, source).await?);
    if sources
        .get(role.id.as_str())
        .is_some_and(|from| from.contains(&None))
    {
        return Ok(cx.unchanged(holder.principal.assigned(role)));
    }
    let Holder { realm, principal } = &mut holder;
    principal.give(&mut cx, realm, &role.id).await?;
    let event = event(EventType::RoleAssignmentCreated, &cx, &holder, &role.id);
    let answer = holder.principal.assigned(role);
    Ok(cx.done(event, answer))
}

/// The id of an assignment is made of its role's and its principal's; the event is found by the role's alone, too.
fn event<R: Realm, P: Principal>(
    kind: EventType,
    cx: &Write,
    holder: &Holder<R, P>,
    role: &RoleId,
) -> Event {
    let mut details = resource(cx, &holder.realm);
    details["principal_id"] = json!(holder.principal.id().as_str());
    details["principal_type"] = json!(P::TYPE);
    let id = [
        RoleAssignmentId::PREFIX,
        role.as_str(),
        "_",
        holder.principal.id().as_str(),
    ]
    .concat();
    Event::new(kind, &RoleAssignmentId::from_text(id), details).filed_under(role)
}

/// The answer to an unassignment.
#[derive(Serialize, JsonSchema)]
struct Unassigned {
    object: &'static str,
    deleted: bool,
}

async fn delete<R: Realm, P: Principal>(
    mut cx: Write,
    Of(holder, id): Of<Holder<R, P>, RoleId>,
    _: Nothing,
) -> Result<Done<Unassigned>> {
    let id = holder.realm.role_id(cx.organization(), &id);
    let sources = tenant_sql!(cx, SOURCES, holder.args());
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
    holder.principal.take(&mut cx, &holder.realm, &id).await?;
    let event = event(EventType::RoleAssignmentDeleted, &cx, &holder, &id);
    let answer = Unassigned {
        object: P::UNASSIGNED,
        deleted: true,
    };
    Ok(cx.done(event, answer))
}
