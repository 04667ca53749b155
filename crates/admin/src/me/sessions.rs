//! `/organization/me/sessions`: sessions of the caller.

use base::ids::SessionId;
use base::{Permission, Result};

use crate::list::{Deleted, List};
use crate::operation::{
    Done, Needs, NoParameters, Operation, Organization, Read, ScopedId, Write, operations,
};
use crate::sessions;
use crate::users::sessions::{ListSessions, Session, SessionDeleted, list_of};

pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/organization/me/sessions";
    const ONE: &str = "/organization/me/sessions/{session_id}";
    const NEEDS: Needs = Needs::Own(Permission::UsersWrite);
    const DELETE: &str = "Ends a session of the caller, who has to sign in again there.";
    operations! {
        GET "me:sessions list", ALL, NEEDS, "Lists the sessions of the caller.", list, extension;
        DELETE "me:sessions delete", ONE, NEEDS, DELETE, delete, extension;
    }
}

async fn list(mut cx: Read, _: Organization, query: ListSessions) -> Result<List<Session>> {
    let user = cx.permit().user()?.clone();
    list_of(&mut cx, &user, query).await
}

async fn delete(
    mut cx: Write,
    ScopedId(_, id): ScopedId<Organization, SessionId>,
    _: NoParameters,
) -> Result<Done<Deleted<SessionDeleted>>> {
    let user = cx.permit().user()?.clone();
    let event = sessions::end_one(&mut cx, &user, &id).await?;
    Ok(cx.done(event, Deleted::new(SessionDeleted, &id)))
}
