//! A whole operation, of which each program that must not compile leaves out something.

use admin::operation::{
    Done, Event, EventType, NoParameters, Operation, Organization, Write, write,
};
use base::ids::ProjectId;
use base::{Permission, Result};
use http::Method;

async fn create(cx: Write, _: Organization, _: NoParameters) -> Result<Done<NoParameters>> {
    let id: ProjectId = cx.new_id();
    let event = Event::new(EventType::ProjectCreated, &id, Default::default());
    Ok(cx.done(event, NoParameters {}))
}

/// Returns the operation.
pub(super) fn operation() -> Operation {
    write(
        "x",
        Method::POST,
        "/x",
        Permission::ProjectsWrite,
        "Does x.",
        create,
    )
}
