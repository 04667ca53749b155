//! Sessions of users who have signed in. A session is an entry of the directory, as an API key is, so that its end takes
//! effect on all nodes within a second. Its token is in a cookie of the user's browser, and is no API key.

use std::sync::Arc;

use access::KeyHashes;
use base::ids::{KeyId, OrganizationId, SessionId, UserId};
use base::permission::OrganizationRole;
use base::secret::{KeyKind, MAX_LENGTH, Secret};
use base::{ClientAddress, Error, Result, UnixTime, names};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use store::{Row, sql};

pub use crate::session_lifetimes::{
    DEFAULT_ABSOLUTE_SECONDS, DEFAULT_IDLE_SECONDS, SessionLifetimes,
};

use crate::operation::{Caller, Event, EventType, Permit, Write};
use crate::users::{self, User};
use crate::{Services, args, tenant_sql};

/// The most sessions of a user; a further one ends the oldest. One more than the number that [`TIDY`] keeps.
const MAX_SESSIONS_PER_USER: usize = 50;
/// The most characters of a user agent that are stored.
const MAX_USER_AGENT_LENGTH: usize = 200;

names! {
    /// The proof of identity with which a session began.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[schemars(inline)]
    pub enum SignInMethod {
        /// A password.
        Password = "password",
        /// A link that was mailed, or made on the server's machine.
        Link = "link",
        /// The link of an invitation, whose acceptance made the user.
        Invite = "invite",
        /// An identity provider.
        Provider = "provider",
    }
}

/// A session at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSession {
    /// Id of the provider in the configuration.
    pub provider: String,
    /// Issuer of its tokens.
    pub issuer: String,
    /// Id of the user there.
    pub subject: String,
    /// Id of the session there, if the provider gives one.
    pub id: Option<String>,
}

/// The parameters of a new session.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Proof of identity.
    pub method: SignInMethod,
    /// Session at the identity provider that proved the identity.
    pub provider: Option<&'a ProviderSession>,
    /// `User-Agent` header of the request.
    pub user_agent: Option<&'a str>,
    /// Session of the same browser that the new one replaces.
    pub replaces: Option<&'a SessionId>,
}

/// Facts about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Id.
    pub id: SessionId,
    /// Time of the beginning.
    pub created_at: UnixTime,
    /// Time of the proof of identity.
    pub authenticated_at: UnixTime,
    /// Proof of identity.
    pub method: SignInMethod,
    /// Id of the identity provider in the configuration, if one proved the identity.
    pub provider: Option<String>,
    /// Time of the end, unless the session is not used for long or ended before.
    pub expires_at: UnixTime,
}

/// The user of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInUser {
    /// Id.
    pub id: UserId,
    /// Name.
    pub name: String,
    /// E-mail address, as it was written.
    pub email: String,
    /// Role in the organization.
    pub role: OrganizationRole,
}

/// A user with a valid session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The caller of operations.
    pub caller: Caller,
    /// The session.
    pub session: SessionFacts,
    /// The user.
    pub user: SignedInUser,
}

/// A new session with its token, which is stored nowhere.
pub struct StartedSession {
    /// Token for the cookie.
    pub token: Secret,
    /// The session.
    pub session: SessionFacts,
    /// Organization of the session.
    pub organization_id: OrganizationId,
    /// Id of the user.
    pub user_id: UserId,
}

const SESSION: &str = "\
    SELECT s.id, s.created_at, s.authenticated_at, s.last_seen_at, s.method, s.provider, s.expires_at, \
           u.id AS user_id, u.name, u.email, u.role \
    FROM sessions s JOIN users u ON u.organization_id = s.organization_id AND u.id = s.user_id \
    WHERE s.organization_id = $1 AND s.id = $2";

/// Ends the expired sessions of a user, and all but the newest ones.
const TIDY: &str = "\
    DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2 AND (expires_at <= $3 OR id NOT IN \
    (SELECT id FROM sessions WHERE organization_id = $1 AND user_id = $2 ORDER BY id DESC LIMIT $4))";

const INSERT: &str = "\
    INSERT INTO sessions (organization_id, id, user_id, hash, method, provider, issuer, subject, provider_session, \
        ip_address, user_agent, created_at, authenticated_at, last_seen_at, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $12, $13)";

