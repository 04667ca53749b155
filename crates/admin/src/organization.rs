//! Creation of organizations, by the first start and by `orgplane org create`. Has no URL.

pub mod owner_key;

use std::collections::HashSet;

use base::ids::{IdGenerator, KeyId, OrganizationId, ProjectId, UserId};
use base::permission::{OrganizationRole, PredefinedRole, ProjectRole};
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Result, UnixTime};
use serde_json::json;
use store::{Statement, Store, Transaction, sql};

use crate::operation::{Actor, AuditEntry, ChainHead, Event, EventType, append};

/// Parameters of a new organization.
pub struct Bootstrap<'a> {
    /// Store of the organization.
    pub store: &'a Store,
    /// Pepper for hashing the first key.
    pub pepper: &'a Pepper,
    /// Generator of ids.
    pub ids: &'a IdGenerator,
    /// Wall clock.
    pub clock: &'a Clock,
    /// Name of the organization.
    pub name: &'a str,
    /// E-mail address of the first owner.
    pub owner_email: &'a str,
    /// First admin key.
    pub key: Secret,
}

/// A new organization.
pub struct NewOrganization {
    /// Id of the organization.
    pub organization_id: OrganizationId,
    /// Id of the default project.
    pub project_id: ProjectId,
    /// Id of the owner.
    pub user_id: UserId,
    /// First admin key, to be shown once.
    pub key: Secret,
}

/// Id of the advisory lock for creating the first organization. The number is arbitrary but must not change.
const BOOTSTRAP_LOCK_ID: i64 = 7_017_220_832;
const ANY: &str = "SELECT id FROM organizations LIMIT 1";

/// Returns true if an organization exists.
///
/// # Errors
/// The database's.
pub async fn exists(store: &Store) -> Result<bool> {
    let mut connection = store.read().await?;
    Ok(connection
        .fetch_optional(sql!(ANY), |_| Ok(()))
        .await?
        .is_some())
}

/// Returns the ids of all organizations.
///
/// # Errors
/// The database's.
pub async fn all(store: &Store) -> Result<Vec<OrganizationId>> {
    let all = sql!("SELECT id FROM organizations ORDER BY id");
    let mut connection = store.read().await?;
    Ok(connection.fetch_all(all, |row| row.id("id")).await?)
}

/// Returns the ids of an organization's projects, archived ones included.
///
/// # Errors
/// The database's.
pub async fn projects(store: &Store, organization: &OrganizationId) -> Result<HashSet<String>> {
    let all = sql!(
        "SELECT id FROM projects WHERE organization_id = $1",
        organization
    );
    let mut connection = store.read().await?;
    let ids = connection.fetch_all(all, |row| row.get("id")).await?;
    Ok(ids.into_iter().collect())
}

/// Creates an organization with its default project, an owner and an admin key, in one transaction.
///
/// # Errors
/// The database's, for example if the key exists already.
pub async fn create(bootstrap: Bootstrap<'_>) -> Result<NewOrganization> {
    let transaction = bootstrap.store.begin().await?;
    create_in(transaction, bootstrap).await
}

/// Creates an organization like [`create`] if there is none, else returns `None`. Of nodes that start simultaneously on an
/// empty database, exactly one creates the organization.
///
/// # Errors
/// Those of [`create`].
pub async fn create_first(bootstrap: Bootstrap<'_>) -> Result<Option<NewOrganization>> {
    let mut transaction = bootstrap.store.begin().await?;
    transaction.advisory_lock(BOOTSTRAP_LOCK_ID).await?;
    let any = transaction.fetch_optional(sql!(ANY), |_| Ok(())).await?;
    if any.is_some() {
        return Ok(None);
    }
    create_in(transaction, bootstrap).await.map(Some)
}

