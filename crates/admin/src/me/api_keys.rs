//! `/organization/me/api_keys`: keys of projects that belong to the caller.

use base::ids::{Id, KeyId, ProjectId};
use base::name::Name;
use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api_keys::{OrganizationApiKey, keys_of_organization, mark_access};
use crate::keys::rotate::{ReplacedKey, RotateKey, Rotation};
use crate::keys::{self, Lifetime, NewOwner, Scopes};
use crate::list::{Deleted, List, oldest_first};
use crate::operation::{
    Done, Event, EventType, Limit, Needs, NoParameters, Operation, Organization, Read, ScopedId,
    TenantStatement, Write, absent, operations,
};
use crate::projects::api_keys::{ProjectApiKeyDeleted, check_member};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/organization/me/api_keys";
    const ONE: &str = "/organization/me/api_keys/{api_key_id}";
    const ROTATE: &str = "/organization/me/api_keys/{api_key_id}/rotate";
    const READ: Needs = Needs::Own(Permission::ProjectApiKeysRead);
    const WRITE: Needs = Needs::Own(Permission::ProjectApiKeysWrite);
    const CREATE: &str = "Creates a key for the caller in a project where the caller has a role. The secret is shown once.";
    const DELETE: &str = "Deletes a key of the caller, which is refused from then on.";
    const REPLACE: &str =
        "Replaces a key of the caller by a new one. The old one works for some time beside it.";
    operations! {
        GET "me:api-keys list", ALL, READ, "Lists the caller's keys of projects.", list, extension;
        POST "me:api-keys create", ALL, WRITE, CREATE, create, extension;
        DELETE "me:api-keys delete", ONE, WRITE, DELETE, delete, extension;
        POST "me:api-keys rotate", ROTATE, WRITE, REPLACE, rotate, extension;
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListMyKeys {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last key of the previous page.
    after: Option<String>,
}

async fn list(
    mut cx: Read,
    _: Organization,
    query: ListMyKeys,
) -> Result<List<OrganizationApiKey>> {
    let user = cx.permit().user()?.clone();
    let mut list = keys_of_organization!(cx);
    list.push(" AND k.user_id = ").bind(&user);
    let caller = cx.permit().caller();
    // A project key tells nothing of other projects.
    if let Some(project) = caller.and_then(|caller| caller.project_id()) {
        list.push(" AND k.project_id = ").bind(project);
    }
    let request = oldest_first(query.limit.0, query.after);
    let page = cx.page(
        &request,
        list.clone(),
        list,
        "k.id",
        OrganizationApiKey::read,
    );
    let mut page = page.await?;
    mark_access!(cx, page.rows);
    Ok(page.into())
}

/// A new key of the caller with its secret, which is shown only once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CreatedOwnKey {
    #[serde(flatten)]
    key: OrganizationApiKey,
    /// The secret. It is shown only here, and is not stored.
    value: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateOwnKey {
    /// Name of the key.
    name: Name,
    /// Id of the project, in which the caller has a role, or one in the organization beyond `reader`.
    project_id: ProjectId,
    /// Permissions that the key is restricted to; an empty list does not restrict it.
    scopes: Option<Scopes>,
    /// Lifetime in seconds, 1 to 31,536,000; null or absent for a key that does not expire.
    expires_in_seconds: Option<Lifetime>,
}

const PROJECT: &str = "\
    SELECT name FROM projects WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL";

async fn create(mut cx: Write, _: Organization, body: CreateOwnKey) -> Result<Done<CreatedOwnKey>> {
    let user = cx.permit().user()?.clone();
    let project = body.project_id;
    // Without a role, a project is as if it did not exist.
    let stranger = || absent("project_id", "project of yours with id", &project);
    let found = tenant_sql!(cx, PROJECT, args![&project]);
    let name: Option<String> = cx.fetch_optional(found, |row| row.get("name")).await?;
    let name = name.ok_or_else(stranger)?;
    let member = check_member(&mut cx, &project, &user).await;
    member.map_err(|error| match error.param.as_deref() {
        Some("user_id") => stranger(),
        _ => error,
    })?;
    cx.in_project(Some((project.clone(), name)));
    let scopes = body.scopes.unwrap_or_default();
    let owner = NewOwner::User(&project, &user);
    let issued = keys::issue(&mut cx, owner, &body.name, &scopes, body.expires_in_seconds).await?;
    let key = one(&mut cx, &issued.id).await?;
    let value = issued.value.reveal();
    let event = keys::created_event(&issued.id, &scopes);
    Ok(cx.done(event, CreatedOwnKey { key, value }))
}

/// Finds a key with the access of its owner.
///
/// # Errors
/// 404 if there is no such key; the database's.
async fn one(cx: &mut Write, id: &KeyId) -> Result<OrganizationApiKey> {
    let one = keys::one(keys_of_organization!(cx), id);
    let mut found = cx.fetch_all(one, OrganizationApiKey::read).await?;
    mark_access!(cx, found);
    let found = found.pop();
    found.ok_or_else(|| Error::not_found(KeyId::NOUN, id.as_str()))
}

/// Finds a key of the caller, and makes its project that of the audit event.
///
/// # Errors
/// 404 if the caller has no such key; the database's.
async fn find(cx: &mut Write, id: &KeyId) -> Result<OrganizationApiKey> {
    let user = cx.permit().user()?.clone();
    let mut one: TenantStatement = keys::one(keys_of_organization!(cx), id);
    one.push(" AND k.user_id = ").bind(&user);
    let key = cx.find(id, one, OrganizationApiKey::read).await?;
    cx.in_project(Some(key.project()));
    Ok(key)
}

async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, KeyId>,
    _: NoParameters,
) -> Result<Done<Deleted<ProjectApiKeyDeleted>>> {
    find(&mut cx, &id).await?;
    keys::delete(&mut cx, &id).await?;
    let answer = Deleted::new(ProjectApiKeyDeleted, &id);
    Ok(cx.done(Event::new(EventType::ApiKeyDeleted, &id, json!({})), answer))
}

/// A new key of the caller with its secret, which is shown only once, and the key that it replaces.
#[derive(Serialize, JsonSchema)]
struct RotatedOwnKey {
    #[serde(flatten)]
    key: OrganizationApiKey,
    /// The secret. It is shown only here, and is not stored.
    value: String,
    replaces: ReplacedKey,
}

async fn rotate(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, KeyId>,
    body: RotateKey,
) -> Result<Done<RotatedOwnKey>> {
    let (project, _) = find(&mut cx, &id).await?.project();
    let user = cx.permit().user()?.clone();
    let owner = NewOwner::User(&project, &user);
    let rotated = keys::rotate::rotate(&mut cx, &id, owner, body).await?;
    let Rotation {
        issued,
        replaced,
        event,
    } = rotated;
    let answer = RotatedOwnKey {
        key: one(&mut cx, &issued.id).await?,
        value: issued.value.reveal(),
        replaces: replaced,
    };
    Ok(cx.done(event, answer))
}
