//! Spend reservations for what outlives its request: batches, responses in the background, and the storage of vector stores.

use std::sync::Arc;

use base::ids::{Id, SpendReservationId};
use base::money::Factor;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use base::{Error, NanoDollars, Result, UnixTime};
use usage::{DurableReservation, DurableReservations, ItemName, Metric, ReservationKey, ToolCalls};

use super::batch_input::BatchInput;
use super::repository::{ObjectOwner, UpstreamObject};
use crate::background_work::BackgroundWork;
use crate::budget::SpendBudget;
use crate::caller::Caller;
use crate::dialect::Dialect;
use crate::object_kind::ObjectKind;

/// The lifetime of a reservation that is not bound to an object yet: longer than the creation of any object takes.
const PENDING_SECONDS: i64 = SECONDS_PER_HOUR;
/// The lifetime of a reservation for a file in a vector store: until the ledger has its first day.
const STORAGE_SECONDS: i64 = 26 * SECONDS_PER_HOUR;
/// The maximum number of expired reservations that are released in one transaction.
const MAX_EXPIRED_RELEASES: i64 = 64;
/// Metrics of a model that a batch can be charged for.
const PRICED_METRICS: [Metric; 5] = [
    Metric::InputTokens,
    Metric::OutputTokens,
    Metric::Images,
    Metric::Characters,
    Metric::Seconds,
];

/// Reserves and releases money for objects.
pub(crate) struct ObjectReservations {
    pub(crate) durable: DurableReservations,
    pub(crate) budget: Arc<SpendBudget>,
}

impl ObjectReservations {
    /// Reserves the maximum cost of a batch until the batch is settled, and writes the id of the reservation into `input`.
    /// Returns `None` if the batch is free and no limit is set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has less left. 400: a limit is set, and the maximum cost is unknown. 403: a
    /// limit is set, and the model has no price.
    pub(super) async fn reserve_batch(
        &self,
        caller: &Caller,
        input: &mut BatchInput,
        now: UnixTime,
        uplift: Factor,
    ) -> Result<Option<DurableReservation>> {
        let dialect = Dialect::at(&input.path).ok_or_else(Error::internal)?;
        let has_limit = caller.has_spend_limit();
        if has_limit {
            let checked = self.budget.check_priced(&input.model, dialect.kind, now);
            checked.map_err(|error| error.about("input_file_id"))?;
        }
        input.bands = self.budget.prices.bands(&input.model, now);
        let max_cost = match self.max_batch_cost(dialect, input, now, uplift) {
            Err(error) if has_limit => return Err(error.about("input_file_id")),
            max_cost => max_cost.unwrap_or_default(),
        };
        if !has_limit && max_cost == NanoDollars::default() {
            return Ok(None);
        }
        let ask = caller.spend_request(now, max_cost);
        let reservation = self.durable.reserve(&ask, PENDING_SECONDS).await?;
        input.reservation = Some(reservation.id().clone());
        Ok(Some(reservation))
    }

    fn max_batch_cost(
        &self,
        dialect: &Dialect,
        input: &BatchInput,
        now: UnixTime,
        uplift: Factor,
    ) -> Result<NanoDollars> {
        let is_priced = |metric: &Metric| self.budget.prices.sells(&input.model, now, *metric);
        match &input.most {
            Some(usage) => {
                let (each, of) = (input.longest.as_ref(), (dialect, input.model.as_str()));
                self.budget
                    .max_batch_cost(usage, each.unwrap_or(usage), of, now, uplift)
            }
            None if !PRICED_METRICS.iter().any(is_priced) => Ok(NanoDollars::default()),
            None => Err(Error::invalid(
                "input_file_id",
                "What the requests of this file may cost is not known, since an older version took it in. Upload the file again.",
            )),
        }
    }

    /// Reserves the maximum cost of a response that is made in the background, until the response is settled.
    ///
    /// # Errors
    /// 429: the organization, or the project, has less left.
    pub(crate) async fn reserve_response(
        &self,
        caller: &Caller,
        now: UnixTime,
        max_cost: NanoDollars,
    ) -> Result<DurableReservation> {
        let ask = caller.spend_request(now, max_cost);
        self.durable.reserve(&ask, PENDING_SECONDS).await
    }

    /// Reserves a day of storage for this many bytes of files of a vector store, even for none if a limit is set. Returns `None`
    /// if no limit is set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has less left.
    pub(super) async fn reserve_storage(
        &self,
        caller: &Caller,
        bytes: i64,
        uplift: Factor,
    ) -> Result<Option<DurableReservation>> {
        if !caller.has_spend_limit() {
            return Ok(None);
        }
        let now = self.budget.clock.now();
        let ask = caller.spend_request(now, self.storage_cost(now, bytes, uplift));
        let reservation = self.durable.reserve(&ask, STORAGE_SECONDS).await?;
        Ok(Some(reservation))
    }

