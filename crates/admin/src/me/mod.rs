//! `/organization/me`: the caller, and what belongs to the caller. Needs no permission.

pub mod api_keys;
pub(crate) mod sessions;

use base::ids::{GroupId, OrganizationId, ProjectId};
use base::permission::{PermissionList, role_permissions};
use base::{Permission, PermissionSet, Result};
use schemars::JsonSchema;
use serde::Serialize;
use store::Row;

use crate::literal::literals;
use crate::operation::{Needs, NoParameters, Operation, Organization, Read, operations};
use crate::users::{self, User};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    const ME: &str = "/organization/me";
    const RETRIEVE: &str =
        "Retrieves the user who owns the calling key, with permissions, groups and projects.";
    operations! {
        GET "me retrieve", ME, Needs::Own(Permission::ProjectsRead), RETRIEVE, retrieve, extension;
    }
}

literals! {
    MeObject = "organization.me";
}

/// The caller, with what the caller may do.
#[derive(Serialize, JsonSchema)]
struct Me {
    object: MeObject,
    user: User,
    organization: MyOrganization,
    /// Permissions in the organization, which apply in every project, too.
    permissions: PermissionList,
    /// Groups that the user is in, oldest first.
    groups: Vec<MyGroup>,
    /// Projects in which the user has a role, directly or through a group, oldest first.
    projects: Vec<MyProject>,
    /// True if the user has a role in more projects than are listed.
    has_more_projects: bool,
}

#[derive(Serialize, JsonSchema)]
struct MyOrganization {
    id: OrganizationId,
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct MyGroup {
    id: GroupId,
    name: String,
}

/// A project in which the caller has a role.
#[derive(Serialize, JsonSchema)]
struct MyProject {
    id: ProjectId,
    name: String,
    /// Permissions in the project, those in the organization among them.
    permissions: PermissionList,
}

/// Maximum number of listed projects.
const MAX_PROJECTS: usize = 500;

const NAME: &str = "SELECT name FROM organizations WHERE id = $1";

const GROUPS: &str = "\
    SELECT g.id, g.name FROM groups g \
    JOIN group_users m ON m.organization_id = g.organization_id AND m.group_id = g.id \
    WHERE g.organization_id = $1 AND m.user_id = $2 ORDER BY g.id";

/// Roles in projects that are not archived. A row for each project and role.
const PROJECTS: &str = "\
    SELECT p.id, p.name, g.role_id, r.permissions \
    FROM effective_grants g \
    JOIN projects p ON p.organization_id = g.organization_id AND p.id = g.project_id \
    LEFT JOIN roles r ON r.organization_id = g.organization_id AND r.id = g.role_id \
    WHERE g.organization_id = $1 AND g.principal_type = 'user' AND g.principal_id = $2 AND p.archived_at IS NULL";

async fn retrieve(mut cx: Read, _: Organization, _: NoParameters) -> Result<Me> {
    let user_id = cx.permit().user()?.clone();
    let user = users::one(&mut cx, &user_id).await?;
    let name = tenant_sql!(cx, NAME, args![]);
    let id = cx.organization().clone();
    let name = cx.find(&id, name, |row| row.get("name")).await?;
    let allowed = cx.permissions().await?;
    let groups = tenant_sql!(cx, GROUPS, args![&user_id]);
    let groups = cx.fetch_all(groups, MyGroup::read).await?;
    let mut grants = tenant_sql!(cx, PROJECTS, args![&user_id]);
    let caller = cx.permit().caller();
    // A project key tells nothing of other projects.
    if let Some(project) = caller.and_then(|caller| caller.project_id()) {
        grants.push(" AND p.id = ").bind(project);
    }
    let scopes = caller.map(|caller| caller.scopes).unwrap_or_default();
    grants.push(" ORDER BY p.id");
    let grants = cx.fetch_all(grants, Grant::read).await?;
    let (projects, has_more_projects) = projects(grants, allowed, scopes);
    Ok(Me {
        object: MeObject,
        user,
        organization: MyOrganization { id, name },
        permissions: allowed.into(),
        groups,
        projects,
        has_more_projects,
    })
}

/// A role in a project.
struct Grant {
    project_id: ProjectId,
    name: String,
    permissions: PermissionSet,
}

impl Grant {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let role: String = row.get("role_id")?;
        let custom: Option<String> = row.get("permissions")?;
        Ok(Self {
            project_id: row.id("id")?,
            name: row.get("name")?,
            permissions: role_permissions(&role, custom.as_deref()),
        })
    }
}

impl MyGroup {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            name: row.get("name")?,
        })
    }
}

/// Joins the grants of each project, and adds the permissions in the organization. Returns true if there are more projects.
fn projects(
    grants: Vec<Grant>,
    everywhere: PermissionSet,
    scopes: PermissionSet,
) -> (Vec<MyProject>, bool) {
    let mut joined: Vec<Grant> = Vec::new();
    for grant in grants {
        match joined.last_mut() {
            Some(last) if last.project_id == grant.project_id => {
                last.permissions = last.permissions.union(grant.permissions);
            }
            _ => joined.push(grant),
        }
    }
    let has_more = joined.len() > MAX_PROJECTS;
    joined.truncate(MAX_PROJECTS);
    let shown = |grant: Grant| MyProject {
        id: grant.project_id,
        name: grant.name,
        permissions: grant
            .permissions
            .intersection(scopes)
            .union(everywhere)
            .into(),
    };
    (joined.into_iter().map(shown).collect(), has_more)
}
