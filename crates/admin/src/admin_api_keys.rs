//! `/organization/admin_api_keys`: admin keys.

use base::ids::{KeyId, UserId};
use base::name::Name;
use base::permission::OrganizationRole;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Order, Row};

use crate::keys::rotate::{ReplacedKey, RotateKey, Rotation};
use crate::keys::{self, Lifetime, NewOwner, Scopes};
use crate::list::{Deleted, List, list_item, page_after};
use crate::literal::literals;
use crate::lockout::{administrable_until, keep_administrable};
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, OrderBy, Organization, Read, ScopedId,
    Write, operations,
};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{AdminApiKeysRead as CanRead, AdminApiKeysWrite as CanWrite};
    const ALL: &str = "/organization/admin_api_keys";
    const ONE: &str = "/organization/admin_api_keys/{key_id}";
    const ROTATE: &str = "/organization/admin_api_keys/{key_id}/rotate";
    const REPLACE: &str = "Replaces an admin key of the caller by a new one. The old one works for some time beside it.";
    const CREATE: &str =
        "Creates an admin key for the owner of the calling key. The secret is shown once.";
    const DELETE: &str = "Deletes an admin key, which is refused from then on.";
    operations! {
        GET "admin-api-keys list", ALL, CanRead, "Lists the organization's admin keys.", list;
        POST "admin-api-keys create", ALL, CanWrite, CREATE, create;
        GET "admin-api-keys retrieve", ONE, CanRead, "Retrieves an admin key, without its secret.", retrieve;
        DELETE "admin-api-keys delete", ONE, CanWrite, DELETE, delete;
        POST "admin-api-keys rotate", ROTATE, CanWrite, REPLACE, rotate, extension;
    }
}

literals! {
    AdminApiKeyObject = "organization.admin_api_key";
    AdminApiKeyDeleted = "organization.admin_api_key.deleted";
    OwnerObject = "organization.user";
}

/// An admin key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdminApiKey {
    object: AdminApiKeyObject,
    id: KeyId,
    name: String,
    redacted_value: String,
    created_at: UnixTime,
    last_used_at: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    owner: AdminKeyOwner,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AdminKeyOwner {
    r#type: &'static str,
    object: OwnerObject,
    id: UserId,
    name: String,
    created_at: UnixTime,
    role: OrganizationRole,
}

const KEYS: &str = "\
    SELECT k.id, k.name, k.redacted_value, k.created_at, k.last_used_at, k.expires_at, k.user_id, \
           u.name AS user_name, u.added_at, u.role \
    FROM api_keys k JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
    WHERE k.organization_id = $1 AND k.kind = 'admin'";

impl AdminApiKey {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: AdminApiKeyObject,
            id: row.id("id")?,
            name: row.get("name")?,
            redacted_value: row.get("redacted_value")?,
            created_at: row.time("created_at")?,
            last_used_at: row.optional_time("last_used_at")?,
            expires_at: row.optional_time("expires_at")?,
            owner: AdminKeyOwner {
                r#type: "user",
                object: OwnerObject,
                id: row.id("user_id")?,
                name: row.get("user_name")?,
                created_at: row.time("added_at")?,
                role: row.word("role", OrganizationRole::parse)?,
            },
        })
    }
}

list_item!(AdminApiKey, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListAdminKeys {
    /// The id of the last key of the previous page.
    after: Option<String>,
    /// Order of creation: oldest first (`asc`, the default) or newest first (`desc`).
    order: Option<OrderBy>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
}

async fn list(mut cx: Read, _: Organization, query: ListAdminKeys) -> Result<List<AdminApiKey>> {
    let list = tenant_sql!(cx, KEYS, args![]);
    let order = query.order.map_or(Order::Ascending, Order::from);
    let request = page_after(query.limit.0, query.after, order);
    cx.list(&request, list.clone(), list, "k.id", AdminApiKey::read)
        .await
}

/// A new key with its secret, which is shown only once.
#[derive(Serialize, JsonSchema)]
struct CreatedAdminKey {
    #[serde(flatten)]
    key: AdminApiKey,
    /// The secret. It is shown only here, and is not stored.
    value: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateAdminKey {
    name: Name,
    /// Lifetime in seconds, 1 to 31,536,000; absent for a key that does not expire.
    expires_in_seconds: Option<Lifetime>,
}

async fn create(
    mut cx: Write,
    _: Organization,
    body: CreateAdminKey,
) -> Result<Done<CreatedAdminKey>> {
    let owner = cx.permit().user()?.clone();
    let scopes = Scopes::default();
    let issued = keys::issue(
        &mut cx,
        NewOwner::Admin(&owner),
        &body.name,
        &scopes,
        body.expires_in_seconds,
    )
    .await?;
    let key = keys::one(tenant_sql!(cx, KEYS, args![]), &issued.id);
    let key = cx.find(&issued.id, key, AdminApiKey::read).await?;
    let event = keys::created_event(&issued.id, &scopes);
    Ok(cx.done(
        event,
        CreatedAdminKey {
            key,
            value: issued.value.reveal(),
        },
    ))
}

async fn retrieve(
    mut cx: Read,
    ScopedId(_, id): ScopedId<Organization, KeyId>,
    _: NoParameters,
) -> Result<AdminApiKey> {
    let key = keys::one(tenant_sql!(cx, KEYS, args![]), &id);
    cx.find(&id, key, AdminApiKey::read).await
}

/// Deletes an admin key, but not the last one of an owner that remains valid for long: without it, no further key could be
/// created through the API.
async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, KeyId>,
    _: NoParameters,
) -> Result<Done<Deleted<AdminApiKeyDeleted>>> {
    let key = keys::one(tenant_sql!(cx, KEYS, args![]), &id);
    cx.find(&id, key, AdminApiKey::read).await?;
    let before = administrable_until(&mut cx).await?;
    keys::delete(&mut cx, &id).await?;
    keep_administrable(&mut cx, before).await?;
    let answer = Deleted::new(AdminApiKeyDeleted, &id);
    Ok(cx.done(Event::new(EventType::ApiKeyDeleted, &id, json!({})), answer))
}

/// A new key with its secret, which is shown only once, and the key that it replaces.
#[derive(Serialize, JsonSchema)]
struct RotatedAdminKey {
    #[serde(flatten)]
    key: AdminApiKey,
    /// The secret. It is shown only here, and is not stored.
    value: String,
    replaces: ReplacedKey,
}

/// Rotates an admin key of the caller. With that of another user, the caller could act as this user.
async fn rotate(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, KeyId>,
    body: RotateKey,
) -> Result<Done<RotatedAdminKey>> {
    let old = keys::one(tenant_sql!(cx, KEYS, args![]), &id);
    let old = cx.find(&id, old, AdminApiKey::read).await?;
    let owner = cx.permit().user()?.clone();
    if old.owner.id != owner {
        let message = format!(
            "The key '{id}' belongs to '{}', who alone can rotate it.",
            old.owner.id
        );
        return Err(Error::refused("not_your_key", message));
    }
    let before = administrable_until(&mut cx).await?;
    let rotated = keys::rotate::rotate(&mut cx, &id, NewOwner::Admin(&owner), body).await?;
    keep_administrable(&mut cx, before).await?;
    let Rotation {
        issued,
        replaced,
        event,
    } = rotated;
    let key = keys::one(tenant_sql!(cx, KEYS, args![]), &issued.id);
    let answer = RotatedAdminKey {
        key: cx.find(&issued.id, key, AdminApiKey::read).await?,
        value: issued.value.reveal(),
        replaces: replaced,
    };
    Ok(cx.done(event, answer))
}
