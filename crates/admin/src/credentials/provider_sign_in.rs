//! Sign-in with the account at an identity provider, in one transaction: the user is found by issuer and subject, else by a
//! mail address that the provider vouches for, else made; and the user's groups follow the provider's.

use std::sync::Arc;

use base::email::Email;
use base::ids::{GroupId, OrganizationId, UserId};
use base::name::Name;
use base::permission::OrganizationRole;
use base::{ClientAddress, Result};
use serde_json::json;
use store::{Row, sql};

use super::identities::{has_account_at, link, used_by};
use crate::operation::{Event, EventType, Permit, Write};
use crate::sessions::{NewSession, ProviderSession, StartedSession, start};
use crate::users::{self, User};
use crate::{Services, args, tenant_sql};

/// Claims of a provider about a user, as far as the configuration lets them matter.
#[derive(Clone, Copy, Debug)]
pub struct ProviderClaims<'a> {
    /// Account and session at the provider.
    pub session: &'a ProviderSession,
    /// Address at the provider, which says nothing about the user.
    pub email: Option<&'a Email>,
    /// Address that stands for the user: verified or trusted, and in a domain of the provider.
    pub own_email: Option<&'a Email>,
    /// Name of the user.
    pub name: Option<&'a Name>,
    /// Role of a new user; `None` if users are not made.
    pub create_as: Option<OrganizationRole>,
    /// Groups of the user; `None` if the provider says nothing about groups.
    pub groups: Option<ProviderGroups<'a>>,
}

/// Groups that follow a provider.
#[derive(Clone, Copy, Debug)]
pub struct ProviderGroups<'a> {
    /// Names of the groups whose members the provider decides. Others stay as they are.
    pub managed: &'a [String],
    /// Names of the user's groups at the provider.
    pub member_of: &'a [String],
}

const INSERT_USER: &str = "\
    INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Returns the configured organization, or the only one of this deployment; `None` if it does not exist, or if there are
/// several.
///
/// # Errors
/// The database's.
pub async fn organization(
    services: &Services,
    configured: Option<&OrganizationId>,
) -> Result<Option<OrganizationId>> {
    let mut statement = sql!("SELECT id FROM organizations");
    if let Some(organization) = configured {
        statement.push(" WHERE id = ").bind(organization);
    }
    statement.push(" ORDER BY id LIMIT 2");
    let mut connection = services.store.read().await?;
    let mut found: Vec<OrganizationId> =
        connection.fetch_all(statement, |row| row.id("id")).await?;
    let only = found.pop();
    Ok(only.filter(|_| found.is_empty()))
}

/// A sign-in at an identity provider that was refused.
#[derive(Clone, Debug)]
pub struct ProviderRefusal {
    /// Organization whose users sign in at the provider.
    pub organization_id: OrganizationId,
    /// Id of the provider.
    pub provider: String,
    /// Stable code of the reason.
    pub code: &'static str,
    /// Sentence that says what was wrong.
    pub problem: String,
    /// Address of the account at the provider, as far as the provider has confirmed one.
    pub email: Option<String>,
    /// Number of refusals for the same reason since the last entry.
    pub more: u64,
}

/// Writes `login.failed` to the audit log of the organization.
///
/// # Errors
/// The database's.
pub async fn record_refusal(
    services: &Arc<Services>,
    refusal: &ProviderRefusal,
    client: Option<ClientAddress>,
) -> Result<()> {
    let permit = Permit::of_sign_in(&refusal.organization_id);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    cx.acted_without_identity();
    let event = Event::sign_in_failed(refusal.code, &refusal.message());
    cx.done(event, ()).commit().await
}

impl ProviderRefusal {
    fn message(&self) -> String {
        let Self {
            provider, problem, ..
        } = self;
        let mut message =
            format!("A sign-in at the identity provider '{provider}' was refused: {problem}");
        if let Some(email) = &self.email {
            message.push_str(&format!(" The account is that of {}.", base::shown(email)));
        }
        if self.more > 0 {
            message.push_str(&format!(
                " So it was {} times more since the last entry.",
                self.more
            ));
        }
        message
    }
}

/// Outcome of a sign-in.
pub enum ProviderSignIn {
    /// The user is signed in.
    Started(StartedSession),
    /// The account is nobody's, and may not become somebody's.
    UnknownUser,
    /// A user has the address, but signs in with another account at the provider: the address may have been given to
    /// somebody else since.
    OtherAccount,
}

