//! An operation without a permission.

use admin::operation::{Done, Event, EventType, Nothing, Operation, Organization, Write, write};
use base::Result;
use base::ids::ProjectId;
use http::Method;

async fn create(cx: Write, _: Organization, _: Nothing) -> Result<Done<Nothing>> {
    let id: ProjectId = cx.new_id();
    let event = Event::new(EventType::ProjectCreated, &id, Default::default());
    Ok(cx.done(event, Nothing {}))
}

fn main() {
    let _: Operation = write("x", Method::POST, "/x", "Does x.", create);
}
