//! Operations that are common to keys of all kinds.

pub(crate) mod rotate;

use access::Principal;
use base::ids::{KeyId, ProjectId, ServiceAccountId, UserId};
use base::name::Name;
use base::permission::PermissionList;
use base::secret::{KeyKind, Secret};
use base::{Error, PermissionSet, Result, UnixTime, inline_schema};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::operation::{Event, EventType, TenantStatement, Write, missing};
use crate::roles::grant::may_grant;
use crate::{args, tenant_sql};

/// The owner of a key to be issued, which determines the kind of the key.
pub enum NewOwner<'a> {
    /// A user, for an admin key.
    Admin(&'a UserId),
    /// A user of a project.
    User(&'a ProjectId, &'a UserId),
    /// A service account of a project.
    ServiceAccount(&'a ProjectId, &'a ServiceAccountId),
}

/// A newly issued key with its secret.
pub struct IssuedKey {
    /// Id.
    pub id: KeyId,
    /// Redacted form, for later answers.
    pub redacted: String,
    /// Secret.
    pub value: Secret,
    /// Time of creation.
    pub created_at: UnixTime,
    /// Time of expiry, if any.
    pub expires_at: Option<UnixTime>,
}

/// The lifetime of a key in seconds: 1 to 31,536,000 (a year).
#[derive(Clone, Copy, Debug)]
pub struct Lifetime(pub i64);

/// Maximum lifetime: a year.
const MAX_LIFETIME_SECONDS: i64 = 31_536_000;

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        if (1..=MAX_LIFETIME_SECONDS).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(serde::de::Error::custom(format_args!(
            "must be 1 to {MAX_LIFETIME_SECONDS} seconds"
        )))
    }
}

inline_schema!(Lifetime, "Lifetime", |_| json_schema!({
    "type": "integer", "minimum": 1, "maximum": MAX_LIFETIME_SECONDS,
}));

/// Permissions that a key is restricted to, in the order in which they were given. An empty list does not restrict the key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Scopes(PermissionList);

impl Scopes {
    /// Parses a JSON array of names, as the table has it.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        Self(PermissionList::from_json(json))
    }

    /// Returns the names as a JSON array, for the table.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// Returns the allowed permissions.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        PermissionSet::from_scopes(&self.to_json())
    }

    /// Iterates over the names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.names()
    }
}

/// Refuses to issue a key, or to widen a key's scopes, beyond the caller's own permissions.
///
/// # Errors
/// 403 naming the permission that the caller lacks; the database's.
pub async fn may_issue(cx: &mut Write, owner: &NewOwner<'_>, scopes: &Scopes) -> Result<()> {
    let scopes = scopes.permissions();
    let (project, principal) = match owner {
        // An admin key has its owner's permissions, but must not exceed the scopes of the key that issues it.
        NewOwner::Admin(_) => {
            let narrowed = cx.permit().caller().map(|caller| caller.scopes);
            let lacked = scopes.without(narrowed.unwrap_or_default()).iter().next();
            return lacked.map_or(Ok(()), |lacked| Err(missing(lacked)));
        }
        NewOwner::User(project, user) => (project, Principal::User(user)),
        NewOwner::ServiceAccount(project, account) => (project, Principal::ServiceAccount(account)),
    };
    let of_owner = cx.permissions_of(principal, Some(project)).await?;
    may_grant(cx, Some(project), of_owner.intersection(scopes)).await
}

/// Issues a key. Only its hash is stored.
///
/// # Errors
/// 403 if the key would have permissions that the caller lacks; the database's.
pub async fn issue(
    cx: &mut Write,
    owner: NewOwner<'_>,
    name: &Name,
    scopes: &Scopes,
    lifetime: Option<Lifetime>,
) -> Result<IssuedKey> {
    let kind = match owner {
        NewOwner::Admin(_) => KeyKind::Admin,
        NewOwner::User(..) => KeyKind::User,
        NewOwner::ServiceAccount(..) => KeyKind::ServiceAccount,
    };
    let (project, user, account) = match owner {
        NewOwner::Admin(user) => (None, Some(user), None),
        NewOwner::User(project, user) => (Some(project), Some(user), None),
        NewOwner::ServiceAccount(project, account) => (Some(project), None, Some(account)),
    };
    may_issue(cx, &owner, scopes).await?;
    let value = Secret::generate(kind, cx.entropy());
    let hash = cx.pepper().hash_secret(&value);
    let created_at = cx.now();
    let expires_at = lifetime.map(|lifetime| created_at.plus(lifetime.0));
    let issued = IssuedKey {
        id: cx.new_id(),
        redacted: value.redacted(),
        value,
        created_at,
        expires_at,
    };
    let insert = tenant_sql!(
        cx,
        "INSERT INTO api_keys (organization_id, id, kind, project_id, user_id, service_account_id, name, \
             redacted_value, hash, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            &issued.id,
            kind.as_str(),
            project,
            user,
            account,
            name.as_str(),
            issued.redacted.as_str(),
            hash,
            scopes.to_json(),
            created_at,
            expires_at
        ],
    );
    cx.execute(insert).await?;
    Ok(issued)
}

/// Returns 400: an expired key cannot be changed.
#[must_use]
pub fn expired(id: &KeyId) -> Error {
    Error::refused(
        "expired_api_key",
        format!("The API key '{id}' has expired. Create a new one."),
    )
}

/// Returns the audit event of a key's creation.
#[must_use]
pub fn created_event(id: &KeyId, scopes: &Scopes) -> Event {
    let names: serde_json::Value = scopes.names().collect();
    Event::new(
        EventType::ApiKeyCreated,
        id,
        json!({"data": {"scopes": names}}),
    )
}

/// Restricts a statement that selects keys `k` to the key with this id.
#[must_use]
pub fn one(mut keys: TenantStatement, id: &KeyId) -> TenantStatement {
    keys.push(" AND k.id = ").bind(id);
    keys
}

/// Deletes a key.
///
/// # Errors
/// 404 if the key does not exist; the database's.
pub async fn delete(cx: &mut Write, id: &KeyId) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM api_keys WHERE organization_id = $1 AND id = $2",
        args![id],
    );
    cx.delete(id, delete).await
}

/// Deserializes a field that may be absent, but not `null`.
///
/// # Errors
/// The value is `null` or not a `T`.
pub fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
