//! A write whose handler gives back its answer without an audit event.

use admin::operation::{NoParameters, Operation, Organization, Write, write};
use base::{Permission, Result};
use http::Method;

async fn create(_: Write, _: Organization, _: NoParameters) -> Result<NoParameters> {
    Ok(NoParameters {})
}

fn main() {
    let _: Operation = write("x", Method::POST, "/x", Permission::ProjectsWrite, "Does x.", create);
}