/// Signs in the user whose account at the provider this is. An account that is nobody's is linked to the user with the
/// provider's address, or to a new user.
///
/// # Errors
/// 400 `too_many_identities`. The database's.
pub async fn sign_in(
    services: &Arc<Services>,
    organization: &OrganizationId,
    claims: ProviderClaims<'_>,
    client: Option<ClientAddress>,
    new: NewSession<'_>,
) -> Result<ProviderSignIn> {
    let permit = Permit::of_sign_in(organization);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let user = match find_or_create(&mut cx, claims).await? {
        Ok(user) => user,
        Err(refused) => return Ok(refused),
    };
    if let Some(groups) = claims.groups {
        follow_groups(&mut cx, &user, groups).await?;
    }
    let (event, started) = start(&mut cx, &user, new).await?;
    let done = cx.done(event, ProviderSignIn::Started(started));
    done.commit().await
}

async fn find_or_create(
    cx: &mut Write,
    claims: ProviderClaims<'_>,
) -> Result<Result<User, ProviderSignIn>> {
    let email = claims.email.map(Email::as_str);
    if let Some(id) = used_by(cx, claims.session, email).await? {
        let user = users::find(cx, &id).await?;
        cx.acted_by(&user.id, &user.email);
        return Ok(Ok(user));
    }
    let Some(email) = claims.own_email else {
        return Ok(Err(ProviderSignIn::UnknownUser));
    };
    let found = users::find_by_email(cx, email.as_str()).await?;
    let user = match (found, claims.create_as) {
        (Some(user), _) => user,
        (None, Some(role)) => create(cx, claims.name, email, role).await?,
        (None, None) => return Ok(Err(ProviderSignIn::UnknownUser)),
    };
    if has_account_at(cx, &user.id, &claims.session.issuer).await? {
        return Ok(Err(ProviderSignIn::OtherAccount));
    }
    cx.acted_by(&user.id, &user.email);
    if let Some(event) = link(cx, &user, claims.session, Some(email.as_str())).await? {
        cx.also(event);
    }
    Ok(Ok(user))
}

async fn create(
    cx: &mut Write,
    name: Option<&Name>,
    email: &Email,
    role: OrganizationRole,
) -> Result<User> {
    let id: UserId = cx.new_id();
    let name = name.map_or(email.as_str(), Name::as_str);
    let insert = tenant_sql!(
        cx,
        INSERT_USER,
        args![
            &id,
            name,
            email.as_str(),
            email.key(),
            role.as_str(),
            cx.now()
        ],
    );
    cx.execute(insert).await?;
    cx.acted_by(&id, email.as_str());
    let details = json!({"data": {"role": role}});
    cx.also(Event::new(EventType::UserAdded, &id, details));
    users::find(cx, &id).await
}

/// A group that follows the provider.
struct ManagedGroup {
    id: GroupId,
    name: String,
    has_user: bool,
}

/// Adds the user to the managed groups that the provider names, and removes the user from the others of them.
pub(crate) async fn follow_groups(
    cx: &mut Write,
    user: &User,
    groups: ProviderGroups<'_>,
) -> Result<()> {
    if groups.managed.is_empty() {
        return Ok(());
    }
    let mut statement = tenant_sql!(
        cx,
        "SELECT g.id, g.name, m.user_id AS member FROM groups g LEFT JOIN group_users m \
         ON m.organization_id = g.organization_id AND m.group_id = g.id AND m.user_id = $2 \
         WHERE g.organization_id = $1",
        args![&user.id],
    );
    let names = groups.managed.iter().map(String::as_str);
    statement.push(" AND g.name IN ").bind_list(names);
    statement.push(" ORDER BY g.id");
    let read = |row: &Row<'_>| {
        let member: Option<String> = row.get("member")?;
        Ok(ManagedGroup {
            id: row.id("id")?,
            name: row.get("name")?,
            has_user: member.is_some(),
        })
    };
    for group in cx.fetch_all(statement, read).await? {
        match (groups.member_of.contains(&group.name), group.has_user) {
            (true, false) => add(cx, &group.id, &user.id).await?,
            (false, true) => remove(cx, &group.id, &user.id).await?,
            _ => {}
        }
    }
    Ok(())
}

async fn add(cx: &mut Write, group: &GroupId, user: &UserId) -> Result<()> {
    let insert = tenant_sql!(
        cx,
        "INSERT INTO group_users (organization_id, group_id, user_id, added_at) VALUES ($1, $2, $3, $4)",
        args![group, user, cx.now()],
    );
    cx.execute(insert).await?;
    let details = json!({"user_id": user});
    cx.also(Event::new(EventType::GroupUserAdded, group, details));
    Ok(())
}

async fn remove(cx: &mut Write, group: &GroupId, user: &UserId) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM group_users WHERE organization_id = $1 AND group_id = $2 AND user_id = $3",
        args![group, user],
    );
    cx.execute(delete).await?;
    let details = json!({"user_id": user});
    cx.also(Event::new(EventType::GroupUserRemoved, group, details));
    Ok(())
}
