//! Capture of request and response bodies for troubleshooting.

use base::Clock;
use base::ids::RequestId;
use bodies::{Bodies, Capture, RequestInfo};

use crate::caller::Caller;
use crate::dialect::{Call, Dialect};

/// The stage that captures bodies where that is configured and data retention allows it.
pub(crate) struct BodyCapture {
    /// Store of the captured bodies; `None` if capture is not configured.
    pub(crate) bodies: Option<Bodies>,
    pub(crate) clock: Clock,
}

impl BodyCapture {
    /// Begins to capture a request and its response; returns `None` if neither may be kept.
    pub(crate) fn begin(
        &self,
        id: &RequestId,
        dialect: &Dialect,
        caller: &Caller,
        call: &Call,
    ) -> Option<Capture> {
        let bodies = self.bodies.as_ref()?;
        let retention = caller.settings.retention(&caller.level);
        bodies.capture(dialect.holds, retention, call.sent(), || RequestInfo {
            organization: caller.key.organization.id.clone(),
            project: caller.project.id.clone(),
            id: id.clone(),
            at: self.clock.now(),
            endpoint: dialect.path,
            model: call.model.clone(),
        })
    }
}
