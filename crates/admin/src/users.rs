//! `/organization/users`: users of the organization.

pub(crate) mod groups;
pub(crate) mod projects;
pub(crate) mod sessions;

use base::email::email_key;
use base::ids::{GroupId, Id, KeyId, ProjectId, RoleId, UserId};
use base::name::Name;
use base::permission::{OrganizationRole, PredefinedRole};
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;

use crate::list::{Deleted, List, list_item, oldest_first};
use crate::literal::literals;
use crate::lockout::{administrable_until, keep_administrable, refuse_last_owner};
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Organization, Patch, Read, ScopedId,
    Separated, Write, absent, operations,
};
use crate::roles::Role;
use crate::roles::grant::may_grant;
use crate::search::Search;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::{UsersRead as CanRead, UsersWrite as CanWrite};
    const ALL: &str = "/organization/users";
    const ONE: &str = "/organization/users/{user_id}";
    const UPDATE: &str =
        "Modifies a user's role in the organization, technical level or developer persona.";
    const DELETE: &str = "Deletes a user with all memberships, keys and sessions.";
    operations! {
        GET "users list", ALL, CanRead, "Lists the organization's users.", list;
        GET "users retrieve", ONE, CanRead, "Retrieves a user.", retrieve;
        POST "users update", ONE, CanWrite, UPDATE, update;
        DELETE "users delete", ONE, CanWrite, DELETE, delete;
    }
}

literals! {
    UserObject = "organization.user";
    UserDeleted = "organization.user.deleted";
}

/// A user of the organization.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrganizationUser")]
pub struct User {
    object: UserObject,
    /// Id.
    pub id: UserId,
    /// Name.
    pub name: String,
    /// E-mail address, as it was written.
    pub email: String,
    /// Role in the organization.
    pub role: OrganizationRole,
    added_at: UnixTime,
    created: UnixTime,
    is_service_account: bool,
    is_scim_managed: bool,
    api_key_last_used_at: Option<UnixTime>,
    technical_level: Option<String>,
    developer_persona: Option<String>,
}

const USERS: &str = "\
    SELECT u.id, u.name, u.email, u.role, u.added_at, u.last_used_at, u.technical_level, u.developer_persona \
    FROM users u WHERE u.organization_id = $1";

impl User {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        let added_at = row.time("added_at")?;
        Ok(Self {
            object: UserObject,
            id: row.id("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            role: row.word("role", OrganizationRole::parse)?,
            added_at,
            created: added_at,
            is_service_account: false,
            is_scim_managed: false,
            api_key_last_used_at: row.optional_time("last_used_at")?,
            technical_level: row.get("technical_level")?,
            developer_persona: row.get("developer_persona")?,
        })
    }
}

