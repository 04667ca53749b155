//! Access control: permissions that result from roles, and a directory of keys.
//!
//! Requests are identified by their key, which the [`Directory`] has in memory together with the permissions of its owner.
//! Permissions elsewhere are read from the database. Both read the view `effective_grants` and decode its rows in the same
//! way, so they cannot disagree.

mod directory;

use std::collections::HashMap;

use base::PermissionSet;
use base::ids::{OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::permission::role_permissions;
use base::secret::KeyHash;
use store::{Connection, Read, Result, Row, sql};

pub use directory::{
    DEFAULT_MAX_AGE, Directory, DirectoryOptions, Key, KeyHashes, Organization, Owner, Project,
    committed_key,
};
pub use settings::{
    Authority, DefaultTier, HostedTool, HostedTools, LimitField, ModelLimits, ModelPolicy,
    OptionalTier, Retention, ScopeSettings, ServiceTiers, Settings, Validity, retention_now,
};
pub use store::{Order, PageRequest};

/// The holder of permissions.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// A user.
    User(&'a UserId),
    /// A service account.
    ServiceAccount(&'a ServiceAccountId),
}

impl<'a> From<&'a Owner> for Principal<'a> {
    fn from(owner: &'a Owner) -> Self {
        match owner {
            Owner::User { id, .. } => Self::User(id),
            Owner::ServiceAccount { id } => Self::ServiceAccount(id),
        }
    }
}

const GRANTS: &str = "\
    SELECT g.role_id, r.permissions \
    FROM effective_grants g LEFT JOIN roles r ON r.organization_id = g.organization_id AND r.id = g.role_id \
    WHERE g.organization_id = $1 AND g.principal_type = $2 AND g.principal_id = $3 \
      AND (g.project_id = '' OR g.project_id = $4)";

/// A session has the permissions of its user in the organization, as an admin key has.
///
/// Two joins on one column each let SQLite find the keys of a grant by an index; one join on either column would not.
const GRANTS_OF_KEYS: &str = "\
    SELECT k.hash, g.role_id, r.permissions \
    FROM effective_grants g \
    JOIN api_keys k ON k.organization_id = g.organization_id AND k.user_id = g.principal_id \
    LEFT JOIN roles r ON r.organization_id = g.organization_id AND r.id = g.role_id \
    WHERE g.organization_id = $1 AND g.principal_type = 'user' AND (g.project_id = '' OR g.project_id = k.project_id) \
    UNION ALL \
    SELECT k.hash, g.role_id, NULL \
    FROM effective_grants g \
    JOIN api_keys k ON k.organization_id = g.organization_id AND k.service_account_id = g.principal_id \
    WHERE g.organization_id = $1 AND g.principal_type = 'service_account' AND g.project_id = k.project_id \
    UNION ALL \
    SELECT s.hash, g.role_id, r.permissions \
    FROM effective_grants g \
    JOIN sessions s ON s.organization_id = g.organization_id AND s.user_id = g.principal_id \
    LEFT JOIN roles r ON r.organization_id = g.organization_id AND r.id = g.role_id \
    WHERE g.organization_id = $1 AND g.principal_type = 'user' AND g.project_id = ''";

/// Reads the permissions of `principal` in the organization or in one of its projects. They result from the roles in the
/// organization and in the project, the principal's own and those of its groups.
///
/// # Errors
/// The database's.
pub async fn permissions(
    connection: &mut Connection,
    organization: &OrganizationId,
    principal: Principal<'_>,
    project: Option<&ProjectId>,
) -> Result<PermissionSet> {
    let statement = match principal {
        Principal::User(id) => sql!(GRANTS, organization, "user", id, project),
        Principal::ServiceAccount(id) => {
            sql!(GRANTS, organization, "service_account", id, project)
        }
    };
    let grants = connection.fetch_all(statement, granted_permissions).await?;
    Ok(grants
        .into_iter()
        .fold(PermissionSet::default(), PermissionSet::union))
}

/// Reads the permissions of the owners of all keys and sessions of the organization, in each key's project. A key that is missing in the
/// result has an owner without roles.
///
/// # Errors
/// The database's.
pub async fn permissions_of_keys(
    read: Read,
    organization: &OrganizationId,
) -> Result<(Read, HashMap<KeyHash, PermissionSet>)> {
    let grant = |row: &Row<'_>| Ok((row.key_hash("hash")?, granted_permissions(row)?));
    let (read, grants) = read
        .fetch_all_blocking(sql!(GRANTS_OF_KEYS, organization), grant)
        .await?;
    let mut keys: HashMap<KeyHash, PermissionSet> = HashMap::new();
    for (key, allowed) in grants {
        let all = keys.entry(key).or_default();
        *all = all.union(allowed);
    }
    Ok((read, keys))
}

fn granted_permissions(row: &Row<'_>) -> Result<PermissionSet> {
    let (role, custom): (String, Option<String>) = (row.get("role_id")?, row.get("permissions")?);
    Ok(role_permissions(&role, custom.as_deref()))
}