async fn create_in(
    mut transaction: Transaction,
    bootstrap: Bootstrap<'_>,
) -> Result<NewOrganization> {
    let new = NewIds {
        organization_id: bootstrap.ids.next(),
        project_id: bootstrap.ids.next(),
        user_id: bootstrap.ids.next(),
        now: bootstrap.clock.now(),
    };
    for statement in people(&bootstrap, &new)
        .into_iter()
        .chain(first_project(&bootstrap, &new))
        .chain(roles(&new))
    {
        transaction.execute(statement).await?;
    }
    record(&mut transaction, &bootstrap, &new).await?;
    transaction.commit().await?;
    Ok(NewOrganization {
        organization_id: new.organization_id,
        project_id: new.project_id,
        user_id: new.user_id,
        key: bootstrap.key,
    })
}

/// Ids of an organization that is being created.
struct NewIds {
    organization_id: OrganizationId,
    project_id: ProjectId,
    user_id: UserId,
    now: UnixTime,
}

/// Returns the statements that insert the organization and its owner.
fn people(bootstrap: &Bootstrap<'_>, new: &NewIds) -> [Statement; 2] {
    [
        sql!(
            "INSERT INTO organizations (id, name, created_at, default_project_id, revision, audit_hash) \
             VALUES ($1, $2, $3, $4, 0, $5)",
            &new.organization_id,
            bootstrap.name,
            new.now,
            &new.project_id,
            Vec::<u8>::new()
        ),
        sql!(
            "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &new.organization_id,
            &new.user_id,
            owner_name(bootstrap.owner_email),
            bootstrap.owner_email,
            bootstrap.owner_email.to_lowercase(),
            OrganizationRole::Owner.as_str(),
            new.now
        ),
    ]
}

/// Returns the statements that insert the default project and the first admin key.
fn first_project(bootstrap: &Bootstrap<'_>, new: &NewIds) -> [Statement; 3] {
    [
        sql!(
            "INSERT INTO projects (organization_id, id, name, created_at) VALUES ($1, $2, $3, $4)",
            &new.organization_id,
            &new.project_id,
            "Default project",
            new.now
        ),
        sql!(
            "INSERT INTO project_users (organization_id, project_id, user_id, role, added_at) \
             VALUES ($1, $2, $3, $4, $5)",
            &new.organization_id,
            &new.project_id,
            &new.user_id,
            ProjectRole::Owner.as_str(),
            new.now
        ),
        sql!(
            "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, '[]', $8)",
            &new.organization_id,
            &bootstrap.ids.next::<KeyId>(),
            KeyKind::Admin.as_str(),
            &new.user_id,
            "First admin key",
            bootstrap.key.redacted(),
            bootstrap.pepper.hash_secret(&bootstrap.key),
            new.now
        ),
    ]
}

/// Returns the statements that insert the predefined roles.
fn roles(new: &NewIds) -> [Statement; 5] {
    PredefinedRole::ALL.map(|role| {
        sql!(
            "INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, permissions, \
                 predefined, created_at, updated_at) \
             VALUES ($1, $2, $3, '', $4, $4, '[]', TRUE, $5, $5)",
            &new.organization_id,
            &role.id(&new.organization_id),
            role.resource_type(),
            role.name(),
            new.now
        )
    })
}

/// Returns the provisional name of the owner: the part of the address before the `@`.
fn owner_name(email: &str) -> &str {
    email.split_once('@').map_or(email, |(name, _)| name)
}

async fn record(
    transaction: &mut Transaction,
    bootstrap: &Bootstrap<'_>,
    new: &NewIds,
) -> Result<()> {
    let head = ChainHead::advance(transaction, &new.organization_id).await?;
    let details = json!({"name": bootstrap.name});
    let entry = AuditEntry {
        id: bootstrap.ids.next(),
        organization_id: new.organization_id.clone(),
        effective_at: new.now,
        project: None,
        actor: Actor::default(),
        event: Event::new(
            EventType::OrganizationCreated,
            &new.organization_id,
            details,
        ),
    };
    append(transaction, &head, entry).await
}