list_item!(User, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListUsers {
    /// Only users with one of these ids.
    #[serde(default)]
    #[schemars(extend("x-orgplane" = true))]
    ids: Separated<String>,
    /// Only users with one of these e-mail addresses, in any case.
    #[serde(default)]
    emails: Separated<String>,
    /// Only users whose name or e-mail address contains this text, in any case.
    search: Option<Search>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last user of the previous page.
    after: Option<String>,
}

async fn list(mut cx: Read, _: Organization, query: ListUsers) -> Result<List<User>> {
    let whole = tenant_sql!(cx, USERS, args![]);
    let mut list = whole.clone();
    if !query.ids.is_empty() {
        list.push(" AND u.id IN ").bind_list(query.ids);
    }
    if !query.emails.is_empty() {
        let keys = query.emails.iter().map(|email| email_key(email));
        list.push(" AND u.email_key IN ").bind_list(keys);
    }
    if let Some(search) = query.search {
        search.within(&mut list, &["u.name", "u.email"]);
    }
    let request = oldest_first(query.limit.0, query.after);
    cx.list(&request, list, whole, "u.id", User::read).await
}

async fn retrieve(
    mut cx: Read,
    ScopedId(_, id): ScopedId<Organization, UserId>,
    _: NoParameters,
) -> Result<User> {
    one(&mut cx, &id).await
}

/// Returns the user with this id.
///
/// # Errors
/// 404 if the user does not exist; the database's.
pub(crate) async fn one(cx: &mut Read, id: &UserId) -> Result<User> {
    let mut user = tenant_sql!(cx, USERS, args![]);
    user.push(" AND u.id = ").bind(id);
    cx.find(id, user, User::read).await
}

/// Finds the user with this id.
///
/// # Errors
/// 404 if the user does not exist; the database's.
pub(crate) async fn find(cx: &mut Write, id: &UserId) -> Result<User> {
    let mut one = tenant_sql!(cx, USERS, args![]);
    one.push(" AND u.id = ").bind(id);
    cx.find(id, one, User::read).await
}

/// Finds the user with this e-mail address, in any case.
///
/// # Errors
/// The database's.
pub(crate) async fn find_by_email(cx: &mut Write, email: &str) -> Result<Option<User>> {
    let mut one = tenant_sql!(cx, USERS, args![]);
    one.push(" AND u.email_key = ").bind(email_key(email));
    cx.fetch_optional(one, User::read).await
}

/// Finds the user that `user_id` of a request body names.
///
/// # Errors
/// 400 naming `user_id` if the user does not exist; the database's.
pub(crate) async fn named(cx: &mut Write, id: &UserId) -> Result<User> {
    let mut one = tenant_sql!(cx, USERS, args![]);
    one.push(" AND u.id = ").bind(id);
    let found = cx.fetch_optional(one, User::read).await?;
    found.ok_or_else(|| absent("user_id", "user with id", id))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-at-most-one-of" = ["role", "role_id"]))]
struct UpdateUser {
    /// New role; null leaves the role unchanged.
    role: Option<OrganizationRole>,
    /// Id of the new role, as an alternative to `role`; null leaves the role unchanged.
    role_id: Option<RoleId>,
    /// Technical level of the user, in the organization's own words; null clears it.
    #[serde(default)]
    technical_level: Patch<Name>,
    /// Developer persona of the user, in the organization's own words; null clears it.
    #[serde(default)]
    developer_persona: Patch<Name>,
}

async fn update(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, UserId>,
    body: UpdateUser,
) -> Result<Done<User>> {
    let old = find(&mut cx, &id).await?;
    let role = match (body.role, body.role_id) {
        (Some(_), Some(_)) => {
            let message = "Give either role or role_id, not both.";
            return Err(Error::invalid("role_id", message));
        }
        (Some(role), None) => role,
        (None, Some(id)) => base_role(&mut cx, &id).await?,
        (None, None) => old.role,
    };
    let level = patched(body.technical_level, old.technical_level.as_ref());
    let persona = patched(body.developer_persona, old.developer_persona.as_ref());
    let before = administrable_until(&mut cx).await?;
    let mut requested = json!({});
    if role != old.role {
        refuse_last_owner(&mut cx, &id, "demoted").await?;
        may_grant(&mut cx, None, role.permissions()).await?;
        requested["role"] = json!(role);
    }
    for (name, new, before) in [
        ("technical_level", &level, &old.technical_level),
        ("developer_persona", &persona, &old.developer_persona),
    ] {
        if new != before {
            requested[name] = json!(new);
        }
    }
    if requested == json!({}) {
        return Ok(cx.unchanged(old));
    }
    let update = tenant_sql!(
        cx,
        "UPDATE users SET role = $3, technical_level = $4, developer_persona = $5 \
         WHERE organization_id = $1 AND id = $2",
        args![&id, role.as_str(), level, persona],
    );
    cx.execute(update).await?;
    keep_administrable(&mut cx, before).await?;
    let user = find(&mut cx, &id).await?;
    let details = json!({"changes_requested": requested});
    Ok(cx.done(Event::new(EventType::UserUpdated, &id, details), user))
}

fn patched(patch: Patch<Name>, old: Option<&String>) -> Option<String> {
    match patch {
        Patch::Keep => old.cloned(),
        Patch::Clear => None,
        Patch::Set(name) => Some(name.into_string()),
    }
}

/// Returns the predefined organization role with this id. Custom roles are assigned in addition to it.
async fn base_role(cx: &mut Write, id: &RoleId) -> Result<OrganizationRole> {
    let role = Role::to_grant(cx, &Organization, "role_id", id).await?;
    match PredefinedRole::parse(role.id.as_str()) {
        Some(PredefinedRole::Organization(role)) => Ok(role),
        _ => {
            let message = "A user's own role is a predefined one; assign custom roles through the user's roles.";
            Err(Error::invalid("role_id", message))
        }
    }
}

/// Deletes the user with all keys, sessions, memberships and role assignments.
async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, UserId>,
    _: NoParameters,
) -> Result<Done<Deleted<UserDeleted>>> {
    find(&mut cx, &id).await?;
    refuse_last_owner(&mut cx, &id, "deleted").await?;
    let before = administrable_until(&mut cx).await?;
    let keys = tenant_sql!(
        cx,
        "DELETE FROM api_keys WHERE organization_id = $1 AND user_id = $2 RETURNING id",
        args![&id],
    );
    let keys: Vec<KeyId> = cx.fetch_all(keys, |row| row.id("id")).await?;
    let projects = tenant_sql!(
        cx,
        "DELETE FROM project_users WHERE organization_id = $1 AND user_id = $2 RETURNING project_id",
        args![&id],
    );
    let projects: Vec<ProjectId> = cx.fetch_all(projects, |row| row.id("project_id")).await?;
    let groups = tenant_sql!(
        cx,
        "DELETE FROM group_users WHERE organization_id = $1 AND user_id = $2 RETURNING group_id",
        args![&id],
    );
    let groups: Vec<GroupId> = cx.fetch_all(groups, |row| row.id("group_id")).await?;
    for text in [
        tenant_sql!("DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2"),
        tenant_sql!("DELETE FROM passwords WHERE organization_id = $1 AND user_id = $2"),
        tenant_sql!("DELETE FROM sign_in_links WHERE organization_id = $1 AND user_id = $2"),
        tenant_sql!("DELETE FROM identities WHERE organization_id = $1 AND user_id = $2"),
        tenant_sql!(
            "DELETE FROM role_assignments WHERE organization_id = $1 AND principal_type = 'user' AND principal_id = $2"
        ),
        tenant_sql!("DELETE FROM users WHERE organization_id = $1 AND id = $2"),
    ] {
        let delete = cx.sql(text, args![&id]);
        cx.execute(delete).await?;
    }
    keep_administrable(&mut cx, before).await?;
    let removed = json!({"api_keys": keys, "projects": projects, "groups": groups});
    let event = Event::new(EventType::UserDeleted, &id, json!({"removed": removed}));
    Ok(cx.done(event, Deleted::new(UserDeleted, &id)))
}
