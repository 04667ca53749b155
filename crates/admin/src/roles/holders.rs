//! `…/roles/{role_id}/holders`: users, groups and service accounts that have a role.

use base::ids::{Id, RoleId};
use base::{Permission, Result};
use schemars::JsonSchema;
use serde::Serialize;
use store::Row;

use super::{ROLES, Role};
use crate::literal::literals;
use crate::operation::{
    NoParameters, Operation, Organization, Read, ScopedId, TenantStatement, operations,
};
use crate::projects::ActiveProject;
use crate::role_scope::RoleScope;
use crate::{args, tenant_sql};

/// Maximum number of listed holders.
const MAX_HOLDERS: usize = 500;

pub(crate) fn operations() -> Vec<Operation> {
    const ORGANIZATION: &str = "/organization/roles/{role_id}/holders";
    const PROJECT: &str = "/projects/{project_id}/roles/{role_id}/holders";
    const CAN_READ: Permission = Permission::RolesRead;
    const ABOUT: &str = "Retrieves who has a role in the organization.";
    const IN_PROJECT: &str = "Retrieves who has a role in a project.";
    operations! {
        GET "roles:holders retrieve", ORGANIZATION, CAN_READ, ABOUT, retrieve::<Organization>, extension;
        GET "projects:roles:holders retrieve", PROJECT, CAN_READ, IN_PROJECT, retrieve::<ActiveProject>, extension;
    }
}

literals! {
    RoleHoldersObject = "role.holders";
}

/// Users, groups and service accounts to which a role is assigned directly.
#[derive(Serialize, JsonSchema)]
struct RoleHolders {
    object: RoleHoldersObject,
    role_id: RoleId,
    /// Groups first, then users, then service accounts, each by name. Users who have the role only through a group are not
    /// among them.
    holders: Vec<RoleHolder>,
    /// True if there are more holders than are listed.
    has_more_holders: bool,
}

/// A holder of a role.
#[derive(Serialize, JsonSchema)]
struct RoleHolder {
    /// Type of the holder.
    #[schemars(extend("enum" = ["group", "user", "service_account"]))]
    r#type: String,
    id: String,
    name: String,
    /// E-mail address of a user; null for others.
    email: Option<String>,
}

impl RoleHolder {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            r#type: row.get("principal_type")?,
            id: row.get("principal_id")?,
            name: row.get("name")?,
            email: row.get("email")?,
        })
    }
}

/// Direct holders of the role `$3` in the project `$2`, or in the organization if `$2` is empty. Groups are first.
const HOLDERS: &str = "\
    SELECT DISTINCT g.principal_type, g.principal_id, COALESCE(u.name, q.name, s.name, '') AS name, u.email, \
        CASE g.principal_type WHEN 'group' THEN 1 WHEN 'user' THEN 2 ELSE 3 END AS rank \
    FROM effective_grants g \
    LEFT JOIN users u ON g.principal_type = 'user' AND u.organization_id = g.organization_id AND u.id = g.principal_id \
    LEFT JOIN groups q ON g.principal_type = 'group' AND q.organization_id = g.organization_id AND q.id = g.principal_id \
    LEFT JOIN service_accounts s ON g.principal_type = 'service_account' AND s.organization_id = g.organization_id \
        AND s.project_id = g.project_id AND s.id = g.principal_id \
    WHERE g.organization_id = $1 AND g.project_id = $2 AND g.role_id = $3 AND g.group_id IS NULL \
    ORDER BY rank, name, g.principal_id LIMIT 501";

async fn retrieve<S: RoleScope>(
    mut cx: Read,
    ScopedId(scope, id): ScopedId<S, RoleId>,
    _: NoParameters,
) -> Result<RoleHolders> {
    let id = scope.role_id(cx.organization(), &id);
    let mut role: TenantStatement =
        tenant_sql!(cx, ROLES, args![S::RESOURCE_TYPE, scope.project_key()]);
    role.push(" AND r.id = ").bind(&id);
    let role = cx.find(&id, role, Role::read).await?;
    let holders = tenant_sql!(cx, HOLDERS, args![scope.project_key(), role.id.as_str()]);
    let mut holders = cx.fetch_all(holders, RoleHolder::read).await?;
    let has_more_holders = holders.len() > MAX_HOLDERS;
    holders.truncate(MAX_HOLDERS);
    Ok(RoleHolders {
        object: RoleHoldersObject,
        role_id: role.id,
        holders,
        has_more_holders,
    })
}
