//! Data retention: what model servers may store of a request, and what is kept of it here.

use bodies::{About, Capture};

use crate::Gateway;
use crate::dialect::{Call, Dialect};
use crate::identify::Caller;
use crate::router::Context;

impl Gateway {
    /// Tells model servers to store nothing where nothing may be; begins to keep the request where that is configured and
    /// allowed.
    pub(crate) fn retain(
        &self,
        context: &Context,
        dialect: &Dialect,
        caller: &Caller,
        call: &mut Call,
    ) -> Option<Capture> {
        let retention = caller.settings.retention(caller.level());
        if retention.is_zero() {
            call.forbid_storing();
        }
        let bodies = self.0.bodies.as_ref()?;
        bodies.capture(dialect.holds, retention, call.sent(), || About {
            organization: caller.key.organization.id.clone(),
            project: caller.project.id.clone(),
            id: context.id.clone(),
            at: self.0.clock.now(),
            endpoint: dialect.path,
            model: call.model.clone(),
        })
    }
}
