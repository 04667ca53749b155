//! Responses that an upstream makes in the background: polled until they have ended, and metered once.

use std::sync::Arc;
use std::time::Duration;

use base::time::{SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use base::{Error, Result, UnixTime};
use http::Method;
use tokio::time::timeout;
use usage::Outcome;

use super::Objects;
use super::containers::is_uncharged;
use super::followed_response::{FollowedResponse, ReadResponse, ResponseReader};
use super::repository::UpstreamObject;
use super::reservations::object_reservation;
use super::upstream::{PassthroughBody, UpstreamRequest, is_gone};
use crate::background_work::BackgroundWork;
use crate::dialect::{Estimate, RESPONSES, ResponseStatus, UsageAccumulator};
use crate::in_flight::is_failure;
use crate::object_kind::ObjectKind;
use crate::request_events::MeteredRequest;
use crate::state_recording::{StateExpiry, named_objects};

/// The shortest delay between two polls of a response, in seconds.
const MIN_POLL_SECONDS: i64 = 2;
/// The longest delay between two polls of a response, in seconds.
const MAX_POLL_SECONDS: i64 = SECONDS_PER_MINUTE;
/// The ratio of the age of a response to the delay until its next poll.
const POLL_AGE_RATIO: i64 = 10;
/// The longest time for which a response is polled, in seconds.
const MAX_RESPONSE_SECONDS: i64 = 24 * SECONDS_PER_HOUR;
/// The longest time for which a poll waits for a response, which may contain images.
const POLL_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// An upstream's description of a response.
enum ResponseReport {
    /// The upstream says that there is no such response.
    Gone,
    /// The response has not ended.
    Running,
    /// The response has ended.
    Ended(Box<ReadResponse>),
}

impl ResponseReport {
    fn of(response: ReadResponse) -> Result<Self> {
        match response.usage.status {
            ResponseStatus::Unknown => Err(Error::upstream(
                "The model server's answer is no response: it has no status.",
            )),
            ResponseStatus::Running => Ok(Self::Running),
            ResponseStatus::Ended | ResponseStatus::Cancelled => {
                Ok(Self::Ended(Box::new(response)))
            }
        }
    }
}

impl Objects {
    /// Fetches a response, meters it if it has ended, and sets when it is due next. A response that does not end in time is
    /// cancelled, and metered by what is known.
    ///
    /// # Errors
    /// The upstream or the database has failed.
    pub(super) async fn poll_response(&self, object: &UpstreamObject) -> Result<()> {
        let Some(work) = BackgroundWork::of_text(object.work.as_deref()) else {
            return self.repository.set_due(object, None).await;
        };
        if self.clock.now() >= created_at(object).plus(MAX_RESPONSE_SECONDS) {
            return self.end_overdue(object, &work).await;
        }
        match self.fetch_response(object).await? {
            ResponseReport::Running => {
                let next = self.next_response_poll(object);
                self.repository.set_due(object, Some(next)).await
            }
            ResponseReport::Ended(response) => self.settle_response(object, &work, *response).await,
            ResponseReport::Gone if self.repository.is_young(object) => Err(Error::upstream(
                "The model server does not find the response yet.",
            )),
            ResponseReport::Gone => {
                let id = &object.id;
                tracing::warn!(id, "upstream response gone; usage estimated");
                self.settle_unknown(object, &work, Outcome::ClientGone)
                    .await
            }
        }
    }

    /// Returns the time of the next poll of a response: the older the response, the longer the delay.
    pub(super) fn next_response_poll(&self, object: &UpstreamObject) -> UnixTime {
        let now = self.clock.now();
        let age = now.0.saturating_sub(created_at(object).0);
        let delay = (age / POLL_AGE_RATIO).clamp(MIN_POLL_SECONDS, MAX_POLL_SECONDS);
        now.plus(delay)
    }

    /// Meters a response that is about to be deleted, and cancels it before if it has not ended.
    ///
    /// # Errors
    /// The upstream or the database has failed: the response must not be deleted yet.
    pub(super) async fn end_response(&self, object: &UpstreamObject) -> Result<()> {
        let Some(work) = unmetered_work(object) else {
            return Ok(());
        };
        match self.cancel_response(object).await? {
            ResponseReport::Ended(response) => self.settle_response(object, &work, *response).await,
            ResponseReport::Running | ResponseReport::Gone => {
                self.settle_unknown(object, &work, Outcome::ClientGone)
                    .await
            }
        }
    }

    /// Meters a response that its upstream does not find any more.
    ///
    /// # Errors
    /// 503: the database does not respond.
    pub(super) async fn settle_gone(&self, object: &UpstreamObject) -> Result<()> {
        match unmetered_work(object) {
            Some(work) => {
                self.settle_unknown(object, &work, Outcome::ClientGone)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Returns a reader of an answer about this response, which is to pass to a client; `None` if the response is metered.
    pub(super) fn follow_response(
        self: &Arc<Self>,
        object: &UpstreamObject,
    ) -> Option<FollowedResponse> {
        unmetered_work(object)?;
        let (objects, object) = (Arc::clone(self), object.clone());
        Some(FollowedResponse::new(move |response| {
            let (reconciling, object) = (Arc::clone(&objects), object.clone());
            objects.drains.run(async move {
                reconciling.reconcile_response(&object, response).await;
            });
        }))
    }

    /// Reconciles a response with an answer that has passed to a client; `answer` is `None` if that could not be read. What the
    /// answer does not tell is left to the poller, at once. A failure is left to the poller, too.
    async fn reconcile_response(&self, object: &UpstreamObject, answer: Option<ReadResponse>) {
        if let Err(error) = self.try_reconcile_response(object, answer).await {
            let id = &object.id;
            tracing::warn!(id, %error, "failed to reconcile response; will retry");
        }
    }

    async fn try_reconcile_response(
        &self,
        object: &UpstreamObject,
        answer: Option<ReadResponse>,
    ) -> Result<()> {
        let work = BackgroundWork::of_text(object.work.as_deref());
        match (answer, work) {
            (Some(answer), _) if answer.usage.status == ResponseStatus::Running => Ok(()),
            (Some(answer), Some(work))
                if answer.usage.status != ResponseStatus::Unknown && answer.usage.is_reported() =>
            {
                self.settle_response(object, &work, answer).await
            }
            _ => {
                let now = self.clock.now();
                self.repository.set_due(object, Some(now)).await?;
                self.state.due.notify_one();
                Ok(())
            }
        }
    }

    /// Cancels a response that could not be recorded, as far as its upstream lets it be.
    pub(super) async fn cancel_unrecorded(&self, object: &UpstreamObject) {
        if let Err(error) = self.send_cancel(object).await {
            let (id, upstream) = (&object.id, &object.upstream);
            tracing::error!(upstream, id, %error, "failed to cancel orphaned upstream response");
        }
    }

    async fn send_cancel(&self, object: &UpstreamObject) -> Result<ResponseReport> {
        let cancel = UpstreamRequest::of_gateway(Method::POST, object, "/cancel");
        self.read_response(object, cancel).await
    }

    /// Cancels a response, and returns what its upstream says of it then. A response that has ended stays as it is.
    async fn cancel_response(&self, object: &UpstreamObject) -> Result<ResponseReport> {
        match self.send_cancel(object).await {
            Ok(ResponseReport::Ended(response)) if response.usage.is_reported() => {
                Ok(ResponseReport::Ended(response))
            }
            // Some servers refuse to cancel what has ended.
            _ => self.fetch_response(object).await,
        }
    }

    async fn fetch_response(&self, object: &UpstreamObject) -> Result<ResponseReport> {
        let request = UpstreamRequest::of_gateway(Method::GET, object, "");
        self.read_response(object, request).await
    }

    /// Sends a request whose answer is the response, which may have any length.
    async fn read_response(
        &self,
        object: &UpstreamObject,
        request: UpstreamRequest,
    ) -> Result<ResponseReport> {
        let target = self.client.upstream_of(object)?;
        let read = async {
            let answer = self.client.send(target, request).await?;
            let (head, mut body) = PassthroughBody::of(answer);
            if is_gone(head.status, &head.headers) {
                return Ok(ResponseReport::Gone);
            }
            if !head.status.is_success() {
                let message = format!("The model server answered with {}.", head.status);
                return Err(Error::upstream(message));
            }
            let mut reader = ResponseReader::new();
            while let Some(piece) = body.next().await {
                let broken = |_| Error::upstream("The model server broke off its answer.");
                reader.feed(&piece.map_err(broken)?);
            }
            let no_response = || Error::upstream("The model server's answer is no response.");
            ResponseReport::of(reader.finish().ok_or_else(no_response)?)
        };
        let late = |_| Error::upstream("The model server did not send the response in time.");
        timeout(POLL_TIMEOUT, read).await.map_err(late)?
    }

    /// Ends the polling of a response that does not end: cancels it, so that it consumes nothing more, and meters what its
    /// upstream reports, or else an estimate.
    async fn end_overdue(&self, object: &UpstreamObject, work: &BackgroundWork) -> Result<()> {
        let id = &object.id;
        match self.cancel_response(object).await {
            Ok(ResponseReport::Ended(response)) => {
                self.settle_response(object, work, *response).await
            }
            Ok(ResponseReport::Running | ResponseReport::Gone) => {
                tracing::warn!(id, "response did not end within 24 hours; usage estimated");
                self.settle_unknown(object, work, Outcome::TimedOut).await
            }
            Err(error) => {
                tracing::warn!(id, %error, "response could not be fetched for 24 hours; usage estimated");
                self.settle_unknown(object, work, Outcome::TimedOut).await
            }
        }
    }

    /// Meters a response of which nothing is known but the request: its input was read.
    async fn settle_unknown(
        &self,
        object: &UpstreamObject,
        work: &BackgroundWork,
        outcome: Outcome,
    ) -> Result<()> {
        let usage = UsageAccumulator::default();
        self.record_response(object, work, outcome, (&work.estimate(), &usage))
            .await
    }

    /// Meters a response that has ended, once the owner of what it names is recorded. Containers in it are charged by their records.
    async fn settle_response(
        &self,
        object: &UpstreamObject,
        work: &BackgroundWork,
        response: ReadResponse,
    ) -> Result<()> {
        let ReadResponse { mut usage, ids } = response;
        let memory = work.tool_variants.named_memory();
        let named = named_objects(&ids, StateExpiry::OfAnswer, memory, self.clock.now());
        let rows = named.map(|named| self.state_row(&object.owner, &object.upstream, &named));
        let rows: Vec<UpstreamObject> = rows.collect();
        self.repository.add_all(rows.iter()).await?;
        let containers = rows.iter().filter(|row| is_uncharged(row));
        let mut estimate = work.estimate();
        estimate.exclude_containers(containers.map(|row| row.id.as_str()));
        let outcome = match usage.status {
            _ if usage.error.is_some() => Outcome::UpstreamFailed,
            ResponseStatus::Cancelled => Outcome::ClientGone,
            _ => Outcome::Succeeded,
        };
        usage.is_failed = is_failure(outcome);
        self.record_response(object, work, outcome, (&estimate, &usage))
            .await?;
        if rows.iter().any(is_uncharged) {
            self.state.due.notify_one();
        }
        Ok(())
    }

    /// Records the usage of a response, as the same events however often it is called, and releases its reservation in the same
    /// transaction.
    async fn record_response(
        &self,
        object: &UpstreamObject,
        work: &BackgroundWork,
        outcome: Outcome,
        (estimate, usage): (&Estimate, &UsageAccumulator),
    ) -> Result<()> {
        let spent = RESPONSES.measure(estimate, &work.model, usage);
        let owner = object.owner.clone();
        let request = MeteredRequest {
            id: work.request.clone(),
            admitted_at: UnixTime(work.admitted_at),
            organization: owner.organization,
            project: owner.project,
            user: owner.user,
            key: owner.key,
            model: work.model.clone(),
            billing: work.billing(),
        };
        let events = request.events(&RESPONSES, outcome, spent);
        let releases = object_reservation(object).into_iter().collect();
        self.recorder.settle(events, releases).await?;
        self.repository.set_due(object, None).await
    }
}

/// Returns the facts for the metering of a response in the background; `None` of any other object, or if it is metered.
fn unmetered_work(object: &UpstreamObject) -> Option<BackgroundWork> {
    if object.kind != ObjectKind::Response || object.due_at.is_none() {
        return None;
    }
    BackgroundWork::of_text(object.work.as_deref())
}

fn created_at(object: &UpstreamObject) -> UnixTime {
    UnixTime(object.created_at.div_euclid(1_000))
}
