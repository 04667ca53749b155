//! Who may do what: the roles that people and accounts have, made into permissions.
//!
//! A request is known by its key, which the [`Directory`] has in memory together with what its owner may do. What one
//! person may do somewhere else is asked of the database. Both read the view `effective_grants` and make the same of
//! its rows, so they cannot disagree.
//!
//! What model servers keep for clients, and for which project, is in [`stored`].

mod authority;
mod directory;
mod limits;
mod retentions;
mod settings;
pub mod stored;

use std::collections::HashMap;

use base::PermissionSet;
use base::ids::{OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::permission::role_permissions;
use base::secret::KeyHash;
use store::{Connection, Read, Result, Row, sql};

pub use authority::{Authority, Validity};
pub use directory::{
    DEFAULT_MAX_AGE, Directory, Key, KeyHashes, Organization, Owner, Project, committed_key,
};
pub use limits::{LimitField, ModelLimits};
pub use retentions::retention_now;
pub use settings::{HostedTool, HostedTools, Level, ModelPolicy, Retention, Settings};
pub use store::{Order, PageRequest};

/// Whose permissions are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// A person.
    User(&'a UserId),
    /// An account of a program.
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

/// Two joins, each on one column, so that SQLite finds the keys of a grant by an index.
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
    WHERE g.organization_id = $1 AND g.principal_type = 'service_account' AND g.project_id = k.project_id";

/// What `principal` may do now in the organization or, with a project, there: what the roles allow that they have of
/// their own, and those of their groups, in both places.
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
    let grants = connection.fetch_all(statement, granted).await?;
    Ok(grants
        .into_iter()
        .fold(PermissionSet::default(), PermissionSet::union))
}

/// The same for the owner of every key of the organization, where the key belongs. A key that is missing here has an owner without roles.
///
/// # Errors
/// The database's.
pub async fn permissions_of_keys(
    read: Read,
    organization: &OrganizationId,
) -> Result<(Read, HashMap<KeyHash, PermissionSet>)> {
    let grant = |row: &Row<'_>| Ok((row.key_hash("hash")?, granted(row)?));
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

fn granted(row: &Row<'_>) -> Result<PermissionSet> {
    let (role, custom): (String, Option<String>) = (row.get("role_id")?, row.get("permissions")?);
    Ok(role_permissions(&role, custom.as_deref()))
}
