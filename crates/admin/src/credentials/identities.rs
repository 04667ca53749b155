//! Accounts of users at identity providers. A user is found by issuer and subject, never by the address alone.

use std::sync::Arc;

use base::ids::{OrganizationId, UserId};
use base::{ClientAddress, Error, Result, UnixTime};
use serde_json::json;
use store::{Row, sql};

use super::passwords::begin;
use crate::operation::{Event, EventType, Write};
use crate::sessions::{ProviderSession, SignedIn};
use crate::users::{self, User};
use crate::{Services, args, tenant_sql};

/// The most accounts of a user at identity providers.
pub const MAX_IDENTITIES: usize = 20;

/// An account of a user at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// Id of the provider in the configuration.
    pub provider: String,
    /// Issuer of the provider.
    pub issuer: String,
    /// Id of the user at the provider.
    pub subject: String,
    /// Address that the provider gave when the account was linked.
    pub email: Option<String>,
    /// Time of the link.
    pub linked_at: UnixTime,
}

impl LinkedIdentity {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            provider: row.get("provider")?,
            issuer: row.get("issuer")?,
            subject: row.get("subject")?,
            email: row.get("email")?,
            linked_at: row.time("linked_at")?,
        })
    }
}

const LINKED_USER: &str = "\
    SELECT user_id FROM identities WHERE organization_id = $1 AND issuer = $2 AND subject = $3";
const USED: &str = "\
    UPDATE identities SET last_used_at = $4, email = COALESCE($5, email) \
    WHERE organization_id = $1 AND issuer = $2 AND subject = $3 RETURNING user_id";
const INSERT: &str = "\
    INSERT INTO identities (organization_id, issuer, subject, user_id, provider, email, linked_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Returns the accounts of a user, oldest first.
///
/// # Errors
/// The database's.
pub async fn of_user(
    services: &Services,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<Vec<LinkedIdentity>> {
    let statement = sql!(
        "SELECT provider, issuer, subject, email, linked_at FROM identities \
         WHERE organization_id = $1 AND user_id = $2 ORDER BY linked_at, issuer, subject",
        organization,
        user
    );
    let mut connection = services.store.read().await?;
    Ok(connection
        .fetch_all(statement, LinkedIdentity::read)
        .await?)
}

/// Returns the user whose account at the provider this is.
///
/// # Errors
/// The database's.
pub async fn find(
    services: &Services,
    organization: &OrganizationId,
    issuer: &str,
    subject: &str,
) -> Result<Option<UserId>> {
    let statement = sql!(LINKED_USER, organization, issuer, subject);
    let mut connection = services.store.read().await?;
    let found = connection.fetch_optional(statement, |row| row.id("user_id"));
    Ok(found.await?)
}

/// Links an account at a provider to the user who is signed in.
///
/// # Errors
/// 401: the session has ended. 400 `identity_taken`: the account is another user's. 400 `too_many_identities`. The
/// database's.
pub async fn link_own(
    services: &Arc<Services>,
    signed_in: &SignedIn,
    (session, email): (&ProviderSession, Option<&str>),
    client: Option<ClientAddress>,
) -> Result<()> {
    let mut cx = begin(services, signed_in, client).await?;
    let user = users::find(&mut cx, &signed_in.user.id).await?;
    match link(&mut cx, &user, session, email).await? {
        Some(event) => cx.done(event, ()).commit().await,
        None => cx.unchanged(()).commit().await,
    }
}

/// Finds the user whose account at the provider this is, in the transaction of a sign-in that uses the account with this
/// address.
pub(crate) async fn used_by(
    cx: &mut Write,
    session: &ProviderSession,
    email: Option<&str>,
) -> Result<Option<UserId>> {
    let (issuer, subject) = (session.issuer.as_str(), session.subject.as_str());
    let used = tenant_sql!(cx, USED, args![issuer, subject, cx.now(), email]);
    cx.fetch_optional(used, |row| row.id("user_id")).await
}

/// Returns true if an account at this issuer is linked to the user.
pub(crate) async fn has_account_at(cx: &mut Write, user: &UserId, issuer: &str) -> Result<bool> {
    let one = tenant_sql!(
        cx,
        "SELECT subject FROM identities WHERE organization_id = $1 AND user_id = $2 AND issuer = $3 LIMIT 1",
        args![user, issuer],
    );
    Ok(cx.fetch_optional(one, |_| Ok(())).await?.is_some())
}

/// Links an account in the transaction of the proof. Returns the event; `None` if the account is linked to the user already.
pub(crate) async fn link(
    cx: &mut Write,
    user: &User,
    session: &ProviderSession,
    email: Option<&str>,
) -> Result<Option<Event>> {
    let account = || args![session.issuer.as_str(), session.subject.as_str()];
    let linked = tenant_sql!(cx, LINKED_USER, account());
    let owner = cx.fetch_optional(linked, |row| row.id("user_id")).await?;
    match owner {
        Some(owner) if owner == user.id => return Ok(None),
        Some::<UserId>(_) => return Err(taken()),
        None => {}
    }
    let own = tenant_sql!(
        cx,
        "SELECT subject FROM identities WHERE organization_id = $1 AND user_id = $2",
        args![&user.id],
    );
    if cx.fetch_all(own, |_| Ok(())).await?.len() >= MAX_IDENTITIES {
        let message = format!(
            "A user has at most {MAX_IDENTITIES} accounts at identity providers. Unlink one first."
        );
        return Err(Error::refused("too_many_identities", message));
    }
    let insert = tenant_sql!(
        cx,
        INSERT,
        args![
            session.issuer.as_str(),
            session.subject.as_str(),
            &user.id,
            session.provider.as_str(),
            email,
            cx.now()
        ],
    );
    cx.execute(insert).await?;
    Ok(Some(event(EventType::UserIdentityLinked, user, session)))
}

fn taken() -> Error {
    let message = "This account at the identity provider is linked to another user. That user has to unlink it first.";
    Error::refused("identity_taken", message)
}

fn event(kind: EventType, user: &User, session: &ProviderSession) -> Event {
    let identity = json!({
        "provider": session.provider, "issuer": session.issuer, "subject": session.subject,
    });
    Event::new(kind, &user.id, json!({"data": identity}))
}

/// Unlinks an account of the user who is signed in.
///
/// # Errors
/// 401: the session has ended. 404: the account is not the user's. The database's.
pub async fn unlink_own(
    services: &Arc<Services>,
    signed_in: &SignedIn,
    issuer: &str,
    subject: &str,
    client: Option<ClientAddress>,
) -> Result<()> {
    let mut cx = begin(services, signed_in, client).await?;
    let user = users::find(&mut cx, &signed_in.user.id).await?;
    let delete = tenant_sql!(
        cx,
        "DELETE FROM identities WHERE organization_id = $1 AND user_id = $2 AND issuer = $3 AND subject = $4 \
         RETURNING provider",
        args![&user.id, issuer, subject],
    );
    let provider: Option<String> = cx.fetch_optional(delete, |row| row.get("provider")).await?;
    let provider = provider.ok_or_else(|| Error::not_found("linked account", subject))?;
    let session = ProviderSession {
        provider,
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        id: None,
    };
    let event = event(EventType::UserIdentityUnlinked, &user, &session);
    cx.done(event, ()).commit().await
}
