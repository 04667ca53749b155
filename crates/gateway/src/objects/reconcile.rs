//! Reconciliation: the records of an object, and its usage in the ledger, follow what its upstream says of it.

use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use base::{Error, Result, UnixTime};
use serde::Deserialize;
use usage::{Metric, Quantities, UsageEvent, UsageKind, band_row_id};

use super::Objects;
use super::batch_input::BatchInput;
use super::batch_status::BatchStatus;
use super::batch_usage::{BandUsage, output_usage, status_usage};
use super::containers::{CONTAINER_POLL_SECONDS, is_uncharged};
use super::repository::UpstreamObject;
use super::reservations::{day_reservation, object_reservation};
use crate::budget::with_billing;
use crate::dialect::Dialect;
use crate::object_kind::ObjectKind;

/// The interval between two polls of a batch, in seconds.
pub(super) const BATCH_POLL_SECONDS: i64 = SECONDS_PER_MINUTE;
/// The delay until a failed poll of a vector store is repeated, in seconds.
const VECTOR_STORE_RETRY_SECONDS: i64 = SECONDS_PER_HOUR;
/// The maximum number of past days of a vector store that are recorded at once.
const MAX_PAST_DAYS: i64 = 31;

/// The purpose of files that a batch has created.
const BATCH_OUTPUT_PURPOSE: &str = "batch_output";

#[derive(Deserialize)]
struct VectorStoreStatus {
    usage_bytes: Option<i64>,
}

impl Objects {
    /// Reconciles a batch with an answer that passes to a client. A failure is left to the poller.
    pub(super) async fn reconcile(&self, object: &UpstreamObject, answer: &[u8]) {
        if object.kind != ObjectKind::Batch || object.due_at.is_none() {
            return;
        }
        if let Err(error) = self.reconcile_batch(object, answer).await {
            let id = &object.id;
            tracing::warn!(id, %error, "failed to reconcile batch; will retry");
        }
    }

    /// Fetches a due object, reconciles it, and sets when it is due next.
    ///
    /// # Errors
    /// The upstream or the database has failed.
    pub(super) async fn poll_claimed(&self, object: &UpstreamObject) -> Result<()> {
        if matches!(object.kind, ObjectKind::Upload | ObjectKind::UploadPart) {
            // It has expired.
            return self.repository.remove(object).await;
        }
        if is_uncharged(object) {
            return self.charge_session(object).await;
        }
        self.reservations.bind_again(object).await;
        if object.kind == ObjectKind::Response {
            return self.poll_response(object).await;
        }
        let answer = self.client.fetch(object).await?;
        if answer.is_gone() && !self.repository.is_young(object) {
            if object.kind != ObjectKind::Container {
                let id = &object.id;
                tracing::warn!(id, "upstream object gone; usage since last poll unknown");
            }
            self.reservations.release(object).await?;
            return self.repository.set_due(object, None).await;
        }
        if !answer.is_success() {
            let status = answer.head.status;
            let message = format!("The model server answered with {status}.");
            return Err(Error::upstream(message));
        }
        match object.kind {
            ObjectKind::VectorStore => self.record_days(object, &answer.body).await,
            ObjectKind::Batch => self.poll_batch(object, &answer.body).await,
            ObjectKind::Container => self.poll_container(object, &answer.body).await,
            _ => self.repository.set_due(object, None).await,
        }
    }

    /// Removes an object that was deleted, and releases its reservations.
    ///
    /// # Errors
    /// 503: the database does not respond.
    pub(super) async fn remove(&self, object: &UpstreamObject) -> Result<()> {
        if is_uncharged(object) {
            self.charge_session(object).await?;
        }
        self.reservations.release(object).await?;
        self.repository.remove(object).await
    }

    /// Removes an object that its upstream does not find, and releases its reservations, unless the object is so new that it
    /// may not be found yet.
    ///
    /// # Errors
    /// 503: the database does not respond.
    pub(super) async fn forget(&self, object: &UpstreamObject) -> Result<()> {
        if self.repository.is_young(object) {
            return Ok(());
        }
        self.settle_gone(object).await?;
        self.remove(object).await
    }