    /// Checks that each spend limit of the caller leaves something, for a request whose cost is not known before.
    ///
    /// # Errors
    /// 429: names the limit.
    pub(super) fn check_not_exhausted(&self, caller: &Caller) -> Result<()> {
        let ask = caller.spend_request(self.budget.clock.now(), NanoDollars::default());
        self.budget.spend.reserve_locally(&ask).map(drop)
    }

    /// Binds a reservation to the object that it is for. If that fails, it is repeated when the object is polled.
    pub(super) async fn bind(&self, reservation: &ReservationKey, object: &UpstreamObject) {
        let id = &object.id;
        match self.durable.bind(reservation, id).await {
            Ok(_) => {}
            Err(error) => tracing::warn!(id, %error, "failed to bind spend reservation"),
        }
    }

    /// Repeats [`Self::bind`] for an object that is so new that its reservation may be unbound.
    pub(super) async fn bind_again(&self, object: &UpstreamObject) {
        let created_at = UnixTime(object.created_at.div_euclid(1_000));
        // A minute more, because the reservation is older than the object, and clocks differ.
        let may_be_pending =
            self.budget.clock.now() <= created_at.plus(PENDING_SECONDS + SECONDS_PER_MINUTE);
        if may_be_pending && let Some(reservation) = object_reservation(object) {
            self.bind(&reservation, object).await;
        }
    }

    /// Reserves the cost of storing this many bytes in a vector store on the day after `today`, whatever the limits leave.
    ///
    /// # Errors
    /// 503: the database does not respond.
    pub(super) async fn reserve_next_day(
        &self,
        object: &UpstreamObject,
        today: UnixTime,
        (bytes, uplift): (i64, Factor),
    ) -> Result<()> {
        let tomorrow = today.plus(SECONDS_PER_DAY);
        let amount = self.storage_cost(tomorrow, bytes, uplift);
        if amount == NanoDollars::default() {
            return Ok(());
        }
        let reservation = day_reservation(object, tomorrow);
        let reservation = (&reservation, &object.owner.project);
        let seconds = tomorrow.0 + STORAGE_SECONDS - self.budget.clock.now().0;
        let reserving = self
            .durable
            .reserve_unchecked(reservation, &object.id, amount, seconds);
        Ok(reserving.await?)
    }

    /// Releases the reservations for an object that is gone.
    ///
    /// # Errors
    /// 503: the database does not respond.
    pub(super) async fn release(&self, object: &UpstreamObject) -> Result<()> {
        let mut reservations: Vec<_> = object_reservation(object).into_iter().collect();
        if object.kind == ObjectKind::VectorStore {
            let today = self.budget.clock.now().floor(SECONDS_PER_DAY);
            let days = [today, today.plus(SECONDS_PER_DAY)];
            reservations.extend(days.map(|day| day_reservation(object, day)));
        }
        for reservation in &reservations {
            self.durable.release(reservation).await?;
        }
        Ok(())
    }

    /// Releases the reservations that were never bound to an object and have expired.
    pub(super) async fn release_expired(&self) {
        loop {
            match self.durable.release_expired(MAX_EXPIRED_RELEASES).await {
                Ok(0) => return,
                Ok(released) => tracing::info!(released, "expired spend reservations released"),
                Err(error) => {
                    tracing::warn!(%error, "failed to release expired spend reservations");
                    return;
                }
            }
        }
    }

    fn storage_cost(&self, day: UnixTime, bytes: i64, uplift: Factor) -> NanoDollars {
        let items = [ToolCalls::of_any_variant(ItemName::VectorStores, bytes)];
        self.budget
            .prices
            .max_tool_cost(usage::ANY_MODEL, day, &items, uplift)
    }
}

/// Returns the reservation for a day of a vector store.
pub(super) fn day_reservation(object: &UpstreamObject, day: UnixTime) -> ReservationKey {
    let id = format!("{}/{}", object.id, day.0.div_euclid(SECONDS_PER_DAY));
    let organization = object.owner.organization.clone();
    ReservationKey::new(organization, SpendReservationId::from_text(id))
}

/// Returns the reservation for a batch, or for a response that is made in the background, if it has one.
pub(super) fn object_reservation(object: &UpstreamObject) -> Option<ReservationKey> {
    let work = object.work.as_deref();
    let reservation = match object.kind {
        ObjectKind::Batch => BatchInput::of_text(work)?.reservation,
        ObjectKind::Response => BackgroundWork::of_text(work)?.reservation,
        _ => None,
    };
    let ObjectOwner { organization, .. } = &object.owner;
    Some(ReservationKey::new(organization.clone(), reservation?))
}
