//! Recovery: an admin key for an owner, issued directly in the database after all admin keys are lost.

use access::Owner;
use base::email::email_key;
use base::ids::{Id, IdGenerator, KeyId, OrganizationId, UserId};
use base::name::Name;
use base::permission::OrganizationRole;
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy, Error, Result};
use serde_json::json;
use store::{Connection, Row, Store, sql};

use crate::operation::{Actor, AuditEntry, ChainHead, Event, EventType, append};

/// Parameters of an owner's new admin key.
pub struct NewOwnerKey<'a> {
    /// The store that keeps the key.
    pub store: &'a Store,
    /// The secret that the key is hashed with.
    pub pepper: &'a Pepper,
    /// The source of the key's id.
    pub ids: &'a IdGenerator,
    /// The time.
    pub clock: &'a Clock,
    /// The source of the key's randomness.
    pub entropy: &'a Entropy,
    /// Id of the organization; required if users of several organizations have the address.
    pub organization: Option<&'a OrganizationId>,
    /// The owner's address, in any spelling.
    pub email: &'a str,
    /// The name of the key.
    pub name: &'a Name,
}

/// A new admin key with its secret.
pub struct OwnerKey {
    /// The organization that it administers.
    pub organization_id: OrganizationId,
    /// The owner of the key.
    pub owner: Owner,
    /// The id of the key.
    pub id: KeyId,
    /// The secret.
    pub key: Secret,
}

struct FoundOwner {
    organization: OrganizationId,
    id: UserId,
    email: String,
    role: OrganizationRole,
}

impl FoundOwner {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            organization: row.id("organization_id")?,
            id: row.id("id")?,
            email: row.get("email")?,
            role: row.word("role", OrganizationRole::parse)?,
        })
    }
}

/// Issues an admin key without expiry for an owner, and records it in the audit log. Running servers accept the key from
/// then on.
///
/// # Errors
/// 400 if no user or several users have the address, or if the user is not an owner; the database's.
pub async fn issue(new: NewOwnerKey<'_>) -> Result<OwnerKey> {
    let mut connection = new.store.read().await?;
    let organization = find(&mut connection, &new).await?.organization;
    drop(connection);
    let mut transaction = new.store.begin().await?;
    let head = ChainHead::advance(&mut transaction, &organization).await?;
    // This transaction holds the organization's lock: the user found here stays unchanged.
    let organization_only = NewOwnerKey {
        organization: Some(&organization),
        ..new
    };
    let owner = find(&mut transaction, &organization_only).await?;
    if owner.role != OrganizationRole::Owner {
        return Err(not_an_owner(&owner));
    }
    let key = Secret::generate(KeyKind::Admin, new.entropy);
    let (id, now): (KeyId, _) = (new.ids.next(), new.clock.now());
    let insert = sql!(
        "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, '[]', $8)",
        &organization,
        &id,
        KeyKind::Admin.as_str(),
        &owner.id,
        new.name.as_str(),
        key.redacted(),
        new.pepper.hash_secret(&key),
        now
    );
    transaction.execute(insert).await?;
    let details = json!({"user_id": owner.id, "data": {"scopes": []}});
    let entry = AuditEntry {
        id: new.ids.next(),
        organization_id: organization.clone(),
        effective_at: now,
        project: head.default_project.clone(),
        actor: Actor::default(),
        event: Event::new(EventType::ApiKeyCreated, &id, details),
    };
    append(&mut transaction, &head, entry).await?;
    transaction.commit().await?;
    Ok(OwnerKey {
        organization_id: organization,
        owner: Owner::User {
            id: owner.id,
            email: owner.email,
        },
        id,
        key,
    })
}

/// Finds the only user with the address.
async fn find(connection: &mut Connection, new: &NewOwnerKey<'_>) -> Result<FoundOwner> {
    let mut users = sql!(
        "SELECT organization_id, id, email, role FROM users WHERE email_key = $1",
        email_key(new.email)
    );
    if let Some(organization) = new.organization {
        users.push(" AND organization_id = ").bind(organization);
    }
    users.push(" ORDER BY organization_id");
    let mut found = connection.fetch_all(users, FoundOwner::read).await?;
    if found.len() > 1 {
        let organizations: Vec<_> = found.iter().map(|one| one.organization.as_str()).collect();
        let message = format!(
            "'{}' is a user of several organizations: say which, {}.",
            new.email,
            organizations.join(" or ")
        );
        return Err(Error::invalid("organization", message));
    }
    found.pop().ok_or_else(|| unknown(new))
}

fn unknown(new: &NewOwnerKey<'_>) -> Error {
    let organization = new.organization.map(Id::as_str);
    let place = organization.map_or(String::new(), |id| format!(" in the organization '{id}'"));
    let message = format!("No user has the address '{}'{place}.", new.email);
    Error::invalid("email", message)
}

fn not_an_owner(user: &FoundOwner) -> Error {
    let message = format!(
        "'{}' is not an owner of the organization '{}' but a {}: admin keys are made for owners.",
        user.email,
        user.organization,
        user.role.as_str()
    );
    Error::invalid("email", message)
}
