//! Money that is reserved for what outlives its request: batches, and the files of vector stores.

use access::stored::{Kind, Object, Owner};
use base::ids::{Id, SpendReservationId};
use base::time::{DAY, HOUR, MINUTE};
use base::{Error, NanoDollars, Result, UnixTime};
use usage::{DurableReservation, ItemName, Metric, ReservationKey, SpendRequest};

use super::lines::Work;
use crate::Shared;
use crate::body::MAX_REQUEST_BYTES;
use crate::dialect::Dialect;
use crate::identify::Caller;

/// The time for which a reservation lasts that nothing is known of yet, in seconds: more than making anything takes.
const PENDING_SECONDS: i64 = HOUR;
/// The time for which the room of a file in a vector store is reserved, in seconds: until its first day is in the ledger.
const STORAGE_SECONDS: i64 = 26 * HOUR;
/// The most expired reservations that are released in one transaction.
const MAX_EXPIRED_RELEASES: i64 = 64;
/// The metrics of a model that a batch can be charged for.
const SOLD: [Metric; 5] = [
    Metric::InputTokens,
    Metric::OutputTokens,
    Metric::Images,
    Metric::Characters,
    Metric::Seconds,
];

impl Shared {
    /// Reserves the most that a batch may cost, until it is settled. Nothing where it is free and no limit is set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has not so much left. 400: what it may cost is not known, and a limit is set.
    pub(super) async fn reserve_batch(
        &self,
        caller: &Caller,
        work: &mut Work,
        now: UnixTime,
    ) -> Result<Option<DurableReservation>> {
        let is_limited = self.is_limited(caller);
        let most = match self.max_batch_cost(work, now) {
            Err(error) if is_limited => return Err(error.about("input_file_id")),
            most => most.unwrap_or_default(),
        };
        if !is_limited && most == NanoDollars::default() {
            return Ok(None);
        }
        let reservation = self.reserve(caller, now, most, PENDING_SECONDS).await?;
        work.reservation = Some(reservation.id().clone());
        Ok(Some(reservation))
    }

    fn max_batch_cost(&self, work: &Work, now: UnixTime) -> Result<NanoDollars> {
        let dialect = Dialect::at(&work.path).ok_or_else(Error::internal)?;
        let books = (&self.prices, &self.facts);
        let sells = |metric: &Metric| self.prices.sells(&work.model, now, *metric);
        match &work.most {
            Some(most) => most.cost(books, dialect, &work.model, now, true),
            None if !SOLD.iter().any(sells) => Ok(NanoDollars::default()),
            None => Err(Error::invalid(
                "input_file_id",
                "What the requests of this file may cost is not known, since an older version took it in. Upload the file again.",
            )),
        }
    }

    /// Reserves a day of the room of so many files in a vector store; with none, there must be something left.
    ///
    /// # Errors
    /// 429: as above.
    pub(super) async fn reserve_storage(
        &self,
        caller: &Caller,
        files: usize,
    ) -> Result<Option<DurableReservation>> {
        if !self.is_limited(caller) {
            return Ok(None);
        }
        let now = self.clock.now();
        let bytes = i64::try_from(files.saturating_mul(MAX_REQUEST_BYTES)).unwrap_or(i64::MAX);
        let most =
            (self.prices).max_tool_cost(usage::ANY_MODEL, now, &[(ItemName::VectorStores, bytes)]);
        let reservation = self.reserve(caller, now, most, STORAGE_SECONDS).await?;
        Ok(Some(reservation))
    }

    async fn reserve(
        &self,
        caller: &Caller,
        at: UnixTime,
        most: NanoDollars,
        seconds: i64,
    ) -> Result<DurableReservation> {
        let ask = SpendRequest {
            organization: (
                &caller.key.organization.id,
                caller.settings.organization.spend_limit,
            ),
            project: (&caller.project.id, caller.level().spend_limit),
            at,
            max_cost: most,
        };
        self.reservations.reserve(&ask, seconds).await
    }

