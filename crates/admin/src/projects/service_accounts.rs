//! `/organization/projects/{project_id}/service_accounts`: service accounts and their keys.

use base::ids::{KeyId, ServiceAccountId};
use base::name::Name;
use base::permission::ProjectRole;
use base::{Error, Permission, Result, UnixTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;

use super::ActiveProject;
use crate::keys::{self, IssuedKey, Lifetime, NewOwner, Scopes};
use crate::list::{Deleted, List, list_item, oldest_first};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Read, ScopedId, Write, operations,
};
use crate::roles::grant::may_grant;
use crate::search::Search;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ServiceAccountsRead as CanRead, ServiceAccountsWrite as CanWrite};
    const ALL: &str = "/organization/projects/{project_id}/service_accounts";
    const ONE: &str = "/organization/projects/{project_id}/service_accounts/{service_account_id}";
    const KEYS: &str =
        "/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys";
    const CREATE: &str =
        "Creates a service account in the project, by default with a key that is shown once.";
    const CREATE_KEY: &str = "Creates another key for a service account. The secret is shown once.";
    operations! {
        GET "projects:service-accounts list", ALL, CanRead, "Lists the project's service accounts.", list;
        POST "projects:service-accounts create", ALL, CanWrite, CREATE, create;
        GET "projects:service-accounts retrieve", ONE, CanRead, "Retrieves a service account.", retrieve;
        POST "projects:service-accounts update", ONE, CanWrite, "Modifies a service account.", update;
        DELETE "projects:service-accounts delete", ONE, CanWrite, "Deletes a service account and its keys.", delete;
        POST "projects:service-accounts:api-keys create", KEYS, CanWrite, CREATE_KEY, create_key;
    }
}

literals! {
    ServiceAccountObject = "organization.project.service_account";
    ServiceAccountDeleted = "organization.project.service_account.deleted";
    ServiceAccountKeyObject = "organization.project.service_account.api_key";
}

/// A service account of a project.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ServiceAccount {
    object: ServiceAccountObject,
    id: ServiceAccountId,
    name: String,
    #[schemars(schema_with = "role_schema")]
    role: ProjectRole,
    created_at: UnixTime,
}

/// Returns the schema of a service account's role. Service accounts are never viewers.
fn role_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["owner", "member", "none"] })
}

impl ServiceAccount {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: ServiceAccountObject,
            id: row.id("id")?,
            name: row.get("name")?,
            role: row.word("role", ProjectRole::parse)?,
            created_at: row.time("created_at")?,
        })
    }
}

list_item!(ServiceAccount, id);

/// A new service account with its first key, if it was created with one.
#[derive(Serialize, JsonSchema)]
struct CreatedServiceAccount {
    #[serde(flatten)]
    account: ServiceAccount,
    api_key: Option<CreatedServiceAccountKey>,
}

/// A new key with its secret, which is shown only once.
#[derive(Serialize, JsonSchema)]
struct CreatedServiceAccountKey {
    object: ServiceAccountKeyObject,
    id: KeyId,
    name: String,
    /// The secret. It is shown only here, and is not stored.
    value: String,
    created_at: UnixTime,
    expires_at: Option<UnixTime>,
}

impl CreatedServiceAccountKey {
    fn new(name: &Name, issued: &IssuedKey) -> Self {
        Self {
            object: ServiceAccountKeyObject,
            id: issued.id.clone(),
            name: name.as_str().to_owned(),
            value: issued.value.reveal(),
            created_at: issued.created_at,
            expires_at: issued.expires_at,
        }
    }
}

const OF_PROJECT: &str = "\
    SELECT id, name, role, created_at FROM service_accounts WHERE organization_id = $1 AND project_id = $2";
const ONE: &str = "\
    SELECT id, name, role, created_at FROM service_accounts \
    WHERE organization_id = $1 AND project_id = $2 AND id = $3";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListServiceAccounts {
    /// Only service accounts whose name contains this text, in any case.
    search: Option<Search>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last service account of the previous page.
    after: Option<String>,
}

async fn list(
    mut cx: Read,
    project: ActiveProject,
    query: ListServiceAccounts,
) -> Result<List<ServiceAccount>> {
    let whole = tenant_sql!(cx, OF_PROJECT, args![&project.id]);
    let mut list = whole.clone();
    if let Some(search) = query.search {
        search.within(&mut list, &["name"]);
    }
    let request = oldest_first(query.limit.0, query.after);
    cx.list(&request, list, whole, "id", ServiceAccount::read)
        .await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateServiceAccount {
    name: Name,
    /// True to create the account without a role and without a key.
    create_service_account_only: Option<bool>,
    /// Lifetime of the first key in seconds, 1 to 31,536,000; null or absent for a key that does not expire.
    expires_in_seconds: Option<Lifetime>,
}

/// Name of a service account's first key.
const FIRST_KEY_NAME: &str = "Secret Key";

async fn create(
    mut cx: Write,
    project: ActiveProject,
    body: CreateServiceAccount,
) -> Result<Done<CreatedServiceAccount>> {
    let alone = body.create_service_account_only.unwrap_or(false);
    if alone && body.expires_in_seconds.is_some() {
        let message = "expires_in_seconds is the lifetime of a key, and create_service_account_only creates none.";
        return Err(Error::invalid("expires_in_seconds", message));
    }
    let account = ServiceAccount {
        object: ServiceAccountObject,
        id: cx.new_id(),
        name: body.name.into_string(),
        role: if alone {
            ProjectRole::None
        } else {
            ProjectRole::Member
        },
        created_at: cx.now(),
    };
    let insert = tenant_sql!(
        cx,
        "INSERT INTO service_accounts (organization_id, project_id, id, name, role, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            &project.id,
            &account.id,
            account.name.as_str(),
            account.role.as_str(),
            account.created_at
        ],
    );
    cx.execute(insert).await?;
    let api_key = if alone {
        None
    } else {
        let name = Name::new(FIRST_KEY_NAME).map_err(|_| Error::internal())?;
        let owner = NewOwner::ServiceAccount(&project.id, &account.id);
        let issued = keys::issue(
            &mut cx,
            owner,
            &name,
            &Scopes::default(),
            body.expires_in_seconds,
        )
        .await?;
        Some(CreatedServiceAccountKey::new(&name, &issued))
    };
    let details = json!({"data": {"role": account.role}});
    let event = Event::new(EventType::ServiceAccountCreated, &account.id, details);
    Ok(cx.done(event, CreatedServiceAccount { account, api_key }))
}

