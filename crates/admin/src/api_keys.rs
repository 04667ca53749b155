//! `/organization/api_keys`: keys of all projects.

use std::collections::{BTreeSet, HashSet};

use base::ids::{Id, ProjectId};
use base::permission::PermissionList;
use base::{Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Row;

use crate::list::{Item, List, oldest_first};
use crate::operation::{
    Limit, Operation, Organization, Read, Separated, TenantStatement, operations,
};
use crate::projects::api_keys::ProjectApiKey;
use crate::search::Search;

pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/organization/api_keys";
    operations! {
        GET "api-keys list", ALL, Permission::ProjectApiKeysRead, "Lists the keys of all projects.", list, extension;
    }
}

/// A key of a project, with the project and the scopes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OrganizationApiKey {
    #[serde(flatten)]
    key: ProjectApiKey,
    project: KeyProject,
    /// Permissions that the key is restricted to; empty if the key is not restricted.
    scopes: PermissionList,
}

#[derive(Debug, Serialize, JsonSchema)]
struct KeyProject {
    id: ProjectId,
    name: String,
}

/// Keys of all projects with their owners, as the columns of [`ProjectApiKey`]. Access is read for the keys of a page only.
pub(crate) const KEYS: &str = "\
    SELECT k.id, k.name, k.redacted_value, k.created_at, k.last_used_at, k.expires_at, k.user_id, k.scopes, \
           k.service_account_id, k.project_id, p.name AS project_name, u.name AS user_name, u.email, u.added_at, \
           CASE WHEN u.role = 'owner' THEN 'owner' ELSE m.role END AS user_role, \
           s.name AS account_name, s.role AS account_role, s.created_at AS account_created_at, FALSE AS has_access \
    FROM api_keys k \
    JOIN projects p ON p.organization_id = k.organization_id AND p.id = k.project_id \
    LEFT JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
    LEFT JOIN project_users m ON m.organization_id = k.organization_id AND m.project_id = k.project_id \
         AND m.user_id = k.user_id \
    LEFT JOIN service_accounts s ON s.organization_id = k.organization_id AND s.project_id = k.project_id \
         AND s.id = k.service_account_id \
    WHERE k.organization_id = $1 AND k.kind <> 'admin'";

/// Returns a statement of the context that selects the keys `k` of all projects.
macro_rules! keys_of_organization {
    ($cx:expr) => {
        $crate::tenant_sql!($cx, $crate::api_keys::KEYS, $crate::args![])
    };
}
pub(crate) use keys_of_organization;

/// Roles that give access to projects: all but `none` in a project, and all but `reader` in the organization.
pub(crate) const GRANTS: &str = "\
    SELECT g.principal_id, g.project_id FROM effective_grants g \
    WHERE g.organization_id = $1 AND g.role_id <> 'role-api-project-none' \
      AND g.role_id <> 'role-api-organization-reader__api-organization__' || g.organization_id";

/// Marks keys whose owners have access to the projects of the keys.
macro_rules! mark_access {
    ($cx:expr, $keys:expr) => {
        if !$keys.is_empty() {
            let grants = $crate::tenant_sql!($cx, $crate::api_keys::GRANTS, $crate::args![]);
            let grants = $crate::api_keys::of_owners(grants, &$keys);
            let grants = $cx.fetch_all(grants, $crate::api_keys::AccessGrant::read);
            $crate::api_keys::mark(&mut $keys, &grants.await?);
        }
    };
}
pub(crate) use mark_access;

/// Access of a principal to a project, or to all if the project is empty.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct AccessGrant {
    principal: String,
    project: String,
}

impl AccessGrant {
    pub(crate) fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            principal: row.get("principal_id")?,
            project: row.get("project_id")?,
        })
    }
}

/// Restricts grants to the owners and the projects of keys.
pub(crate) fn of_owners(
    mut grants: TenantStatement,
    keys: &[OrganizationApiKey],
) -> TenantStatement {
    let owners: BTreeSet<&str> = keys.iter().map(|key| key.key.owner_id()).collect();
    let projects = keys.iter().map(|key| key.project.id.as_str());
    let projects: BTreeSet<&str> = projects.chain([""]).collect();
    grants.push(" AND g.principal_id IN ").bind_list(owners);
    grants.push(" AND g.project_id IN ").bind_list(projects);
    grants
}

/// Marks keys for which there is a grant.
pub(crate) fn mark(keys: &mut [OrganizationApiKey], grants: &[AccessGrant]) {
    let grants: HashSet<&AccessGrant> = grants.iter().collect();
    for key in keys {
        let grant = |project: &str| AccessGrant {
            principal: key.key.owner_id().to_owned(),
            project: project.to_owned(),
        };
        let has_access =
            grants.contains(&grant("")) || grants.contains(&grant(key.project.id.as_str()));
        key.key.set_access(has_access);
    }
}

impl OrganizationApiKey {
    pub(crate) fn read(row: &Row<'_>) -> store::Result<Self> {
        let scopes: String = row.get("scopes")?;
        Ok(Self {
            key: ProjectApiKey::read(row)?,
            project: KeyProject {
                id: row.id("project_id")?,
                name: row.get("project_name")?,
            },
            scopes: PermissionList::from_json(&scopes),
        })
    }

    /// Returns the id and the name of the project.
    pub(crate) fn project(&self) -> (ProjectId, String) {
        (self.project.id.clone(), self.project.name.clone())
    }
}

impl Item for OrganizationApiKey {
    fn cursor(&self) -> String {
        self.key.cursor()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListAllKeys {
    /// Only keys with one of these ids.
    #[serde(default)]
    #[schemars(extend("x-orgplane" = true))]
    ids: Separated<String>,
    /// Only keys that expire before this time, in Unix seconds, or have expired.
    expires_before: Option<i64>,
    /// Only keys that were not used since this time, in Unix seconds, and are not newer.
    unused_since: Option<i64>,
    /// Only keys of this user or service account.
    owner_id: Option<String>,
    /// Only keys of this project.
    project_id: Option<String>,
    /// Only keys whose name contains this text, in any case.
    search: Option<Search>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last key of the previous page.
    after: Option<String>,
}

async fn list(
    mut cx: Read,
    _: Organization,
    query: ListAllKeys,
) -> Result<List<OrganizationApiKey>> {
    let whole = keys_of_organization!(cx);
    let mut list = whole.clone();
    if !query.ids.is_empty() {
        list.push(" AND k.id IN ").bind_list(query.ids);
    }
    if let Some(time) = query.expires_before {
        list.push(" AND k.expires_at < ").bind(UnixTime(time));
    }
    if let Some(time) = query.unused_since {
        list.push(" AND COALESCE(k.last_used_at, k.created_at) < ")
            .bind(UnixTime(time));
    }
    if let Some(owner) = query.owner_id {
        list.push(" AND COALESCE(k.user_id, k.service_account_id) = ")
            .bind(owner);
    }
    if let Some(project) = query.project_id {
        list.push(" AND k.project_id = ").bind(project);
    }
    if let Some(search) = query.search {
        search.within(&mut list, &["k.name"]);
    }
    let request = oldest_first(query.limit.0, query.after);
    let page = cx.page(&request, list, whole, "k.id", OrganizationApiKey::read);
    let mut page = page.await?;
    mark_access!(cx, page.rows);
    Ok(page.into())
}
