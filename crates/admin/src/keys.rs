//! What keys of every kind have in common: they are issued, narrowed, found and deleted alike.

use access::Principal;
use base::ids::{Id, KeyId, ProjectId, ServiceAccountId, UserId};
use base::name::Name;
use base::permission::{OrganizationRole, PermissionList};
use base::secret::{KeyKind, Secret};
use base::time::DAY;
use base::{Error, PermissionSet, Result, UnixTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::operation::{Event, EventType, TenantStatement, Write, missing};
use crate::roles::realm::may_grant;
use crate::{args, tenant_sql};

/// Who owns a key that is about to be issued, and so of what kind it is.
pub enum NewOwner<'a> {
    /// An administrator.
    Admin(&'a UserId),
    /// A user in a project.
    User(&'a ProjectId, &'a UserId),
    /// A service account.
    ServiceAccount(&'a ProjectId, &'a ServiceAccountId),
}

/// A key that has just been issued: the only time that its secret is at hand.
pub struct Issued {
    /// The key's id.
    pub id: KeyId,
    /// What may be shown later.
    pub redacted: String,
    /// The secret.
    pub value: Secret,
    /// When it was issued.
    pub created_at: UnixTime,
    /// When it ends, if it does.
    pub expires_at: Option<UnixTime>,
}

/// How long a key lives, in seconds: 1 to 31,536,000 (a year).
#[derive(Clone, Copy, Debug)]
pub struct Lifetime(pub i64);

const LONGEST: i64 = 31_536_000;

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        if (1..=LONGEST).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(serde::de::Error::custom(format_args!(
            "must be 1 to {LONGEST} seconds"
        )))
    }
}

impl JsonSchema for Lifetime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lifetime".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": LONGEST })
    }
}

/// What a key may do at the most: permission names in the order in which they were given; an empty list narrows nothing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Scopes(PermissionList);

impl Scopes {
    /// The names, as a JSON array for the table.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// What they leave of everything.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        PermissionSet::from_scopes(&self.to_json())
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.names()
    }
}

/// Refuses a key, or wider scopes of a key, that can do what the caller cannot.
///
/// # Errors
/// 403 naming what the caller lacks; the database's.
pub async fn may_issue(cx: &mut Write, owner: &NewOwner<'_>, scopes: &Scopes) -> Result<()> {
    let scopes = scopes.permissions();
    let (project, principal) = match owner {
        // Whatever the issuer may do, the key may: but no more than the issuer's own key.
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

/// Issues a key: its hash is kept, its secret given back once.
///
/// # Errors
/// 403: the key could do what the caller cannot; the database's.
pub async fn issue(
    cx: &mut Write,
    owner: NewOwner<'_>,
    name: &Name,
    scopes: &Scopes,
    lifetime: Option<Lifetime>,
) -> Result<Issued> {
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
    let issued = Issued {
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

/// 400: a key that has ended cannot be changed.
#[must_use]
pub fn expired(id: &KeyId) -> Error {
    Error::refused(
        "expired_api_key",
        format!("The API key '{id}' has expired. Create a new one."),
    )
}

/// The event of a key's creation.
#[must_use]
pub fn created_event(id: &KeyId, scopes: &Scopes) -> Event {
    let names: serde_json::Value = scopes.names().collect();
    Event::new(
        EventType::ApiKeyCreated,
        id,
        json!({"data": {"scopes": names}}),
    )
}

/// The one of some keys, which the statement calls `k`, that has this id.
#[must_use]
pub fn one(mut keys: TenantStatement, id: &KeyId) -> TenantStatement {
    keys.push(" AND k.id = ").bind(id);
    keys
}

/// Deletes a key.
///
/// # Errors
/// 404 when there is none; the database's.
pub async fn delete(cx: &mut Write, id: &KeyId) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM api_keys WHERE organization_id = $1 AND id = $2",
        args![id],
    );
    match cx.execute(delete).await? {
        0 => Err(Error::not_found(KeyId::NOUN, id.as_str())),
        _ => Ok(()),
    }
}

/// The time for which an owner's admin key must still work so that another one may go, in seconds: 30 days.
pub const MIN_ADMINISTRABLE: i64 = 30 * DAY;

/// Returns until when the organization can be administered: the end of that admin key of an owner which ends last, the
/// end of time where one has no end, and the beginning where no owner has a key. Whoever is an owner only through a
/// group is none here: groups change without a look at the keys.
///
/// # Errors
/// The database's.
pub(crate) async fn administrable_until(cx: &mut Write) -> Result<UnixTime> {
    let longest = tenant_sql!(
        cx,
        "SELECT COALESCE(k.expires_at, $4) AS until \
         FROM api_keys k JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
         WHERE k.organization_id = $1 AND k.kind = $2 AND u.role = $3 AND k.scopes = '[]' ORDER BY 1 DESC LIMIT 1",
        args![
            KeyKind::Admin.as_str(),
            OrganizationRole::Owner.as_str(),
            UnixTime(i64::MAX)
        ],
    );
    let longest = cx.fetch_optional(longest, |row| row.time("until")).await?;
    Ok(longest.unwrap_or(UnixTime(i64::MIN)))
}

/// Refuses a change that was made within this transaction and leaves the organization without an owner's admin key that
/// has no end, or works for [`MIN_ADMINISTRABLE`] more; unless it was no better `before`.
///
/// # Errors
/// 400 `last_admin_key`; the database's.
pub(crate) async fn keep_administrable(cx: &mut Write, before: UnixTime) -> Result<()> {
    let until = administrable_until(cx).await?;
    if until >= before || until >= cx.now().plus(MIN_ADMINISTRABLE) {
        return Ok(());
    }
    let days = MIN_ADMINISTRABLE / DAY;
    let message = format!(
        "No owner would have an admin key that works for {days} days more: the organization could not be administered \
         any more. Create an admin key without an end as an owner who stays one, or have one made on the machine of the \
         database: 'orgplane org key --email OWNER'."
    );
    Err(Error::refused("last_admin_key", message))
}

/// Reads a field that may be absent but not `null`.
///
/// # Errors
/// It is `null`, or not a `T`.
pub fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
