//! `/organization/invites/accept`: acceptance of an invitation with the token of its email.

use std::sync::Arc;

use base::email::{Email, email_key};
use base::ids::{Id, OrganizationId, UserId};
use base::name::Name;
use base::secret::{MAX_LENGTH, Pepper};
use base::{ClientAddress, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use store::{Connection, sql};

use super::{INVITES, Invite, InviteStatus};
use crate::credentials::identities::link;
use crate::credentials::provider_sign_in::{ProviderClaims, follow_groups};
use crate::operation::{Credential, Done, Event, EventType, Permit, Write};
use crate::projects::users::add;
use crate::sessions::{NewSession, StartedSession, start};
use crate::users::{self, User};
use crate::{Services, args, tenant_sql};

/// The acceptance of an invitation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptInvite {
    /// Token in the link of the email.
    token: String,
    /// Name of the new user.
    name: Name,
}

impl Credential for AcceptInvite {
    async fn organization(
        &self,
        connection: &mut Connection,
        pepper: &Pepper,
    ) -> Result<OrganizationId> {
        organization_of(connection, pepper, &self.token).await
    }
}

/// Returns the organization of the invitation with this token.
async fn organization_of(
    connection: &mut Connection,
    pepper: &Pepper,
    token: &str,
) -> Result<OrganizationId> {
    if token.len() > MAX_LENGTH {
        return Err(invalid_token());
    }
    let mut statement = sql!("SELECT organization_id FROM invites WHERE token_hash IN ");
    statement.bind_list(pepper.hashes(token));
    let found = connection
        .fetch_optional(statement, |row| row.id("organization_id"))
        .await?;
    found.ok_or_else(invalid_token)
}

/// Returns 400, identical for unknown, accepted, deleted and expired invitations.
fn invalid_token() -> Error {
    let message = "The token is unknown, has expired or was used already. Ask for a new invite.";
    Error::refused("invalid_token", message).about("token")
}

pub(super) async fn accept(mut cx: Write, body: AcceptInvite) -> Result<Done<User>> {
    let (event, user) = accept_in(&mut cx, &body.token, &body.name).await?;
    Ok(cx.done(event, user))
}

/// Accepts an invitation, and signs the new user in.
///
/// # Errors
/// As of the operation; the database's.
pub async fn accept_and_sign_in(
    services: &Arc<Services>,
    token: &str,
    name: &Name,
    client: Option<ClientAddress>,
    new: NewSession<'_>,
) -> Result<StartedSession> {
    let mut connection = services.store.read().await?;
    let organization = organization_of(&mut connection, &services.pepper, token).await?;
    drop(connection);
    let permit = Permit::of_sign_in(&organization);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let (event, user) = accept_in(&mut cx, token, name).await?;
    let (login, started) = start(&mut cx, &user, new).await?;
    cx.also(login);
    cx.done(event, started).commit().await
}

/// Accepts an invitation with an account at a provider of `organization`, which is linked to the new user, and signs the
/// user in. The token proves who is invited, so the address at the provider need not be that of the invitation.
///
/// # Errors
/// As of the operation; 400 if the invitation is of another organization, or the account is another user's; the
/// database's.
pub async fn accept_with_provider(
    services: &Arc<Services>,
    (token, name): (&str, &Name),
    organization: &OrganizationId,
    claims: ProviderClaims<'_>,
    client: Option<ClientAddress>,
    new: NewSession<'_>,
) -> Result<StartedSession> {
    let mut connection = services.store.read().await?;
    let found = organization_of(&mut connection, &services.pepper, token).await?;
    drop(connection);
    if found != *organization {
        return Err(invalid_token());
    }
    let permit = Permit::of_sign_in(organization);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let (event, user) = accept_in(&mut cx, token, name).await?;
    let email = claims.email.map(Email::as_str);
    if let Some(linked) = link(&mut cx, &user, claims.session, email).await? {
        cx.also(linked);
    }
    if let Some(groups) = claims.groups {
        follow_groups(&mut cx, &user, groups).await?;
    }
    let (login, started) = start(&mut cx, &user, new).await?;
    cx.also(login);
    cx.done(event, started).commit().await
}

/// Accepts an invitation in a transaction. Returns the event of the acceptance, and the new user.
async fn accept_in(cx: &mut Write, token: &str, name: &Name) -> Result<(Event, User)> {
    let mut one = tenant_sql!(cx, INVITES, args![]);
    one.push(" AND token_hash IN ")
        .bind_list(cx.pepper().hashes(token));
    let invite = cx.fetch_optional(one, Invite::read).await?;
    let invite = invite.ok_or_else(invalid_token)?.at(cx.now());
    if invite.status != InviteStatus::Pending {
        return Err(invalid_token());
    }
    if users::find_by_email(cx, &invite.email).await?.is_some() {
        let message = format!(
            "A user with the address '{}' already exists in the organization.",
            invite.email
        );
        return Err(Error::refused("already_exists", message));
    }
    let id: UserId = cx.new_id();
    let insert = tenant_sql!(
        cx,
        "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            &id,
            name.as_str(),
            invite.email.as_str(),
            email_key(&invite.email),
            invite.role.as_str(),
            cx.now()
        ],
    );
    cx.execute(insert).await?;
    let projects = join(cx, &invite, &id).await?;
    let update = tenant_sql!(
        cx,
        "UPDATE invites SET accepted_at = $3 WHERE organization_id = $1 AND id = $2",
        args![&invite.id, cx.now()],
    );
    cx.execute(update).await?;
    cx.acted_by(&id, &invite.email);
    let user = users::find(cx, &id).await?;
    let details = json!({"user_id": id, "data": {"role": invite.role, "projects": projects}});
    let event = Event::new(EventType::InviteAccepted, &invite.id, details);
    let details = json!({"data": {"role": invite.role}});
    cx.also(Event::new(EventType::UserAdded, &id, details));
    Ok((event, user))
}

/// Adds the new user to the projects of the invitation, except archived ones.
async fn join(cx: &mut Write, invite: &Invite, user: &UserId) -> Result<Vec<String>> {
    let mut joined = Vec::new();
    for project in &invite.projects {
        let active = tenant_sql!(
            cx,
            "SELECT id FROM projects WHERE organization_id = $1 AND id = $2 AND archived_at IS NULL",
            args![&project.id],
        );
        if cx.fetch_optional(active, |_| Ok(())).await?.is_some() {
            add(cx, &project.id, user, project.role).await?;
            joined.push(project.id.as_str().to_owned());
        }
    }
    Ok(joined)
}
