//! `/organization/groups`: groups of users that share roles.

pub mod users;

use base::ids::{GroupId, ProjectId, UserId};
use base::name::Name;
use base::{Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Order, Row, sql};

use crate::list::{Deleted, NextList, list_item, page_after};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, OrderBy, Organization, Read,
    ResourcePath, Scope, Write, absent, operations,
};
use crate::search::Search;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{GroupsRead as CanRead, GroupsWrite as CanWrite};
    const ALL: &str = "/organization/groups";
    const ONE: &str = "/organization/groups/{group_id}";
    const DELETE: &str = "Deletes a group with its memberships and role assignments.";
    operations! {
        GET "groups list", ALL, CanRead, "Lists the organization's groups.", list;
        POST "groups create", ALL, CanWrite, "Creates a group.", create;
        GET "groups retrieve", ONE, CanRead, "Retrieves a group.", retrieve;
        POST "groups update", ONE, CanWrite, "Renames a group.", update;
        DELETE "groups delete", ONE, CanWrite, DELETE, delete;
    }
}

literals! {
    GroupObject = "group";
    GroupDeleted = "group.deleted";
}

/// A group of users.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Group {
    object: GroupObject,
    /// Id.
    pub id: GroupId,
    /// Name of the group.
    pub name: String,
    created_at: UnixTime,
    is_scim_managed: bool,
    group_type: GroupType,
}

/// Origin of a group. Groups of this program are always managed in the organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum GroupType {
    #[default]
    Group,
    TenantGroup,
}

const GROUPS: &str = "SELECT id, name, created_at FROM groups WHERE organization_id = $1";

impl Group {
    fn new(id: GroupId, name: String, created_at: UnixTime) -> Self {
        Self {
            object: GroupObject,
            id,
            name,
            created_at,
            is_scim_managed: false,
            group_type: GroupType::Group,
        }
    }

    pub(crate) fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self::new(
            row.id("id")?,
            row.get("name")?,
            row.time("created_at")?,
        ))
    }
}

list_item!(Group, id);

impl Scope for Group {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let id: GroupId = path.take()?;
        let mut one = sql!(GROUPS, path.organization());
        one.push(" AND id = ").bind(&id);
        path.find(&id, one, Self::read).await
    }
}

/// Finds the group that `group_id` of a request body names.
///
/// # Errors
/// 400 naming `group_id` if the group does not exist; the database's.
pub(crate) async fn named(cx: &mut Write, id: &GroupId) -> Result<Group> {
    let mut one = tenant_sql!(cx, GROUPS, args![]);
    one.push(" AND id = ").bind(id);
    let found = cx.fetch_optional(one, Group::read).await?;
    found.ok_or_else(|| absent("group_id", "group with id", id))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListGroups {
    /// Only groups whose name contains this text, in any case.
    search: Option<Search>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<100, 0, 1000>,
    /// The id of the last group of the previous page.
    after: Option<String>,
    /// Order of creation: oldest first (`asc`, the default) or newest first (`desc`).
    order: Option<OrderBy>,
}

async fn list(mut cx: Read, _: Organization, query: ListGroups) -> Result<NextList<Group>> {
    let whole = tenant_sql!(cx, GROUPS, args![]);
    let mut list = whole.clone();
    if let Some(search) = query.search {
        search.within(&mut list, &["name"]);
    }
    let order = query.order.map_or(Order::Ascending, Order::from);
    let request = page_after(query.limit.0, query.after, order);
    cx.list(&request, list, whole, "id", Group::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedGroup {
    /// Name of the group.
    name: Name,
}

async fn create(mut cx: Write, _: Organization, body: NamedGroup) -> Result<Done<Group>> {
    let group = Group::new(cx.new_id(), body.name.into_string(), cx.now());
    let insert = tenant_sql!(
        cx,
        "INSERT INTO groups (organization_id, id, name, created_at) VALUES ($1, $2, $3, $4)",
        args![&group.id, group.name.as_str(), group.created_at],
    );
    cx.execute(insert).await?;
    let details = json!({"data": {"group_name": group.name}});
    let event = Event::new(EventType::GroupCreated, &group.id, details);
    Ok(cx.done(event, group))
}

async fn retrieve(_: Read, group: Group, _: NoParameters) -> Result<Group> {
    Ok(group)
}

async fn update(mut cx: Write, mut group: Group, body: NamedGroup) -> Result<Done<Group>> {
    if body.name.as_str() == group.name {
        return Ok(cx.unchanged(group));
    }
    group.name = body.name.into_string();
    let update = tenant_sql!(
        cx,
        "UPDATE groups SET name = $3 WHERE organization_id = $1 AND id = $2",
        args![&group.id, group.name.as_str()],
    );
    cx.execute(update).await?;
    let details = json!({"changes_requested": {"group_name": group.name}});
    let event = Event::new(EventType::GroupUpdated, &group.id, details);
    Ok(cx.done(event, group))
}

async fn delete(
    mut cx: Write,
    group: Group,
    _: NoParameters,
) -> Result<Done<Deleted<GroupDeleted>>> {
    let id = group.id;
    let users = tenant_sql!(
        cx,
        "DELETE FROM group_users WHERE organization_id = $1 AND group_id = $2 RETURNING user_id",
        args![&id],
    );
    let users: Vec<UserId> = cx.fetch_all(users, |row| row.id("user_id")).await?;
    let projects = tenant_sql!(
        cx,
        "DELETE FROM project_groups WHERE organization_id = $1 AND group_id = $2 RETURNING project_id",
        args![&id],
    );
    let projects: Vec<ProjectId> = cx.fetch_all(projects, |row| row.id("project_id")).await?;
    for text in [
        tenant_sql!(
            "DELETE FROM role_assignments WHERE organization_id = $1 AND principal_type = 'group' AND principal_id = $2"
        ),
        tenant_sql!("DELETE FROM groups WHERE organization_id = $1 AND id = $2"),
    ] {
        let delete = cx.sql(text, args![&id]);
        cx.execute(delete).await?;
    }
    let details = json!({"removed": {"users": users, "projects": projects}});
    let event = Event::new(EventType::GroupDeleted, &id, details);
    Ok(cx.done(event, Deleted::new(GroupDeleted, &id)))
}
