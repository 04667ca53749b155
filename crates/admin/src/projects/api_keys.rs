//! `/organization/projects/{project_id}/api_keys`: keys of a project, of users and service accounts.

mod rotate;

use base::ids::{Id, KeyId, ProjectId, ServiceAccountId, UserId};
use base::name::Name;
use base::permission::ProjectRole;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;

use super::{ActiveProject, Project};
use crate::keys::{self, Lifetime, NewOwner, Scopes};
use crate::list::{Deleted, List, list_item, oldest_first};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Read, ScopedId, Write, operations,
};
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{ProjectApiKeysRead as CanRead, ProjectApiKeysWrite as CanWrite};
    const ALL: &str = "/organization/projects/{project_id}/api_keys";
    const ONE: &str = "/organization/projects/{project_id}/api_keys/{api_key_id}";
    const ROTATE: &str = "/organization/projects/{project_id}/api_keys/{api_key_id}/rotate";
    const REPLACE: &str =
        "Replaces a key by a new one of the same owner. The old one works for some time beside it.";
    const CREATE: &str = "Creates a key for a user. The secret is shown once.";
    const DELETE: &str = "Deletes a user's key, which is refused from then on.";
    operations! {
        GET "projects:api-keys list", ALL, CanRead, "Lists the project's keys.", list;
        POST "projects:api-keys create", ALL, CanWrite, CREATE, create, extension;
        GET "projects:api-keys retrieve", ONE, CanRead, "Retrieves a key, without its secret.", retrieve;
        POST "projects:api-keys update", ONE, CanWrite, "Modifies the scopes or the expiry of a key.", update;
        DELETE "projects:api-keys delete", ONE, CanWrite, DELETE, delete;
        POST "projects:api-keys rotate", ROTATE, CanWrite, REPLACE, rotate::rotate, extension;
    }
}

literals! {
    ProjectApiKeyObject = "organization.project.api_key";
    ProjectApiKeyDeleted = "organization.project.api_key.deleted";
}

/// A key of a project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProjectApiKey {
    object: ProjectApiKeyObject,
    id: KeyId,
    name: String,
    redacted_value: String,
    created_at: UnixTime,
    last_used_at: Option<UnixTime>,
    expires_at: Option<UnixTime>,
    owner_project_access: Access,
    owner: ProjectApiKeyOwner,
}

/// Access of a key's owner to the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Access {
    Active,
    Inactive,
}

