//! Loading of keys and sessions from the database.

use std::collections::HashMap;
use std::sync::Arc;

use base::PermissionSet;
use base::UnixTime;
use base::ids::{Id, KeyId, OrganizationId, ProjectId, SessionId};
use base::permission::OrganizationRole;
use base::secret::{KeyHash, KeyKind};
use http::HeaderValue;
use store::{Connection, Read, Result, Row, Statement, sql};

use super::invalidation::KeySelection;
use super::{Key, Organization, Owner, Project};
use crate::{Principal, permissions, permissions_of_keys};

const KEYS: &str = "\
    SELECT k.hash, k.id, k.kind, k.user_id, k.service_account_id, k.scopes, k.expires_at, \
           p.id AS known_project_id, p.archived_at, COALESCE(u.id, s.id) AS known_owner_id, u.email, u.role \
    FROM api_keys k \
    LEFT JOIN projects p ON p.organization_id = k.organization_id AND p.id = k.project_id \
    LEFT JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
    LEFT JOIN service_accounts s \
        ON s.organization_id = k.organization_id AND s.project_id = k.project_id AND s.id = k.service_account_id \
    WHERE ";

/// Sessions, in the columns of [`KEYS`].
const SESSIONS: &str = "\
    SELECT s.hash, s.id, 'session' AS kind, s.user_id, CAST(NULL AS TEXT) AS service_account_id, '[]' AS scopes, \
           s.expires_at, CAST(NULL AS TEXT) AS known_project_id, CAST(NULL AS BIGINT) AS archived_at, \
           u.id AS known_owner_id, u.email, u.role \
    FROM sessions s \
    LEFT JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id \
    WHERE ";

/// Reads a key or a session from the database, bypassing the directory's snapshot. Returns `None` if it does not exist any
/// more. Within a transaction that holds the organization's lock, the key cannot change before the transaction ends.
///
/// # Errors
/// The database's.
pub async fn committed_key(
    connection: &mut Connection,
    organization: &OrganizationId,
    id: &KeyId,
) -> Result<Option<Arc<Key>>> {
    let mut rows = Vec::new();
    for statement in statements(organization, &KeySelection::Key(id.clone())) {
        rows.extend(connection.fetch_all(statement, KeyRow::read).await?);
    }
    let keys = with_permissions(connection, organization, rows).await?;
    Ok(keys.into_iter().map(|(_, key)| key).next())
}

/// Loads the selected keys and sessions of an organization.
pub(super) async fn load_keys(
    mut read: Read,
    organization: &OrganizationId,
    selection: &KeySelection,
) -> Result<(Read, Vec<(KeyHash, Arc<Key>)>)> {
    let mut rows = Vec::new();
    for statement in statements(organization, selection) {
        let (returned, more) = read.fetch_all_blocking(statement, KeyRow::read).await?;
        read = returned;
        rows.extend(more);
    }
    if *selection == KeySelection::All {
        return with_all_permissions(read, organization, rows).await;
    }
    let keys = with_permissions(&mut read, organization, rows).await?;
    Ok((read, keys))
}

/// Returns the statements that read the selected keys and sessions.
fn statements(organization: &OrganizationId, selection: &KeySelection) -> Vec<Statement> {
    let (mut keys, mut sessions) = (sql!(KEYS), sql!(SESSIONS));
    keys.push("k.organization_id = ").bind(organization);
    sessions.push("s.organization_id = ").bind(organization);
    match selection {
        KeySelection::All => return vec![keys, sessions],
        KeySelection::Key(id) if id.as_str().starts_with(SessionId::PREFIX) => {
            sessions.push(" AND s.id = ").bind(id);
            return vec![sessions];
        }
        KeySelection::Sessions(user) => {
            sessions.push(" AND s.user_id = ").bind(user);
            return vec![sessions];
        }
        KeySelection::Key(id) => keys.push(" AND k.id = ").bind(id),
        KeySelection::ServiceAccount(id) => keys.push(" AND k.service_account_id = ").bind(id),
        KeySelection::Project(id) => keys.push(" AND k.project_id = ").bind(id),
    };
    vec![keys]
}

