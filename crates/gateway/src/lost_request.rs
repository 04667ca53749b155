//! The event of a request that is recorded if this process dies before the request ends.

use std::sync::Arc;

use access::{Key, Project};
use base::ids::{Id, RequestId};
use base::{NanoDollars, UnixTime};
use proxy::UpstreamBilling;
use usage::{Metric, Outcome, UsageEvent};

use crate::dialect::{Dialect, LostUsage, MeasuredUsage};
use crate::in_flight::Admission;
use crate::request_events::MeteredRequest;

/// The facts of an admitted request that its event is made from.
pub(crate) struct LostRequest {
    dialect: &'static Dialect,
    id: RequestId,
    key: Arc<Key>,
    project: Arc<Project>,
    model: Arc<str>,
    billing: UpstreamBilling,
    usage: LostUsage,
    /// The money that is reserved for the request; `None` without a spend limit.
    reserved: Option<NanoDollars>,
    admitted_at: UnixTime,
}

impl LostRequest {
    /// Has the ledger keep the event of an admitted request until the request ends. A request that costs nothing, and one whose
    /// response is recorded in the background, are not kept.
    pub(crate) fn register(admission: &mut Admission, dialect: &'static Dialect) {
        if dialect.is_free || admission.is_background {
            return;
        }
        let request = Self {
            dialect,
            id: admission.id.clone(),
            key: Arc::clone(&admission.caller.key),
            project: Arc::clone(&admission.caller.project),
            model: Arc::clone(&admission.model),
            billing: admission.billing,
            usage: LostUsage::of(&admission.estimate),
            reserved: admission.queue_permit.reserved(),
            admitted_at: admission.admitted_at,
        };
        let id = admission.id.as_str().to_owned();
        let event = move || request.event();
        admission.queue_permit.register(id, event);
    }

    /// Returns the event of the request: its estimated usage, at the cost that was reserved under a spend limit.
    fn event(&self) -> UsageEvent {
        let request = MeteredRequest {
            id: self.id.as_str().to_owned(),
            admitted_at: self.admitted_at,
            organization: self.key.organization.id.clone(),
            project: self.project.id.clone(),
            user: self.key.user().cloned(),
            key: Some(self.key.id.clone()),
            model: (*self.model).to_owned(),
            billing: self.billing,
        };
        let spent = MeasuredUsage {
            quantities: self.usage.quantities(self.dialect.kind),
            estimated: true,
            size: self.usage.size(),
            ..MeasuredUsage::default()
        };
        let mut event = request.event(self.dialect, Outcome::NodeLost, spent);
        if let Some(reserved) = self.reserved {
            event.quantities.set(Metric::ReportedCost, reserved.0);
        }
        event
    }
}