    /// Records today's storage of a vector store that is about to be deleted, unless it is recorded already.
    ///
    /// # Errors
    /// The upstream or the database has failed.
    pub(super) async fn record_last_day(&self, object: &UpstreamObject) -> Result<()> {
        let today = self.clock.now().floor(SECONDS_PER_DAY);
        let is_due_today = object
            .due_at
            .is_some_and(|due| due.floor(SECONDS_PER_DAY) <= today);
        if !is_due_today {
            return Ok(());
        }
        let answer = self.client.fetch(object).await?;
        if answer.is_gone() {
            return Ok(());
        }
        self.record_days(object, &answer.body).await
    }

    /// Records the storage of a vector store, one event for each UTC day since the last poll. The days before today are
    /// estimated by the size of today.
    async fn record_days(&self, object: &UpstreamObject, answer: &[u8]) -> Result<()> {
        let store: VectorStoreStatus = serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no vector store."))?;
        let today = self.clock.now().floor(SECONDS_PER_DAY);
        let first = object.due_at.unwrap_or(today).floor(SECONDS_PER_DAY);
        let first = first.max(today.plus(-MAX_PAST_DAYS * SECONDS_PER_DAY));
        if let Some(bytes) = store.usage_bytes.filter(|bytes| *bytes > 0) {
            let (mut events, mut releases) = (Vec::new(), Vec::new());
            let stored = Quantities::default().with(Metric::UsageBytes, bytes);
            let billing = self.client.billing_of(object);
            let stored = with_billing(stored, billing, None);
            let mut day = first;
            while day <= today {
                events.push(day_event(object, day, stored, day < today));
                releases.push(day_reservation(object, day));
                day = day.plus(SECONDS_PER_DAY);
            }
            // Reserved before today's reservation is released, so that no other request takes the amount in between.
            self.reservations
                .reserve_next_day(object, today, (bytes, billing.uplift))
                .await?;
            self.recorder.settle(events, releases).await?;
        }
        // An hour past midnight, so that the first files of the day are counted.
        let next = today.plus(SECONDS_PER_DAY + SECONDS_PER_HOUR);
        self.repository.set_due(object, Some(next)).await
    }

    /// Records the output files of a batch and, if the batch has ended, its usage. A batch that does not report its usage, or
    /// whose answers may be stored, is left to the poller, at once, which reads its output.
    async fn reconcile_batch(&self, object: &UpstreamObject, answer: &[u8]) -> Result<()> {
        let batch = BatchStatus::read(answer)?;
        self.adopt_output(object, &batch).await?;
        let input = BatchInput::of_text(object.work.as_deref());
        let (Some(input), true) = (input, batch.has_ended()) else {
            return Ok(());
        };
        let facts = &self.reservations.budget.facts;
        let usage = status_usage(&batch, &input, facts);
        if let Some(spent) = usage.filter(|_| input.stored_answer().is_none()) {
            return self.settle_batch(object, &batch, &input, vec![spent]).await;
        }
        let now = self.clock.now();
        self.repository.set_due(object, Some(now)).await?;
        self.state.due.notify_one();
        Ok(())
    }

    async fn poll_batch(&self, object: &UpstreamObject, answer: &[u8]) -> Result<()> {
        let batch = BatchStatus::read(answer)?;
        self.adopt_output(object, &batch).await?;
        let input = BatchInput::of_text(object.work.as_deref());
        let (Some(input), true) = (input, batch.has_ended()) else {
            let next = self.clock.now().plus(BATCH_POLL_SECONDS);
            return self.repository.set_due(object, Some(next)).await;
        };
        self.record_batch_answers(object, &batch, &input).await?;
        let facts = &self.reservations.budget.facts;
        let spent = match status_usage(&batch, &input, facts) {
            Some(spent) => vec![spent],
            None => output_usage(&self.client, object, &batch, &input, facts).await?,
        };
        self.settle_batch(object, &batch, &input, spent).await
    }