/// Finds the user whose session has this token. The session is used by that: its idle time begins anew.
///
/// # Errors
/// 401: the session is unknown, was ended, was not used for long, or is over. 503: the database is unavailable.
pub async fn authenticate(services: &Arc<Services>, token: &str) -> Result<SignedIn> {
    if !token.starts_with(KeyKind::Session.prefix()) || token.len() > MAX_LENGTH {
        return Err(Error::session_ended());
    }
    services.directory.check_age()?;
    let hashes = KeyHashes::of(&services.pepper, token);
    let found = services.directory.look_up_session(&hashes).await?;
    let key = found.ok_or_else(Error::session_ended)?;
    let now = services.clock.now();
    key.alive(now)?;
    let statement = sql!(SESSION, &key.organization.id, &key.id);
    let mut connection = services.store.read().await?;
    let row = connection.fetch_optional(statement, StoredSession::read);
    let stored = row.await?.ok_or_else(Error::session_ended)?;
    // Another node may have seen the session since this one did, so the database decides.
    if stored
        .last_seen_at
        .plus(services.session_lifetimes.idle_seconds)
        <= now
    {
        return Err(Error::session_ended());
    }
    let last_used = &services.last_used;
    last_used.touch(&key.organization.id, &key.id, None);
    Ok(SignedIn {
        caller: Caller::with_session(key, hashes),
        session: stored.facts,
        user: stored.user,
    })
}

struct StoredSession {
    facts: SessionFacts,
    user: SignedInUser,
    last_seen_at: UnixTime,
}

impl StoredSession {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            facts: SessionFacts {
                id: row.id("id")?,
                created_at: row.time("created_at")?,
                authenticated_at: row.time("authenticated_at")?,
                method: row.word("method", SignInMethod::parse)?,
                provider: row.get("provider")?,
                expires_at: row.time("expires_at")?,
            },
            user: SignedInUser {
                id: row.id("user_id")?,
                name: row.get("name")?,
                email: row.get("email")?,
                role: row.word("role", OrganizationRole::parse)?,
            },
            last_seen_at: row.time("last_seen_at")?,
        })
    }
}

/// Begins a session of a user whose identity has been proved.
///
/// # Errors
/// 404: the user does not exist. The database's.
pub async fn begin(
    services: &Arc<Services>,
    organization: &OrganizationId,
    user: &UserId,
    client: Option<ClientAddress>,
    new: NewSession<'_>,
) -> Result<StartedSession> {
    let permit = Permit::of_sign_in(organization);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let user = users::find(&mut cx, user).await?;
    let (event, started) = start(&mut cx, &user, new).await?;
    cx.done(event, started).commit().await
}

/// Begins a session in the transaction of the proof of identity. Returns its event.
///
/// # Errors
/// The database's.
pub(crate) async fn start(
    cx: &mut Write,
    user: &User,
    new: NewSession<'_>,
) -> Result<(Event, StartedSession)> {
    cx.acted_by(&user.id, &user.email);
    let now = cx.now();
    let kept = i64::try_from(MAX_SESSIONS_PER_USER - 1).unwrap_or(0);
    let tidy = tenant_sql!(cx, TIDY, args![&user.id, now, kept]);
    cx.execute(tidy).await?;
    if let Some(old) = new.replaces {
        replace(cx, old).await?;
    }
    let token = Secret::generate(KeyKind::Session, cx.entropy());
    let session = SessionFacts {
        id: cx.new_id(),
        created_at: now,
        authenticated_at: now,
        method: new.method,
        provider: new.provider.map(|provider| provider.provider.clone()),
        expires_at: now.plus(cx.session_lifetimes().absolute_seconds),
    };
    let provider = new.provider;
    let user_agent = new.user_agent.map(short_user_agent);
    let client = cx.client().map(|client| client.to_string());
    let insert = tenant_sql!(
        cx,
        INSERT,
        args![
            &session.id,
            &user.id,
            cx.pepper().hash_secret(&token),
            new.method.as_str(),
            session.provider.clone(),
            provider.map(|provider| provider.issuer.clone()),
            provider.map(|provider| provider.subject.clone()),
            provider.and_then(|provider| provider.id.clone()),
            client,
            user_agent,
            now,
            session.expires_at
        ],
    );
    cx.execute(insert).await?;
    let mut details = json!({"session_id": session.id, "method": session.method});
    if let Some(provider) = &session.provider {
        details["provider"] = json!(provider);
    }
    let event = Event::of_session(EventType::LoginSucceeded, &user.id, &session.id, details);
    let started = StartedSession {
        token,
        session,
        organization_id: cx.organization().clone(),
        user_id: user.id.clone(),
    };
    Ok((event, started))
}

/// Returns the beginning of a user agent, in visible characters.
fn short_user_agent(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(MAX_USER_AGENT_LENGTH).collect()
}

