//! Founding an organization: what the first start and `orgplane org create` do. It has no URL.

pub mod owner_key;

use std::collections::HashSet;

use base::ids::{IdGenerator, KeyId, OrganizationId, ProjectId, UserId};
use base::permission::{OrganizationRole, PredefinedRole, ProjectRole};
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Result, UnixTime};
use serde_json::json;
use store::{Statement, Store, Transaction, sql};

use crate::operation::{Actor, AuditEntry, ChainHead, Event, EventType, append};

/// What founding an organization needs.
pub struct Founding<'a> {
    /// Where it will last.
    pub store: &'a Store,
    /// What its first key is hashed with.
    pub pepper: &'a Pepper,
    /// Its ids.
    pub ids: &'a IdGenerator,
    /// The time.
    pub clock: &'a Clock,
    /// What it is called.
    pub name: &'a str,
    /// The address of its first owner.
    pub owner_email: &'a str,
    /// Its first admin key.
    pub key: Secret,
}

/// What has been founded.
pub struct Founded {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its default project.
    pub project_id: ProjectId,
    /// Its owner.
    pub user_id: UserId,
    /// The first admin key, given back so that it can be shown once.
    pub key: Secret,
}

/// The turn of whoever founds the first organization; any number will do, as long as it stays the same.
const FIRST_START: i64 = 7_017_220_832;
const ANY: &str = "SELECT id FROM organizations LIMIT 1";

/// Whether there is an organization at all.
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

/// All organizations.
///
/// # Errors
/// The database's.
pub async fn all(store: &Store) -> Result<Vec<OrganizationId>> {
    let all = sql!("SELECT id FROM organizations ORDER BY id");
    let mut connection = store.read().await?;
    Ok(connection.fetch_all(all, |row| row.id("id")).await?)
}

/// The ids of an organization's projects, archived ones included.
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
/// The database's, such as a key that exists already.
pub async fn found(founding: Founding<'_>) -> Result<Founded> {
    let transaction = founding.store.begin().await?;
    found_in(transaction, founding).await
}

/// Creates an organization as [`found`] does, where there is none: of nodes that start at once on an empty database, one
/// does, and the others get `None`.
///
/// # Errors
/// Those of [`found`].
pub async fn found_first(founding: Founding<'_>) -> Result<Option<Founded>> {
    let mut transaction = founding.store.begin().await?;
    transaction.advisory_lock(FIRST_START).await?;
    let any = transaction.fetch_optional(sql!(ANY), |_| Ok(())).await?;
    if any.is_some() {
        return Ok(None);
    }
    found_in(transaction, founding).await.map(Some)
}

async fn found_in(mut transaction: Transaction, founding: Founding<'_>) -> Result<Founded> {
    let new = New {
        organization_id: founding.ids.next(),
        project_id: founding.ids.next(),
        user_id: founding.ids.next(),
        now: founding.clock.now(),
    };
    for statement in people(&founding, &new)
        .into_iter()
        .chain(first_project(&founding, &new))
        .chain(roles(&new))
    {
        transaction.execute(statement).await?;
    }
    record(&mut transaction, &founding, &new).await?;
    transaction.commit().await?;
    let New {
        organization_id,
        project_id,
        user_id,
        ..
    } = new;
    Ok(Founded {
        organization_id,
        project_id,
        user_id,
        key: founding.key,
    })
}

/// What is about to be there.
struct New {
    organization_id: OrganizationId,
    project_id: ProjectId,
    user_id: UserId,
    now: UnixTime,
}

/// The organization and its owner.
fn people(founding: &Founding<'_>, new: &New) -> [Statement; 2] {
    let New {
        organization_id: organization,
        project_id: project,
        user_id: user,
        now,
    } = new;
    [
        sql!(
            "INSERT INTO organizations (id, name, created_at, default_project_id, revision, audit_hash) \
             VALUES ($1, $2, $3, $4, 0, $5)",
            organization,
            founding.name,
            *now,
            project,
            Vec::<u8>::new()
        ),
        sql!(
            "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            organization,
            user,
            owner_name(founding.owner_email),
            founding.owner_email,
            founding.owner_email.to_lowercase(),
            OrganizationRole::Owner.as_str(),
            *now
        ),
    ]
}

/// The default project, and the key that opens everything.
fn first_project(founding: &Founding<'_>, new: &New) -> [Statement; 3] {
    let New {
        organization_id: organization,
        project_id: project,
        user_id: user,
        now,
    } = new;
    [
        sql!(
            "INSERT INTO projects (organization_id, id, name, created_at) VALUES ($1, $2, $3, $4)",
            organization,
            project,
            "Default project",
            *now
        ),
        sql!(
            "INSERT INTO project_users (organization_id, project_id, user_id, role, added_at) \
             VALUES ($1, $2, $3, $4, $5)",
            organization,
            project,
            user,
            ProjectRole::Owner.as_str(),
            *now
        ),
        sql!(
            "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, '[]', $8)",
            organization,
            &founding.ids.next::<KeyId>(),
            KeyKind::Admin.as_str(),
            user,
            "First admin key",
            founding.key.redacted(),
            founding.pepper.hash_secret(&founding.key),
            *now
        ),
    ]
}

/// The predefined roles, which every organization has.
fn roles(new: &New) -> [Statement; 5] {
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

/// What the owner is called until somebody says better: the part of the address before the `@`.
fn owner_name(email: &str) -> &str {
    email.split_once('@').map_or(email, |(name, _)| name)
}

async fn record(transaction: &mut Transaction, founding: &Founding<'_>, new: &New) -> Result<()> {
    let head = ChainHead::advance(transaction, &new.organization_id).await?;
    let details = json!({"name": founding.name});
    let entry = AuditEntry {
        id: founding.ids.next(),
        organization_id: new.organization_id.clone(),
        effective_at: new.now,
        project: None,
        actor: Actor::unknown(),
        event: Event::new(
            EventType::OrganizationCreated,
            &new.organization_id,
            details,
        ),
    };
    append(transaction, &head, entry).await
}
