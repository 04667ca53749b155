//! `/organization/users/{user_id}/projects`: projects of a user.

use base::ids::{ProjectId, UserId};
use base::permission::ProjectRole;
use base::{Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Row;

use crate::list::{List, list_item, oldest_first};
use crate::literal::literals;
use crate::operation::{Limit, Operation, Organization, Read, ScopedId, operations};
use crate::{args, tenant_sql, users};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::ProjectUsersRead as CanRead;
    const ALL: &str = "/organization/users/{user_id}/projects";
    const LIST: &str =
        "Lists the projects in which a user has a role, directly or through a group.";
    operations! {
        GET "users:projects list", ALL, CanRead, LIST, list, extension;
    }
}

literals! {
    UserProjectObject = "organization.user.project";
}

/// A project in which a user has a role.
#[derive(Debug, Serialize, JsonSchema)]
struct UserProject {
    object: UserProjectObject,
    /// Id of the project.
    id: ProjectId,
    name: String,
    /// Role that makes the user a member of the project; null if the user has roles through groups only.
    role: Option<ProjectRole>,
    /// Time since which the user is a member; null without membership.
    added_at: Option<UnixTime>,
}

/// Projects that are not archived.
const PROJECTS: &str = "\
    SELECT p.id, p.name, m.role, m.added_at FROM projects p \
    LEFT JOIN project_users m ON m.organization_id = p.organization_id AND m.project_id = p.id AND m.user_id = $2 \
    WHERE p.organization_id = $1 AND p.archived_at IS NULL AND p.id IN ( \
        SELECT g.project_id FROM effective_grants g \
        WHERE g.organization_id = $1 AND g.principal_type = 'user' AND g.principal_id = $2)";

impl UserProject {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let role: Option<String> = row.get("role")?;
        let role = role.map(|_| row.word("role", ProjectRole::parse));
        Ok(Self {
            object: UserProjectObject,
            id: row.id("id")?,
            name: row.get("name")?,
            role: role.transpose()?,
            added_at: row.optional_time("added_at")?,
        })
    }
}

list_item!(UserProject, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListUserProjects {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last project of the previous page.
    after: Option<String>,
}

async fn list(
    mut cx: Read,
    ScopedId(_, user): ScopedId<Organization, UserId>,
    query: ListUserProjects,
) -> Result<List<UserProject>> {
    users::one(&mut cx, &user).await?;
    let list = tenant_sql!(cx, PROJECTS, args![&user]);
    let request = oldest_first(query.limit.0, query.after);
    cx.list(&request, list.clone(), list, "p.id", UserProject::read)
        .await
}
