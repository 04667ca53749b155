//! Metering: every request is observed from its head, and every admitted request ends in the ledger.

use std::sync::Arc;

use base::{BudgetPermit, Result};
use http::request::Parts;
use telemetry::Tracer;
use usage::{QueuePermit, Recorder, SpendReservation};

use crate::metrics::GatewayMetrics;
use crate::request_observer::RequestObserver;

/// The stage that observes requests and reserves their permits for the ledger's queue.
pub(crate) struct Metering {
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Arc<GatewayMetrics>,
    pub(crate) tracer: Tracer,
}

impl Metering {
    /// Starts to observe a request.
    pub(crate) fn observe(&self, head: &Parts) -> RequestObserver {
        RequestObserver::begin(&self.metrics, &self.tracer, head)
    }

    /// Reserves a permit for the ledger's queue before the request is forwarded, so that recording its usage can neither wait
    /// nor fail. `spend` and `share` are released once the usage is written.
    ///
    /// # Errors
    /// 503: the queue is full.
    pub(crate) async fn reserve_queue_permit(
        &self,
        spend: Option<SpendReservation>,
        share: BudgetPermit,
    ) -> Result<QueuePermit> {
        let permit = self.recorder.reserve().await?;
        Ok(permit.with_spend(spend).with_share(share))
    }
}