async fn retrieve(
    mut cx: Read,
    ScopedId(project, id): ScopedId<ActiveProject, ServiceAccountId>,
    _: NoParameters,
) -> Result<ServiceAccount> {
    let one = tenant_sql!(cx, ONE, args![&project.id, &id]);
    cx.find(&id, one, ServiceAccount::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateServiceAccount {
    /// New name; null leaves the name unchanged.
    name: Option<Name>,
    /// New role; null leaves the role unchanged.
    role: Option<NewRole>,
}

/// A role that can be given to a service account.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NewRole {
    Owner,
    Member,
}

impl From<NewRole> for ProjectRole {
    fn from(role: NewRole) -> Self {
        match role {
            NewRole::Owner => Self::Owner,
            NewRole::Member => Self::Member,
        }
    }
}

async fn update(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, ServiceAccountId>,
    body: UpdateServiceAccount,
) -> Result<Done<ServiceAccount>> {
    let one = tenant_sql!(cx, ONE, args![&project.id, &id]);
    let mut account = cx.find(&id, one, ServiceAccount::read).await?;
    let role = body.role.map(ProjectRole::from);
    let role = role.filter(|role| *role != account.role);
    if body.name.is_none() && role.is_none() {
        return Ok(cx.unchanged(account));
    }
    let mut requested = json!({});
    if let Some(role) = role {
        may_grant(&mut cx, Some(&project.id), role.permissions()).await?;
        account.role = role;
        requested["role"] = json!(account.role);
    }
    if let Some(name) = body.name {
        account.name = name.into_string();
        requested["name"] = json!(account.name);
    }
    let update = tenant_sql!(
        cx,
        "UPDATE service_accounts SET name = $4, role = $5 WHERE organization_id = $1 AND project_id = $2 AND id = $3",
        args![
            &project.id,
            &id,
            account.name.as_str(),
            account.role.as_str()
        ],
    );
    cx.execute(update).await?;
    let details = json!({"changes_requested": requested});
    Ok(cx.done(
        Event::new(EventType::ServiceAccountUpdated, &id, details),
        account,
    ))
}

async fn delete(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, ServiceAccountId>,
    _: NoParameters,
) -> Result<Done<Deleted<ServiceAccountDeleted>>> {
    let one = tenant_sql!(cx, ONE, args![&project.id, &id]);
    cx.find(&id, one, ServiceAccount::read).await?;
    for text in [
        tenant_sql!(
            "DELETE FROM api_keys WHERE organization_id = $1 AND project_id = $2 AND service_account_id = $3"
        ),
        tenant_sql!(
            "DELETE FROM service_accounts WHERE organization_id = $1 AND project_id = $2 AND id = $3"
        ),
    ] {
        let delete = cx.sql(text, args![&project.id, &id]);
        cx.execute(delete).await?;
    }
    let answer = Deleted::new(ServiceAccountDeleted, &id);
    Ok(cx.done(
        Event::new(EventType::ServiceAccountDeleted, &id, json!({})),
        answer,
    ))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateServiceAccountKey {
    /// Name of the key.
    name: Option<Name>,
    /// Permissions that the key is restricted to; an empty list does not restrict it.
    scopes: Option<Scopes>,
    /// Lifetime in seconds, 1 to 31,536,000; null or absent for a key that does not expire.
    expires_in_seconds: Option<Lifetime>,
}

async fn create_key(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, ServiceAccountId>,
    body: CreateServiceAccountKey,
) -> Result<Done<CreatedServiceAccountKey>> {
    let one = tenant_sql!(cx, ONE, args![&project.id, &id]);
    cx.find(&id, one, ServiceAccount::read).await?;
    let name = match body.name {
        Some(name) => name,
        None => Name::new(FIRST_KEY_NAME).map_err(|_| Error::internal())?,
    };
    let scopes = body.scopes.unwrap_or_default();
    let owner = NewOwner::ServiceAccount(&project.id, &id);
    let issued = keys::issue(&mut cx, owner, &name, &scopes, body.expires_in_seconds).await?;
    let answer = CreatedServiceAccountKey::new(&name, &issued);
    let event = keys::created_event(&issued.id, &scopes);
    Ok(cx.done(event, answer))
}
