//! `/organization/users/{user_id}/sessions`: sessions of a user who has signed in.

use base::ids::{Id, SessionId, UserId};
use base::{Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Row;

use super::User;
use crate::list::{Deleted, List, list_item, oldest_first};
use crate::literal::literals;
use crate::operation::{
    Done, Event, EventType, Limit, NoParameters, Operation, Organization, Read, ScopedId, Write,
    operations,
};
use crate::sessions::{self, SignInMethod};
use crate::users;
use crate::{args, tenant_sql};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::UsersWrite as CanWrite;
    const ALL: &str = "/organization/users/{user_id}/sessions";
    const ONE: &str = "/organization/users/{user_id}/sessions/{session_id}";
    const LIST: &str = "Lists the sessions of a user who has signed in.";
    const DELETE: &str = "Ends a session of a user, who has to sign in again there.";
    const DELETE_ALL: &str =
        "Ends all sessions of a user, who has to sign in again. The user's keys stay valid.";
    operations! {
        GET "users:sessions list", ALL, CanWrite, LIST, list, extension;
        DELETE "users:sessions delete", ONE, CanWrite, DELETE, delete, extension;
        DELETE "users:sessions delete-all", ALL, CanWrite, DELETE_ALL, delete_all, extension;
    }
}

literals! {
    SessionObject = "organization.user.session";
    SessionDeleted = "organization.user.session.deleted";
    SessionsDeleted = "organization.user.sessions.deleted";
}

/// A session of a user who has signed in.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UserSession")]
pub(crate) struct Session {
    object: SessionObject,
    id: SessionId,
    /// Proof of identity with which the session began.
    method: SignInMethod,
    /// Id of the identity provider, if one proved the identity.
    provider: Option<String>,
    /// Address of the client that signed in.
    ip_address: Option<String>,
    /// Beginning of the browser's `User-Agent`.
    user_agent: Option<String>,
    created_at: UnixTime,
    /// Time of the last request, to the second.
    last_seen_at: UnixTime,
    /// Time of the end, unless the session ends before.
    expires_at: UnixTime,
    /// True if this request was sent in the session.
    is_current: bool,
}

const SESSIONS: &str = "\
    SELECT s.id, s.method, s.provider, s.ip_address, s.user_agent, s.created_at, s.last_seen_at, s.expires_at \
    FROM sessions s WHERE s.organization_id = $1 AND s.user_id = $2 AND s.expires_at > $3 AND s.last_seen_at > $4";

impl Session {
    /// Reads a row. [`Session::seen_by`] must be applied afterwards.
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            object: SessionObject,
            id: row.id("id")?,
            method: row.word("method", SignInMethod::parse)?,
            provider: row.get("provider")?,
            ip_address: row.get("ip_address")?,
            user_agent: row.get("user_agent")?,
            created_at: row.time("created_at")?,
            last_seen_at: row.time("last_seen_at")?,
            expires_at: row.time("expires_at")?,
            is_current: false,
        })
    }

    fn seen_by(self, session: Option<&str>) -> Self {
        Self {
            is_current: session == Some(self.id.as_str()),
            ..self
        }
    }
}

list_item!(Session, id);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSessions {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last session of the previous page.
    after: Option<String>,
}

/// Lists the sessions of a user, oldest first.
///
/// # Errors
/// 400 naming a cursor that is not an item of the list; the database's.
pub(crate) async fn list_of(
    cx: &mut Read,
    user: &UserId,
    query: ListSessions,
) -> Result<List<Session>> {
    let now = cx.now();
    let seen_after = now.plus(-cx.session_lifetimes().idle_seconds);
    let list = tenant_sql!(cx, SESSIONS, args![user, now, seen_after]);
    let request = oldest_first(query.limit.0, query.after);
    let page = cx
        .page(&request, list.clone(), list, "s.id", Session::read)
        .await?;
    let caller = cx.permit().caller().map(|caller| caller.id.as_str());
    Ok(page.map(|session| session.seen_by(caller)).into())
}

async fn list(
    mut cx: Read,
    ScopedId(_, user): ScopedId<Organization, UserId>,
    query: ListSessions,
) -> Result<List<Session>> {
    let one = tenant_sql!(
        cx,
        "SELECT id FROM users WHERE organization_id = $1 AND id = $2",
        args![&user],
    );
    cx.find(&user, one, |_| Ok(())).await?;
    list_of(&mut cx, &user, query).await
}

async fn delete(
    mut cx: Write,
    ScopedId(ScopedId(_, user), id): ScopedId<ScopedId<Organization, UserId>, SessionId>,
    _: NoParameters,
) -> Result<Done<Deleted<SessionDeleted>>> {
    users::find(&mut cx, &user).await?;
    let event = sessions::end_one(&mut cx, &user, &id).await?;
    Ok(cx.done(event, Deleted::new(SessionDeleted, &id)))
}

/// The response to the end of all sessions of a user.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SessionsEnded {
    object: SessionsDeleted,
    /// Ids of the sessions that have ended, oldest first.
    session_ids: Vec<SessionId>,
    /// Always true.
    deleted: bool,
}

async fn delete_all(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, UserId>,
    _: NoParameters,
) -> Result<Done<SessionsEnded>> {
    let user: User = users::find(&mut cx, &id).await?;
    let session_ids = sessions::end_all(&mut cx, &user.id, None).await?;
    let ended = json!({"removed": {"sessions": session_ids}});
    let answer = SessionsEnded {
        object: SessionsDeleted,
        session_ids,
        deleted: true,
    };
    if answer.session_ids.is_empty() {
        return Ok(cx.unchanged(answer));
    }
    let event = Event::new(EventType::UserSessionsEnded, &user.id, ended);
    Ok(cx.done(event, answer))
}