    fn is_limited(&self, caller: &Caller) -> bool {
        let of_organization = caller.settings.organization.spend_limit;
        of_organization.or(caller.level().spend_limit).is_some()
    }

    /// Says what a reservation is for. Where that fails, it is said again when the object is looked at.
    pub(super) async fn bind(&self, reservation: &ReservationKey, object: &Object) {
        let id = &object.id;
        match self.reservations.bind(reservation, id).await {
            Ok(_) => {}
            Err(error) => tracing::warn!(id, %error, "spend reservation not bound to its batch"),
        }
    }

    /// Repeats [`Self::bind`] for an object so new that the process which made it may have ended before that.
    pub(super) async fn bind_again(&self, object: &Object) {
        let made_at = UnixTime(object.created_at.div_euclid(1_000));
        // A minute more, since it was reserved before it was made, and clocks differ.
        let may_be_pending = self.clock.now() <= made_at.plus(PENDING_SECONDS + MINUTE);
        if may_be_pending && let Some(reservation) = reservation_of(object) {
            self.bind(&reservation, object).await;
        }
    }

    /// Reserves what so many bytes in a vector store cost on the day after `today`: they will be there.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn reserve_day(
        &self,
        object: &Object,
        today: UnixTime,
        bytes: i64,
    ) -> Result<()> {
        let tomorrow = today.plus(DAY);
        let room = [(ItemName::VectorStores, bytes)];
        let amount = (self.prices).max_tool_cost(usage::ANY_MODEL, tomorrow, &room);
        if amount == NanoDollars::default() {
            return Ok(());
        }
        let reservation = reservation_of_day(object, tomorrow);
        let reservation = (&reservation, &object.owner.project);
        let seconds = tomorrow.0 + STORAGE_SECONDS - self.clock.now().0;
        let reserving =
            self.reservations
                .reserve_unchecked(reservation, &object.id, amount, seconds);
        Ok(reserving.await?)
    }

    /// Releases what is reserved for something that is gone.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn release(&self, object: &Object) -> Result<()> {
        let mut reservations: Vec<_> = reservation_of(object).into_iter().collect();
        if object.kind == Kind::VectorStore {
            let today = self.clock.now().floor(DAY);
            let days = [today, today.plus(DAY)];
            reservations.extend(days.map(|day| reservation_of_day(object, day)));
        }
        for reservation in &reservations {
            self.reservations.release(reservation).await?;
        }
        Ok(())
    }

    /// Takes note that an upstream does not have something any more, if that can be believed, and releases what was
    /// reserved for it.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn forget(&self, object: &Object) -> Result<()> {
        if !self.stored.is_young(object) {
            self.release(object).await?;
        }
        self.stored.forget(object).await
    }

    /// Releases the reservations that nothing came of.
    pub(super) async fn release_expired(&self) {
        loop {
            match self
                .reservations
                .release_expired(MAX_EXPIRED_RELEASES)
                .await
            {
                Ok(0) => return,
                Ok(released) => tracing::info!(released, "expired spend reservations released"),
                Err(error) => {
                    tracing::warn!(%error, "expired spend reservations not released");
                    return;
                }
            }
        }
    }
}

/// Returns the reservation for a day of a vector store.
pub(super) fn reservation_of_day(object: &Object, day: UnixTime) -> ReservationKey {
    let id = format!("{}/{}", object.id, day.0.div_euclid(DAY));
    let organization = object.owner.organization.clone();
    ReservationKey::new(organization, SpendReservationId::from_text(id))
}

/// Returns the reservation for a batch, if there is one.
pub(super) fn reservation_of(object: &Object) -> Option<ReservationKey> {
    if object.kind != Kind::Batch {
        return None;
    }
    let work = Work::of_text(object.work.as_deref())?;
    let Owner { organization, .. } = &object.owner;
    Some(ReservationKey::new(organization.clone(), work.reservation?))
}
