//! Passwords. Their hashes are made and checked by the crate `identity`; here they are only stored.

use std::sync::Arc;

use base::{ClientAddress, Error, Result};
use serde_json::json;

use crate::operation::{Event, EventType, Permit, Write};
use crate::sessions::{SignedIn, end_all};
use crate::{Services, args, tenant_sql};

const SET: &str = "\
    INSERT INTO passwords (organization_id, user_id, hash, set_at) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (organization_id, user_id) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at";

/// Sets the user's password, whose hash is in the PHC string format. Ends the user's other sessions, and makes mailed links
/// void: whoever changes a password may fear that somebody else has signed in.
///
/// # Errors
/// 401: the session has ended. The database's.
pub async fn set(
    services: &Arc<Services>,
    signed_in: &SignedIn,
    hash: String,
    client: Option<ClientAddress>,
) -> Result<()> {
    let mut cx = begin(services, signed_in, client).await?;
    let (user, session) = (&signed_in.user.id, &signed_in.session.id);
    let set = tenant_sql!(cx, SET, args![user, hash, cx.now()]);
    cx.execute(set).await?;
    let links = tenant_sql!(
        cx,
        "DELETE FROM sign_in_links WHERE organization_id = $1 AND user_id = $2",
        args![user],
    );
    cx.execute(links).await?;
    let ended = end_all(&mut cx, user, Some(session)).await?;
    let details = json!({"removed": {"sessions": ended}});
    let event = Event::new(EventType::UserPasswordSet, user, details);
    cx.done(event, ()).commit().await
}

/// Removes the user's password, who signs in otherwise from then on.
///
/// # Errors
/// 401: the session has ended. The database's.
pub async fn remove(
    services: &Arc<Services>,
    signed_in: &SignedIn,
    client: Option<ClientAddress>,
) -> Result<()> {
    let mut cx = begin(services, signed_in, client).await?;
    let user = &signed_in.user.id;
    let delete = tenant_sql!(
        cx,
        "DELETE FROM passwords WHERE organization_id = $1 AND user_id = $2",
        args![user],
    );
    let done = match cx.execute(delete).await? {
        0 => cx.unchanged(()),
        _ => cx.done(
            Event::new(EventType::UserPasswordRemoved, user, json!({})),
            (),
        ),
    };
    done.commit().await
}

/// Begins a change of the user's own credentials, in which the session exists until the commit.
pub(super) async fn begin(
    services: &Arc<Services>,
    signed_in: &SignedIn,
    client: Option<ClientAddress>,
) -> Result<Write> {
    let permit = Permit::of_sign_in(&signed_in.caller.organization.id);
    let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
    cx.acted_by(&signed_in.user.id, &signed_in.user.email);
    let session = tenant_sql!(
        cx,
        "SELECT id FROM sessions WHERE organization_id = $1 AND user_id = $2 AND id = $3",
        args![&signed_in.user.id, &signed_in.session.id],
    );
    match cx.fetch_optional(session, |_| Ok(())).await? {
        Some(()) => Ok(cx),
        None => Err(Error::session_ended()),
    }
}
