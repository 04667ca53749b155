//! An admin key for an owner, made on the machine of the database: the way back in when every admin key is lost.

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

/// The parts of an owner's new admin key.
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
    /// The organization; needed only where the address is that of users in several.
    pub organization: Option<&'a OrganizationId>,
    /// The owner's address, in any spelling.
    pub email: &'a str,
    /// The name of the key.
    pub name: &'a Name,
}

/// A key that was made, at the one moment when its secret is at hand.
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

struct Found {
    organization: OrganizationId,
    id: UserId,
    email: String,
    role: OrganizationRole,
}

impl Found {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            organization: row.id("organization_id")?,
            id: row.id("id")?,
            email: row.get("email")?,
            role: row.word("role", OrganizationRole::parse)?,
        })
    }
}

/// Makes an admin key without an end for an owner, with its event in the audit log, in one transaction. A server that runs
/// on the database takes the key from then on.
///
/// # Errors
/// No user has the address, or users of several organizations have it; the user is no owner; the database's.
pub async fn issue(new: NewOwnerKey<'_>) -> Result<OwnerKey> {
    let mut connection = new.store.read().await?;
    let organization = find(&mut connection, &new).await?.organization;
    drop(connection);
    let mut transaction = new.store.begin().await?;
    let head = ChainHead::advance(&mut transaction, &organization).await?;
    // Nothing of the organization can change from here on.
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
        actor: Actor::unknown(),
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
async fn find(connection: &mut Connection, new: &NewOwnerKey<'_>) -> Result<Found> {
    let mut users = sql!(
        "SELECT organization_id, id, email, role FROM users WHERE email_key = $1",
        email_key(new.email)
    );
    if let Some(organization) = new.organization {
        users.push(" AND organization_id = ").bind(organization);
    }
    users.push(" ORDER BY organization_id");
    let mut found = connection.fetch_all(users, Found::read).await?;
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

fn not_an_owner(user: &Found) -> Error {
    let message = format!(
        "'{}' is not an owner of the organization '{}' but a {}: admin keys are made for owners.",
        user.email,
        user.organization,
        user.role.as_str()
    );
    Error::invalid("email", message)
}