/// Ends a session of the same browser in favour of the one that begins.
async fn replace(cx: &mut Write, old: &SessionId) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM sessions WHERE organization_id = $1 AND id = $2 RETURNING user_id",
        args![old],
    );
    let user: Option<UserId> = cx.fetch_optional(delete, |row| row.id("user_id")).await?;
    if let Some(user) = user {
        let event = ended(&user, old, "replaced");
        cx.also(event);
    }
    Ok(())
}

/// Returns the event of the end of a session.
fn ended(user: &UserId, session: &SessionId, reason: &str) -> Event {
    let details = json!({"id": session, "user_id": user, "reason": reason});
    Event::of_session(EventType::SessionEnded, user, session, details)
}

/// Signs a user out: ends the session. A session that has ended already stays so.
///
/// # Errors
/// The database's.
pub async fn end(
    services: &Arc<Services>,
    signed_in: &SignedIn,
    client: Option<ClientAddress>,
) -> Result<()> {
    let permit = Permit::of_sign_in(&signed_in.caller.organization.id);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    let (user, session) = (&signed_in.user, &signed_in.session.id);
    cx.acted_by(&user.id, &user.email);
    let delete = tenant_sql!(
        cx,
        "DELETE FROM sessions WHERE organization_id = $1 AND id = $2",
        args![session],
    );
    let done = match cx.execute(delete).await? {
        0 => cx.unchanged(()),
        _ => {
            let details = json!({"session_id": session});
            let event = Event::of_session(EventType::LogoutSucceeded, &user.id, session, details);
            cx.done(event, ())
        }
    };
    done.commit().await
}

/// Ends the sessions that began with a sign-in at an identity provider until this time, at which the provider reports
/// their end: one session, or all of the user. A sign-in after the report stays. Returns the number of sessions that have
/// ended.
///
/// # Errors
/// The database's.
pub async fn end_at_provider(
    services: &Arc<Services>,
    organization: &OrganizationId,
    issuer: &str,
    (subject, session): (Option<&str>, Option<&str>),
    until: UnixTime,
) -> Result<usize> {
    if subject.is_none() && session.is_none() {
        return Ok(0);
    }
    let permit = Permit::of_sign_in(organization);
    let mut cx = Write::begin(Arc::clone(services), permit, None).await?;
    let mut delete = tenant_sql!(
        cx,
        "DELETE FROM sessions WHERE organization_id = $1 AND issuer = $2 AND created_at <= $3",
        args![issuer, until],
    );
    if let Some(subject) = subject {
        delete.push(" AND subject = ").bind(subject);
    }
    if let Some(session) = session {
        delete.push(" AND provider_session = ").bind(session);
    }
    delete.push(" RETURNING id, user_id");
    let read = |row: &Row<'_>| Ok((row.id("id")?, row.id("user_id")?));
    let gone: Vec<(SessionId, UserId)> = cx.fetch_all(delete, read).await?;
    let count = gone.len();
    let mut events = gone
        .iter()
        .map(|(session, user)| ended(user, session, "ended_at_provider"));
    let Some(first) = events.next() else {
        return cx.unchanged(0).commit().await;
    };
    for event in events {
        cx.also(event);
    }
    cx.done(first, count).commit().await
}

/// Ends one session of a user, by a request of somebody else, or from another session.
///
/// # Errors
/// 404: the user has no such session. The database's.
pub(crate) async fn end_one(cx: &mut Write, user: &UserId, session: &SessionId) -> Result<Event> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2 AND id = $3",
        args![user, session],
    );
    cx.delete(session, delete).await?;
    Ok(ended(user, session, "ended"))
}

/// Ends all sessions of a user, except `kept`. Returns their ids, oldest first.
///
/// # Errors
/// The database's.
pub(crate) async fn end_all(
    cx: &mut Write,
    user: &UserId,
    kept: Option<&SessionId>,
) -> Result<Vec<SessionId>> {
    let mut delete = tenant_sql!(
        cx,
        "DELETE FROM sessions WHERE organization_id = $1 AND user_id = $2",
        args![user],
    );
    if let Some(kept) = kept {
        delete.push(" AND id <> ").bind(kept);
    }
    delete.push(" RETURNING id");
    let mut gone: Vec<SessionId> = cx.fetch_all(delete, |row| row.id("id")).await?;
    gone.sort_unstable();
    Ok(gone)
}

impl SignedIn {
    /// Returns the session's key in the directory.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.caller.id
    }

    /// Returns true if the identity was proved within the last `seconds`, as dangerous acts require.
    #[must_use]
    pub fn is_recent(&self, now: UnixTime, seconds: i64) -> bool {
        self.session.authenticated_at.plus(seconds) > now
    }
}
