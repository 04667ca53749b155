//! `/organization/projects/{project_id}/users`: members of a project.

use base::ids::{ProjectId, UserId};
use base::permission::ProjectRole;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Row, SortKey};

use super::{ActiveProject, Project};
use crate::list::{Deleted, List, list_item, oldest_first};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Read, ScopedId, Write, absent,
    operations,
};
use crate::roles::grant::may_grant;
use crate::users::User;
use crate::{args, tenant_sql, users};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectUsersRead as CanRead, ProjectUsersWrite as CanWrite};
    const ALL: &str = "/organization/projects/{project_id}/users";
    const ONE: &str = "/organization/projects/{project_id}/users/{user_id}";
    operations! {
        GET "projects:users list", ALL, CanRead, "Lists the project's users.", list;
        POST "projects:users create", ALL, CanWrite, "Adds a user of the organization to the project.", create;
        GET "projects:users retrieve", ONE, CanRead, "Retrieves a user of the project.", retrieve;
        POST "projects:users update", ONE, CanWrite, "Modifies a user's role in the project.", update;
        DELETE "projects:users delete", ONE, CanWrite, "Removes a user from the project.", delete;
    }
}

literals! {
    ProjectUserObject = "organization.project.user";
    ProjectUserDeleted = "organization.project.user.deleted";
}

/// A member of a project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProjectUser {
    object: ProjectUserObject,
    id: UserId,
    name: String,
    email: String,
    role: ProjectRole,
    added_at: UnixTime,
}

/// Role of a user in a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum MemberRole {
    /// Administers the project.
    Owner,
    /// Calls models.
    Member,
}

impl From<MemberRole> for ProjectRole {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Owner => Self::Owner,
            MemberRole::Member => Self::Member,
        }
    }
}

const USERS: &str = "\
    SELECT u.id, u.name, u.email, m.role, m.added_at \
    FROM project_users m JOIN users u ON u.organization_id = m.organization_id AND u.id = m.user_id \
    WHERE m.organization_id = $1 AND m.project_id = $2";

impl ProjectUser {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: ProjectUserObject,
            id: row.id("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            role: row.word("role", ProjectRole::parse)?,
            added_at: row.time("added_at")?,
        })
    }
}

list_item!(ProjectUser, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListProjectUsers {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last user of the previous page.
    after: Option<String>,
}

async fn list(
    mut cx: Read,
    project: ActiveProject,
    query: ListProjectUsers,
) -> Result<List<ProjectUser>> {
    let list = tenant_sql!(cx, USERS, args![&project.id]);
    let request = oldest_first(query.limit.0, query.after);
    let key = SortKey::by_time("m.added_at", "m.user_id");
    cx.list(&request, list.clone(), list, key, ProjectUser::read)
        .await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-exactly-one-of" = ["user_id", "email"]))]
struct AddProjectUser {
    /// Id of a user of the organization; either this or `email` is required.
    user_id: Option<UserId>,
    /// E-mail address of a user of the organization, in any case.
    email: Option<String>,
    /// Role in the project.
    role: MemberRole,
}

async fn create(
    mut cx: Write,
    project: ActiveProject,
    body: AddProjectUser,
) -> Result<Done<ProjectUser>> {
    let (param, user) = match (body.user_id, body.email) {
        (Some(id), None) => ("user_id", users::named(&mut cx, &id).await?),
        (None, Some(email)) => ("email", with_address(&mut cx, &email).await?),
        (Some(_), Some(_)) => {
            let message = "Give either user_id or email, not both.";
            return Err(Error::invalid("email", message));
        }
        (None, None) => {
            let message = "Give the user's user_id or email.";
            return Err(Error::refused("missing_required_parameter", message).about("user_id"));
        }
    };
    let role = ProjectRole::from(body.role);
    may_grant(&mut cx, Some(&project.id), role.permissions()).await?;
    if !add(&mut cx, &project.id, &user.id, body.role).await? {
        let message = format!(
            "The user '{}' already exists in project '{}'.",
            user.id, project.id
        );
        return Err(Error::refused("already_exists", message).about(param));
    }
    let member = find(&mut cx, &project, &user.id).await?;
    let details = json!({"data": {"role": member.role}});
    let event = Event::new(EventType::UserAdded, &member.id, details);
    Ok(cx.done(event, member))
}

async fn with_address(cx: &mut Write, email: &str) -> Result<User> {
    let found = users::find_by_email(cx, email).await?;
    found.ok_or_else(|| absent("email", "user with the address", email))
}

/// Adds a member. Returns false if the user is a member already.
///
/// # Errors
/// The database's.
pub(crate) async fn add(
    cx: &mut Write,
    project: &ProjectId,
    user: &UserId,
    role: MemberRole,
) -> Result<bool> {
    let insert = tenant_sql!(
        cx,
        "INSERT INTO project_users (organization_id, project_id, user_id, role, added_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        args![project, user, ProjectRole::from(role).as_str(), cx.now()],
    );
    Ok(cx.execute(insert).await? == 1)
}

async fn find(cx: &mut Write, project: &Project, id: &UserId) -> Result<ProjectUser> {
    let mut one = tenant_sql!(cx, USERS, args![&project.id]);
    one.push(" AND u.id = ").bind(id);
    cx.find(id, one, ProjectUser::read).await
}

async fn retrieve(
    mut cx: Read,
    ScopedId(project, id): ScopedId<ActiveProject, UserId>,
    _: NoParameters,
) -> Result<ProjectUser> {
    let mut one = tenant_sql!(cx, USERS, args![&project.id]);
    one.push(" AND u.id = ").bind(&id);
    cx.find(&id, one, ProjectUser::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateProjectUser {
    /// New role; null leaves the role unchanged.
    role: Option<MemberRole>,
}

async fn update(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, UserId>,
    body: UpdateProjectUser,
) -> Result<Done<ProjectUser>> {
    let mut member = find(&mut cx, &project, &id).await?;
    let role = body.role.map_or(member.role, ProjectRole::from);
    if role == member.role {
        return Ok(cx.unchanged(member));
    }
    may_grant(&mut cx, Some(&project.id), role.permissions()).await?;
    member.role = role;
    let update = tenant_sql!(
        cx,
        "UPDATE project_users SET role = $4 WHERE organization_id = $1 AND project_id = $2 AND user_id = $3",
        args![&project.id, &id, role.as_str()],
    );
    cx.execute(update).await?;
    let details = json!({"changes_requested": {"role": role}});
    let event = Event::new(EventType::UserUpdated, &id, details);
    Ok(cx.done(event, member))
}

/// Removes a member. The user's keys in the project remain, but allow nothing while their owner is not a member.
async fn delete(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, UserId>,
    _: NoParameters,
) -> Result<Done<Deleted<ProjectUserDeleted>>> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM project_users WHERE organization_id = $1 AND project_id = $2 AND user_id = $3",
        args![&project.id, &id],
    );
    cx.delete(&id, delete).await?;
    let answer = Deleted::new(ProjectUserDeleted, &id);
    let event = Event::new(EventType::UserDeleted, &id, json!({}));
    Ok(cx.done(event, answer))
}