impl Access {
    fn of(has_access: bool) -> Self {
        if has_access {
            Self::Active
        } else {
            Self::Inactive
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ProjectApiKeyOwner {
    User {
        user: OwningUser,
    },
    ServiceAccount {
        service_account: OwningServiceAccount,
    },
}

impl ProjectApiKeyOwner {
    /// Returns the owner of a further key in the project.
    fn in_project<'a>(&'a self, project: &'a ProjectId) -> NewOwner<'a> {
        match self {
            Self::User { user } => NewOwner::User(project, &user.id),
            Self::ServiceAccount { service_account } => {
                NewOwner::ServiceAccount(project, &service_account.id)
            }
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct OwningUser {
    id: UserId,
    name: String,
    email: String,
    role: String,
    created_at: UnixTime,
}

#[derive(Debug, Serialize, JsonSchema)]
struct OwningServiceAccount {
    id: ServiceAccountId,
    name: String,
    role: String,
    created_at: UnixTime,
}

/// SQL condition: the owner of the key `k` has a role in its project, or one in the organization beyond `reader`. No
/// subquery depends on `k`, so each runs once.
macro_rules! has_access {
    () => {
        "(COALESCE(u.role, '') = 'owner' \
         OR COALESCE(k.user_id, k.service_account_id) IN \
             (SELECT g.principal_id FROM effective_grants g WHERE g.organization_id = $1 AND g.project_id = $2 \
              AND g.role_id <> 'role-api-project-none') \
         OR COALESCE(k.user_id, '') IN \
             (SELECT COALESCE(m.user_id, a.principal_id) FROM role_assignments a \
              LEFT JOIN group_users m ON m.organization_id = a.organization_id AND m.group_id = a.principal_id \
              WHERE a.organization_id = $1 AND a.project_id = '' \
              AND a.role_id <> 'role-api-organization-reader__api-organization__' || a.organization_id))"
    };
}

/// Keys of a project with their owners. A user's role is that in the project, or `owner` for organization owners, who need
/// no membership.
const KEYS: &str = concat!(
    "SELECT k.id, k.name, k.redacted_value, k.created_at, k.last_used_at, k.expires_at, k.user_id, \
           k.service_account_id, u.name AS user_name, u.email, u.added_at, \
           CASE WHEN u.role = 'owner' THEN 'owner' ELSE m.role END AS user_role, \
           s.name AS account_name, s.role AS account_role, s.created_at AS account_created_at, ",
    has_access!(),
    " AS has_access \
    FROM api_keys k \
    LEFT JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
    LEFT JOIN project_users m ON m.organization_id = k.organization_id AND m.project_id = k.project_id \
         AND m.user_id = k.user_id \
    LEFT JOIN service_accounts s ON s.organization_id = k.organization_id AND s.project_id = k.project_id \
         AND s.id = k.service_account_id \
    WHERE k.organization_id = $1 AND k.project_id = $2"
);

impl ProjectApiKey {
    pub(crate) fn read(row: &Row<'_>) -> store::Result<Self> {
        let owner = match row.optional_id::<UserId>("user_id")? {
            Some(id) => {
                let role: Option<String> = row.get("user_role")?;
                let user = OwningUser {
                    id,
                    name: row.get("user_name")?,
                    email: row.get("email")?,
                    role: role.unwrap_or_else(|| ProjectRole::None.as_str().to_owned()),
                    created_at: row.time("added_at")?,
                };
                ProjectApiKeyOwner::User { user }
            }
            None => {
                let service_account = OwningServiceAccount {
                    id: row.id("service_account_id")?,
                    name: row.get("account_name")?,
                    role: row.get("account_role")?,
                    created_at: row.time("account_created_at")?,
                };
                ProjectApiKeyOwner::ServiceAccount { service_account }
            }
        };
        Ok(Self {
            object: ProjectApiKeyObject,
            id: row.id("id")?,
            name: row.get("name")?,
            redacted_value: row.get("redacted_value")?,
            created_at: row.time("created_at")?,
            last_used_at: row.optional_time("last_used_at")?,
            expires_at: row.optional_time("expires_at")?,
            owner_project_access: Access::of(row.get("has_access")?),
            owner,
        })
    }

    /// Returns the id of the user or service account who owns the key.
    pub(crate) fn owner_id(&self) -> &str {
        match &self.owner {
            ProjectApiKeyOwner::User { user } => user.id.as_str(),
            ProjectApiKeyOwner::ServiceAccount { service_account } => service_account.id.as_str(),
        }
    }

    /// Sets the access of the owner to the project.
    pub(crate) fn set_access(&mut self, has_access: bool) {
        self.owner_project_access = Access::of(has_access);
    }
}

list_item!(ProjectApiKey, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListKeys {
    /// Only keys whose owner has access to the project, or whose owner has none; all keys if absent.
    owner_project_access: Option<AccessFilter>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last key of the previous page.
    after: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum AccessFilter {
    Active,
    Inactive,
    Any,
}

const HAS_ACCESS: &str = concat!(" AND ", has_access!());
const HAS_NO_ACCESS: &str = concat!(" AND NOT ", has_access!());

async fn list(mut cx: Read, project: Project, query: ListKeys) -> Result<List<ProjectApiKey>> {
    let whole = tenant_sql!(cx, KEYS, args![&project.id]);
    let mut list = whole.clone();
    list.push(match query.owner_project_access {
        Some(AccessFilter::Active) => HAS_ACCESS,
        Some(AccessFilter::Inactive) => HAS_NO_ACCESS,
        Some(AccessFilter::Any) | None => "",
    });
    let request = oldest_first(query.limit.0, query.after);
    cx.list(&request, list, whole, "k.id", ProjectApiKey::read)
        .await
}

/// A new key with its secret, which is shown only once.
#[derive(Serialize, JsonSchema)]
struct CreatedProjectApiKey {
    #[serde(flatten)]
    key: ProjectApiKey,
    /// The secret. It is shown only here, and is not stored.
    value: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateProjectApiKey {
    /// Name of the key.
    name: Name,
    /// Id of the owner: a user with a role in the project, or with one in the organization beyond `reader`.
    user_id: UserId,
    /// Permissions that the key is restricted to; an empty list does not restrict it.
    scopes: Option<Scopes>,
    /// Lifetime in seconds, 1 to 31,536,000; null or absent for a key that does not expire.
    expires_in_seconds: Option<Lifetime>,
}

async fn create(
    mut cx: Write,
    project: ActiveProject,
    body: CreateProjectApiKey,
) -> Result<Done<CreatedProjectApiKey>> {
    check_member(&mut cx, &project.id, &body.user_id).await?;
    let scopes = body.scopes.unwrap_or_default();
    let owner = NewOwner::User(&project.id, &body.user_id);
    let issued = keys::issue(&mut cx, owner, &body.name, &scopes, body.expires_in_seconds).await?;
    let key = one(&mut cx, &project, &issued.id).await?;
    let event = keys::created_event(&issued.id, &scopes);
    Ok(cx.done(
        event,
        CreatedProjectApiKey {
            key,
            value: issued.value.reveal(),
        },
    ))
}

/// Checks that the user has a role in the project, or one in the organization beyond `reader`.
///
/// # Errors
/// 400 naming `user_id` if the user has none or does not exist; the database's.
pub(crate) async fn check_member(cx: &mut Write, project: &ProjectId, user: &UserId) -> Result<()> {
    let statement = tenant_sql!(
        cx,
        "SELECT EXISTS (SELECT 1 FROM effective_grants g WHERE g.organization_id = u.organization_id \
             AND g.principal_type = 'user' AND g.principal_id = u.id \
             AND (g.project_id = $3 OR g.project_id = '' \
                  AND g.role_id <> 'role-api-organization-reader__api-organization__' || g.organization_id)) AS is_member \
         FROM users u WHERE u.organization_id = $1 AND u.id = $2",
        args![user, project],
    );
    let is_member = |row: &Row<'_>| row.get::<bool>("is_member");
    let message = match cx.fetch_optional(statement, is_member).await? {
        Some(true) => return Ok(()),
        Some(false) => format!("The user '{user}' has no role in the project."),
        None => format!("No user with id '{user}' is in the organization."),
    };
    Err(Error::invalid("user_id", message))
}

async fn one(cx: &mut Write, project: &Project, id: &KeyId) -> Result<ProjectApiKey> {
    let key = keys::one(tenant_sql!(cx, KEYS, args![&project.id]), id);
    cx.find(id, key, ProjectApiKey::read).await
}

async fn retrieve(
    mut cx: Read,
    ScopedId(project, id): ScopedId<Project, KeyId>,
    _: NoParameters,
) -> Result<ProjectApiKey> {
    let key = keys::one(tenant_sql!(cx, KEYS, args![&project.id]), &id);
    cx.find(&id, key, ProjectApiKey::read).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateProjectApiKey {
    /// Permissions that the key is restricted to; an empty list does not restrict it.
    #[serde(default, deserialize_with = "keys::not_null")]
    #[schemars(with = "Scopes")]
    scopes: Option<Scopes>,
    /// New lifetime in seconds, from now on.
    #[serde(default, deserialize_with = "keys::not_null")]
    #[schemars(with = "Lifetime")]
    expires_in_seconds: Option<Lifetime>,
}

async fn update(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, KeyId>,
    body: UpdateProjectApiKey,
) -> Result<Done<ProjectApiKey>> {
    let key = one(&mut cx, &project, &id).await?;
    let now = cx.now();
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(keys::expired(&id));
    }
    if body.scopes.is_none() && body.expires_in_seconds.is_none() {
        return Err(Error::refused(
            "missing_required_parameter",
            "Provide at least one of scopes or expires_in_seconds.",
        ));
    }
    if let Some(scopes) = &body.scopes {
        let owner = key.owner.in_project(&project.id);
        keys::may_issue(&mut cx, &owner, scopes).await?;
    }
    let expires_at = body.expires_in_seconds.map(|lifetime| now.plus(lifetime.0));
    let update = tenant_sql!(
        cx,
        "UPDATE api_keys SET scopes = COALESCE($3, scopes), expires_at = COALESCE($4, expires_at) \
         WHERE organization_id = $1 AND id = $2",
        args![&id, body.scopes.as_ref().map(Scopes::to_json), expires_at],
    );
    cx.execute(update).await?;
    let mut requested = json!({});
    if let Some(scopes) = &body.scopes {
        requested["scopes"] = scopes.names().collect();
    }
    if let Some(lifetime) = body.expires_in_seconds {
        requested["expires_in_seconds"] = json!(lifetime.0);
    }
    let key = one(&mut cx, &project, &id).await?;
    let details = json!({"changes_requested": requested});
    Ok(cx.done(Event::new(EventType::ApiKeyUpdated, &id, details), key))
}

async fn delete(
    mut cx: Write,
    ScopedId(project, id): ScopedId<ActiveProject, KeyId>,
    _: NoParameters,
) -> Result<Done<Deleted<ProjectApiKeyDeleted>>> {
    let key = one(&mut cx, &project, &id).await?;
    if let ProjectApiKeyOwner::ServiceAccount { service_account } = &key.owner {
        let message = format!(
            "The key '{id}' belongs to the service account '{}'. Delete the service account to delete its keys.",
            service_account.id
        );
        return Err(Error::refused("service_account_key", message));
    }
    keys::delete(&mut cx, &id).await?;
    let answer = Deleted::new(ProjectApiKeyDeleted, &id);
    Ok(cx.done(Event::new(EventType::ApiKeyDeleted, &id, json!({})), answer))
}
