//! `/organization/projects/{project_id}/groups`: groups with a role in a project.

use base::ids::{GroupId, Id, ProjectId, RoleId};
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Order, Row, SortKey};

use super::{ActiveProject, Project};
use crate::groups::{self, GroupType};
use crate::list::{Deleted, NextList, list_item, page_after};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, OrderBy, Read, ScopedId, Write,
    operations,
};
use crate::roles::Role;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectUsersRead as CanRead, ProjectUsersWrite as CanWrite};
    const ALL: &str = "/organization/projects/{project_id}/groups";
    const ONE: &str = "/organization/projects/{project_id}/groups/{group_id}";
    operations! {
        GET "projects:groups list", ALL, CanRead, "Lists the groups that have a role in the project.", list;
        POST "projects:groups create", ALL, CanWrite, "Adds a group to the project with a role.", create;
        GET "projects:groups retrieve", ONE, CanRead, "Retrieves a group of the project.", retrieve;
        DELETE "projects:groups delete", ONE, CanWrite, "Removes a group from the project.", delete;
    }
}

literals! {
    ProjectGroupObject = "project.group";
    ProjectGroupDeleted = "project.group.deleted";
}

/// A group's access to a project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProjectGroup {
    object: ProjectGroupObject,
    project_id: ProjectId,
    group_id: GroupId,
    group_name: String,
    group_type: GroupType,
    created_at: UnixTime,
}

const GROUPS: &str = "\
    SELECT m.project_id, m.group_id, m.added_at, g.name \
    FROM project_groups m JOIN groups g ON g.organization_id = m.organization_id AND g.id = m.group_id \
    WHERE m.organization_id = $1 AND m.project_id = $2";

impl ProjectGroup {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: ProjectGroupObject,
            project_id: row.id("project_id")?,
            group_id: row.id("group_id")?,
            group_name: row.get("name")?,
            group_type: GroupType::Group,
            created_at: row.time("added_at")?,
        })
    }
}

list_item!(ProjectGroup, group_id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListProjectGroups {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 0, 100>,
    /// The id of the last group of the previous page.
    after: Option<String>,
    /// Order of addition: oldest first (`asc`, the default) or newest first (`desc`).
    order: Option<OrderBy>,
}

async fn list(
    mut cx: Read,
    project: ActiveProject,
    query: ListProjectGroups,
) -> Result<NextList<ProjectGroup>> {
    let list = tenant_sql!(cx, GROUPS, args![&project.id]);
    let order = query.order.map_or(Order::Ascending, Order::from);
    let request = page_after(query.limit.0, query.after, order);
    let key = SortKey::by_time("m.added_at", "m.group_id");
    cx.list(&request, list.clone(), list, key, ProjectGroup::read)
        .await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddProjectGroup {
    /// Id of the group.
    group_id: GroupId,
    /// Id of the project role that users of the group get.
    #[schemars(extend("examples" = ["role-api-project-member"]))]
    role: RoleId,
}

async fn create(
    mut cx: Write,
    project: ActiveProject,
    body: AddProjectGroup,
) -> Result<Done<ProjectGroup>> {
    let group = groups::named(&mut cx, &body.group_id).await?;
    let role = Role::to_grant(&mut cx, &project, "role", &body.role)
        .await?
        .id;
    let answer = ProjectGroup {
        object: ProjectGroupObject,
        project_id: project.id.clone(),
        group_id: group.id,
        group_name: group.name,
        group_type: GroupType::Group,
        created_at: cx.now(),
    };
    let insert = tenant_sql!(
        cx,
        "INSERT INTO project_groups (organization_id, project_id, group_id, role_id, added_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        args![&project.id, &answer.group_id, &role, answer.created_at],
    );
    if cx.execute(insert).await? == 0 {
        return already_there(cx, &project, &answer.group_id, &role).await;
    }
    let details = json!({"group_id": answer.group_id, "role_id": role});
    let event = Event::new(EventType::ProjectGroupAdded, &project.id, details);
    Ok(cx.done(event, answer))
}

/// Handles the addition of a group that is in the project already: without effect if the role is the same.
///
/// # Errors
/// 400 if the group has another role in the project.
async fn already_there(
    mut cx: Write,
    project: &Project,
    group: &GroupId,
    role: &RoleId,
) -> Result<Done<ProjectGroup>> {
    let mut same = tenant_sql!(cx, GROUPS, args![&project.id]);
    same.push(" AND m.group_id = ").bind(group);
    same.push(" AND m.role_id = ").bind(role);
    match cx.fetch_optional(same, ProjectGroup::read).await? {
        Some(there) => Ok(cx.unchanged(there)),
        None => {
            let message = format!(
                "The group '{group}' already exists in project '{}', with another role.",
                project.id
            );
            Err(Error::refused("already_exists", message).about("group_id"))
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetrieveProjectGroup {
    /// Origin of the group; always `group`.
    #[serde(default)]
    group_type: GroupType,
}

async fn retrieve(
    mut cx: Read,
    ScopedId(project, id): ScopedId<ActiveProject, GroupId>,
    query: RetrieveProjectGroup,
) -> Result<ProjectGroup> {
    if query.group_type != GroupType::Group {
        return Err(Error::not_found(GroupId::NOUN, id.as_str()));
    }
    let mut one = tenant_sql!(cx, GROUPS, args![&project.id]);
    one.push(" AND m.group_id = ").bind(&id);
    cx.find(&id, one, ProjectGroup::read).await
}

async fn delete(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, GroupId>,
    _: NoParameters,
) -> Result<Done<Deleted<ProjectGroupDeleted>>> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM project_groups WHERE organization_id = $1 AND project_id = $2 AND group_id = $3",
        args![&project.id, &id],
    );
    cx.delete(&id, delete).await?;
    let details = json!({"group_id": id});
    let event = Event::new(EventType::ProjectGroupRemoved, &project.id, details);
    Ok(cx.done(event, Deleted::new(ProjectGroupDeleted, &id)))
}
