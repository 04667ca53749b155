//! Data retention: what model servers may store of a request, and what is kept of it here.

use base::{Error, Result};
use bodies::{Capture, RequestInfo};

use crate::Gateway;
use crate::dialect::{Call, Dialect};
use crate::identify::Caller;
use crate::router::Context;

impl Gateway {
    /// Tells model servers to store nothing where nothing may be; begins to keep the request where that is configured and
    /// allowed.
    ///
    /// # Errors
    /// 400: the request is to be kept where nothing may be.
    pub(crate) fn retain(
        &self,
        context: &Context,
        dialect: &Dialect,
        caller: &Caller,
        call: &mut Call,
    ) -> Result<Option<Capture>> {
        let retention = caller.settings.retention(caller.level());
        if retention.is_zero() {
            if let Some(name) = call.is_kept_by {
                return Err(must_not_be_kept(name));
            }
            call.forbid_storing();
        }
        let Some(bodies) = self.0.bodies.as_ref() else {
            return Ok(None);
        };
        let capture = bodies.capture(dialect.holds, retention, call.sent(), || RequestInfo {
            organization: caller.key.organization.id.clone(),
            project: caller.project.id.clone(),
            id: context.id.clone(),
            at: self.0.clock.now(),
            endpoint: dialect.path,
            model: call.model.clone(),
        });
        Ok(capture)
    }
}

/// The refusal of what a model server would keep of a project with zero data retention.
fn must_not_be_kept(name: &'static str) -> Error {
    let message = format!(
        "{name} makes the model server keep what is said, and the project has zero data retention. Send what was said in \
         input instead."
    );
    Error::refused("zero_data_retention", message).about(name)
}
