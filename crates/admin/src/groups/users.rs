//! `/organization/groups/{group_id}/users`: users of a group.

use base::ids::{GroupId, Id, ProjectId, UserId};
use base::permission::role_permissions;
use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Order, Row, SortKey};

use super::Group;
use crate::list::{Deleted, NextList, list_item, page_after};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, OrderBy, Read, ScopedId, Write,
    operations,
};
use crate::roles::grant::may_grant;
use crate::{args, tenant_sql, users};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{GroupsRead as CanRead, GroupsWrite as CanWrite};
    const ALL: &str = "/organization/groups/{group_id}/users";
    const ONE: &str = "/organization/groups/{group_id}/users/{user_id}";
    operations! {
        GET "groups:users list", ALL, CanRead, "Lists the group's users.", list;
        POST "groups:users create", ALL, CanWrite, "Adds a user to the group.", create;
        GET "groups:users retrieve", ONE, CanRead, "Retrieves a user of the group.", retrieve;
        DELETE "groups:users delete", ONE, CanWrite, "Removes a user from the group.", delete;
    }
}

literals! {
    GroupUserObject = "group.user";
    GroupUserDeleted = "group.user.deleted";
}

/// A user in the list of a group's users.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupUser {
    id: UserId,
    name: String,
    email: Option<String>,
}

/// A user of a group.
#[derive(Debug, Serialize, JsonSchema)]
struct GroupMemberUser {
    #[serde(flatten)]
    user: GroupUser,
    picture: Option<String>,
    is_service_account: Option<bool>,
    user_type: UserType,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum UserType {
    User,
}

const USERS: &str = "\
    SELECT u.id, u.name, u.email, m.added_at \
    FROM group_users m JOIN users u ON u.organization_id = m.organization_id AND u.id = m.user_id \
    WHERE m.organization_id = $1 AND m.group_id = $2";

impl GroupUser {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
        })
    }
}

list_item!(GroupUser, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListGroupUsers {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<100, 0, 1000>,
    /// The id of the last user of the previous page.
    after: Option<String>,
    /// Order of addition: oldest first (`asc`) or newest first (`desc`, the default).
    order: Option<OrderBy>,
}

async fn list(mut cx: Read, group: Group, query: ListGroupUsers) -> Result<NextList<GroupUser>> {
    let list = tenant_sql!(cx, USERS, args![&group.id]);
    let order = query.order.map_or(Order::Descending, Order::from);
    let request = page_after(query.limit.0, query.after, order);
    let key = SortKey::by_time("m.added_at", "m.user_id");
    cx.list(&request, list.clone(), list, key, GroupUser::read)
        .await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddGroupUser {
    /// Id of a user of the organization.
    user_id: UserId,
}

/// The membership that was added.
#[derive(Serialize, JsonSchema)]
struct AddedGroupUser {
    object: GroupUserObject,
    user_id: UserId,
    group_id: GroupId,
}

async fn create(mut cx: Write, group: Group, body: AddGroupUser) -> Result<Done<AddedGroupUser>> {
    let user = users::named(&mut cx, &body.user_id).await?;
    may_join(&mut cx, &group).await?;
    let insert = tenant_sql!(
        cx,
        "INSERT INTO group_users (organization_id, group_id, user_id, added_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        args![&group.id, &user.id, cx.now()],
    );
    if cx.execute(insert).await? == 0 {
        let message = format!(
            "The user '{}' already exists in group '{}'.",
            user.id, group.id
        );
        return Err(Error::refused("already_exists", message).about("user_id"));
    }
    let event = Event::new(
        EventType::GroupUserAdded,
        &group.id,
        json!({"user_id": user.id}),
    );
    let answer = AddedGroupUser {
        object: GroupUserObject,
        user_id: user.id,
        group_id: group.id,
    };
    Ok(cx.done(event, answer))
}

/// Checks that the caller has all permissions of the group's roles, in every scope: a new user of the group gets them.
async fn may_join(cx: &mut Write, group: &Group) -> Result<()> {
    let roles = tenant_sql!(
        cx,
        "SELECT g.project_id, g.role_id, r.permissions \
         FROM effective_grants g LEFT JOIN roles r ON r.organization_id = g.organization_id AND r.id = g.role_id \
         WHERE g.organization_id = $1 AND g.principal_type = 'group' AND g.principal_id = $2",
        args![&group.id],
    );
    let read = |row: &Row<'_>| {
        let (project, role): (String, String) = (row.get("project_id")?, row.get("role_id")?);
        let custom: Option<String> = row.get("permissions")?;
        Ok((project, role_permissions(&role, custom.as_deref())))
    };
    for (project, permissions) in cx.fetch_all(roles, read).await? {
        let project = Some(project).filter(|project| !project.is_empty());
        let project = project.map(ProjectId::from_text);
        may_grant(cx, project.as_ref(), permissions).await?;
    }
    Ok(())
}

async fn retrieve(
    mut cx: Read,
    ScopedId(group, id): ScopedId<Group, UserId>,
    _: NoParameters,
) -> Result<GroupMemberUser> {
    let mut one = tenant_sql!(cx, USERS, args![&group.id]);
    one.push(" AND u.id = ").bind(&id);
    Ok(GroupMemberUser {
        user: cx.find(&id, one, GroupUser::read).await?,
        picture: None,
        is_service_account: Some(false),
        user_type: UserType::User,
    })
}

async fn delete(
    mut cx: Write,
    ScopedId(group, id): ScopedId<Group, UserId>,
    _: NoParameters,
) -> Result<Done<Deleted<GroupUserDeleted>>> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM group_users WHERE organization_id = $1 AND group_id = $2 AND user_id = $3",
        args![&group.id, &id],
    );
    cx.delete(&id, delete).await?;
    let details = json!({"user_id": id});
    let event = Event::new(EventType::GroupUserRemoved, &group.id, details);
    Ok(cx.done(event, Deleted::new(GroupUserDeleted, &id)))
}
