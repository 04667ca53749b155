//! `/organization/me/sessions`: the caller's own sessions.

use base::ids::{SessionId, UserId};
use base::{Error, Permission, Result};

use crate::list::{Deleted, List};
use crate::operation::{
    Done, Needs, NoParameters, Operation, Organization, Permit, Read, ScopedId, Write, operations,
};
use crate::sessions;
use crate::users::sessions::{ListSessions, Session, SessionDeleted, list_of};

pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/organization/me/sessions";
    const ONE: &str = "/organization/me/sessions/{session_id}";
    const READ: Needs = Needs::Own(Permission::UsersRead);
    const WRITE: Needs = Needs::Own(Permission::UsersWrite);
    const LIST: &str = "Lists the caller's sessions in browsers.";
    const DELETE: &str = "Ends a session of the caller, who has to sign in again there.";
    operations! {
        GET "me:sessions list", ALL, READ, LIST, list, extension;
        DELETE "me:sessions delete", ONE, WRITE, DELETE, delete, extension;
    }
}

async fn list(mut cx: Read, _: Organization, query: ListSessions) -> Result<List<Session>> {
    let user = browser_user(cx.permit())?;
    list_of(&mut cx, &user, query).await
}

async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, SessionId>,
    _: NoParameters,
) -> Result<Done<Deleted<SessionDeleted>>> {
    let user = browser_user(cx.permit())?;
    let event = sessions::end_one(&mut cx, &user, &id).await?;
    Ok(cx.done(event, Deleted::new(SessionDeleted, &id)))
}

/// Returns the user of the caller. A key of a project, which is in programs, tells nothing of browsers.
///
/// # Errors
/// 403: the caller is a key of a project.
fn browser_user(permit: &Permit) -> Result<UserId> {
    let caller = permit.caller().ok_or_else(Error::internal)?;
    if caller.project_id().is_some() {
        return Err(Error::forbidden(
            "insufficient_permissions",
            "This operation needs a session, or an admin key that a user owns.",
        ));
    }
    permit.user().cloned()
}
