//! An operation without a permission.

use admin::operation::{Done, Event, EventType, NoParameters, Operation, Organization, Write, write};
use base::Result;
use base::ids::ProjectId;
use http::Method;

async fn create(cx: Write, _: Organization, _: NoParameters) -> Result<Done<NoParameters>> {
    let id: ProjectId = cx.new_id();
    let event = Event::new(EventType::ProjectCreated, &id, Default::default());
    Ok(cx.done(event, NoParameters {}))
}

fn main() {
    let _: Operation = write("x", Method::POST, "/x", "Does x.", create);
}