    /// Records the files that a batch has created as objects of its project.
    async fn adopt_output(&self, object: &UpstreamObject, batch: &BatchStatus) -> Result<()> {
        let ids: Vec<&str> = batch.output_files().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let known = self.repository.find(&object.owner, ObjectKind::File, &ids);
        let known = known.await?;
        let is_known = |file: &UpstreamObject, id: &str| {
            (file.id.as_str(), &file.upstream) == (id, &object.upstream)
        };
        let is_new = |id: &&str| !known.iter().any(|file| is_known(file, id));
        for id in ids.into_iter().filter(is_new) {
            let file = UpstreamObject {
                owner: object.owner.clone(),
                kind: ObjectKind::File,
                id: id.to_owned(),
                upstream: object.upstream.clone(),
                purpose: BATCH_OUTPUT_PURPOSE.to_owned(),
                created_at: self.clock.now_milliseconds(),
                work: None,
                due_at: None,
                expires_at: None,
                bytes: None,
            };
            if !self.repository.add(&file).await? {
                let (upstream, batch) = (&object.upstream, &object.id);
                tracing::error!(upstream, batch, id, "batch names a file of another project");
            }
        }
        Ok(())
    }

    /// Records the usage of an ended batch, as the same events however often it is called, and releases the reservation for
    /// the batch in the same transaction.
    async fn settle_batch(
        &self,
        object: &UpstreamObject,
        batch: &BatchStatus,
        input: &BatchInput,
        spent: Vec<BandUsage>,
    ) -> Result<()> {
        let mut events = Vec::new();
        let (ended_at, billing) = (self.ended_at(object, batch), self.client.billing_of(object));
        for BandUsage { band, usage: spent } in spent {
            let mut metrics = Metric::ALL.iter();
            let has_usage = metrics.any(|metric| spent.quantities.or_zero(*metric) > 0);
            let Some(dialect) = Dialect::at(&input.path).filter(|_| has_usage) else {
                continue;
            };
            let (id, kind) = (band_row_id(&object.id, band), dialect.kind);
            let quantities = with_billing(spent.quantities, billing, spent.cost);
            events.push(UsageEvent {
                user_id: object.owner.user.clone(),
                api_key_id: object.owner.key.clone(),
                model: Some(input.model.clone()),
                batch: true,
                service_tier: spent.service_tier,
                size: spent.size,
                source: dialect.source.map(str::to_owned),
                estimated: spent.estimated,
                outcome: batch.outcome(),
                ..object_event(object, id, ended_at, kind, quantities)
            });
        }
        let releases: Vec<_> = object_reservation(object).into_iter().collect();
        if !events.is_empty() || !releases.is_empty() {
            self.recorder.settle(events, releases).await?;
        }
        self.repository.set_due(object, None).await
    }

    /// Returns the time at which a batch says that it has ended, or now if that cannot be true.
    fn ended_at(&self, object: &UpstreamObject, batch: &BatchStatus) -> UnixTime {
        let (created_at, now) = (object.created_at.div_euclid(1_000), self.clock.now());
        let reported = batch.ended_at();
        let reported = reported.filter(|reported| (created_at..=now.0).contains(reported));
        reported.map_or(now, UnixTime)
    }
}

/// Returns the delay until a failed poll is repeated, in seconds.
pub(super) fn retry_seconds(kind: ObjectKind) -> i64 {
    match kind {
        ObjectKind::VectorStore => VECTOR_STORE_RETRY_SECONDS,
        ObjectKind::Container => CONTAINER_POLL_SECONDS,
        _ => BATCH_POLL_SECONDS,
    }
}

/// Returns the usage event for a day of a vector store.
fn day_event(
    object: &UpstreamObject,
    day: UnixTime,
    quantities: Quantities,
    estimated: bool,
) -> UsageEvent {
    let created_at = UnixTime(object.created_at.div_euclid(1_000));
    let id = format!("{}/{}", object.id, day.0 / SECONDS_PER_DAY);
    let timestamp = day.max(created_at);
    UsageEvent {
        estimated,
        ..object_event(object, id, timestamp, UsageKind::VectorStores, quantities)
    }
}

/// Returns a usage event of an object, in the project of its owner.
pub(super) fn object_event(
    object: &UpstreamObject,
    id: String,
    timestamp: UnixTime,
    kind: UsageKind,
    quantities: Quantities,
) -> UsageEvent {
    let owner = &object.owner;
    UsageEvent::new(
        id,
        timestamp,
        owner.organization.clone(),
        owner.project.clone(),
        kind,
        quantities,
    )
}
