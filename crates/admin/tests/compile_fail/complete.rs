//! The whole of an operation: what the other cases leave out something of.

use admin::operation::{Done, Event, EventType, NoParameters, Operation, Organization, Write, write};
use base::ids::ProjectId;
use base::{Permission, Result};
use http::Method;

async fn create(cx: Write, _: Organization, _: NoParameters) -> Result<Done<NoParameters>> {
    let id: ProjectId = cx.new_id();
    let event = Event::new(EventType::ProjectCreated, &id, Default::default());
    Ok(cx.done(event, NoParameters {}))
}

fn main() {
    let _: Operation = write("x", Method::POST, "/x", Permission::ProjectsWrite, "Does x.", create);
}