/// Resolves the permissions of all owners by one query.
async fn with_all_permissions(
    read: Read,
    organization: &OrganizationId,
    rows: Vec<KeyRow>,
) -> Result<(Read, Vec<(KeyHash, Arc<Key>)>)> {
    let (read, allowed) = permissions_of_keys(read, organization).await?;
    let mut shared = SharedParts::new(organization);
    let keys = rows.into_iter().filter_map(|row| {
        let of_owner = allowed.get(&row.hash).copied().unwrap_or_default();
        Some((row.hash, Arc::new(shared.key(row, of_owner)?)))
    });
    let keys = keys.collect();
    Ok((read, keys))
}

/// Resolves the permissions of each key's owner by a query of its own.
async fn with_permissions(
    connection: &mut Connection,
    organization: &OrganizationId,
    rows: Vec<KeyRow>,
) -> Result<Vec<(KeyHash, Arc<Key>)>> {
    let mut shared = SharedParts::new(organization);
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let project = row.project.as_ref().map(|(id, _)| id);
        let of_owner = match &row.owner {
            Some(owner) => {
                permissions(connection, organization, Principal::from(owner), project).await?
            }
            None => PermissionSet::default(),
        };
        let hash = row.hash;
        keys.extend(shared.key(row, of_owner).map(|key| (hash, Arc::new(key))));
    }
    Ok(keys)
}

struct KeyRow {
    hash: KeyHash,
    id: KeyId,
    kind: Option<KeyKind>,
    /// The key's project, and the time of its archival.
    project: Option<(ProjectId, Option<UnixTime>)>,
    owner: Option<Owner>,
    owner_exists: bool,
    is_owners: bool,
    scopes: String,
    expires_at: Option<UnixTime>,
}

impl KeyRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let hash = row.key_hash("hash")?;
        let id = row.id("id")?;
        let kind = KeyKind::parse(&row.get::<String>("kind")?);
        let (user, account) = (
            row.optional_id("user_id")?,
            row.optional_id("service_account_id")?,
        );
        let scopes = row.get("scopes")?;
        let expires_at = row.optional_time("expires_at")?;
        let project = row.optional_id("known_project_id")?;
        let archived_at = row.optional_time("archived_at")?;
        let owner_exists = row.get::<Option<String>>("known_owner_id")?.is_some();
        let email: Option<String> = row.get("email")?;
        let role: Option<String> = row.get("role")?;
        let owner = match (user, account) {
            (Some(id), _) => Some(Owner::User {
                id,
                email: email.unwrap_or_default(),
            }),
            (None, account) => account.map(|id| Owner::ServiceAccount { id }),
        };
        Ok(Self {
            hash,
            id,
            kind,
            project: project.map(|id| (id, archived_at)),
            owner,
            owner_exists,
            is_owners: role.as_deref() == Some(OrganizationRole::Owner.as_str()),
            scopes,
            expires_at,
        })
    }
}

/// Parts that several keys of an organization share.
struct SharedParts {
    organization: Arc<Organization>,
    projects: HashMap<ProjectId, Arc<Project>>,
}

impl SharedParts {
    fn new(organization: &OrganizationId) -> Self {
        let header = HeaderValue::from_str(organization.as_str());
        Self {
            organization: Arc::new(Organization {
                id: organization.clone(),
                header: header.unwrap_or(HeaderValue::from_static("")),
            }),
            projects: HashMap::new(),
        }
    }

    /// Builds a key; `None` if its kind is unknown or it has no owner, so that it is never accepted.
    fn key(&mut self, row: KeyRow, of_owner: PermissionSet) -> Option<Key> {
        let project = row.project.map(|(id, archived_at)| {
            let project = self.projects.entry(id.clone()).or_insert_with(|| {
                Arc::new(Project {
                    id,
                    is_archived: archived_at.is_some(),
                })
            });
            Arc::clone(project)
        });
        let scopes = PermissionSet::from_scopes(&row.scopes);
        Some(Key {
            id: row.id,
            kind: row.kind?,
            organization: Arc::clone(&self.organization),
            project,
            owner: row.owner?,
            owner_exists: row.owner_exists,
            is_owners: row.is_owners,
            scopes,
            permissions: of_owner.intersection(scopes),
            expires_at: row.expires_at,
        })
    }
}
