//! Durable reservations: money reserved in the database for objects that outlive their request and the process, such as
//! batches.
//!
//! A reservation is made in one transaction with the check of both limits, so the reservations of all nodes together
//! exceed none. It counts on every node until the transaction that counts the cost releases it, or until it expires.

use std::sync::Arc;

use base::ids::{Id, IdGenerator, OrganizationId, ProjectId, SpendReservationId};
use base::{Clock, Error, NanoDollars};
use store::{Database, Result, Row, sql};

use super::owned::OwnedSpendRequest;
use super::reserved::{LimitAccounts, ReservedTotal, add, lock, release};
use super::{CountedSpend, Month, Spend, SpendRequest};

/// The most that is reserved at once without a limit, so that the sum of many reservations fits the database.
const MAX_UNLIMITED: NanoDollars = NanoDollars(1_000_000_000_000_000);

/// Makes and releases durable reservations.
#[derive(Clone)]
pub struct DurableReservations {
    database: Database,
    spend: Spend,
    ids: Arc<IdGenerator>,
    clock: Clock,
}

/// A reservation in the database. Drop releases it in the background, unless [`DurableReservation::keep`] was called.
pub struct DurableReservation {
    reservations: DurableReservations,
    release: ReservationKey,
    is_kept: bool,
}

/// The key of a durable reservation, by which it is released.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReservationKey {
    pub(crate) organization_id: OrganizationId,
    pub(crate) id: SpendReservationId,
}

impl DurableReservations {
    /// Reservations in this database, which reservations the ledger that `spend` equals.
    #[must_use]
    pub fn new(database: Database, spend: Spend, ids: Arc<IdGenerator>, clock: Clock) -> Self {
        Self {
            database,
            spend,
            ids,
            clock,
        }
    }

    /// Reserves the maximum cost of a request for at most `seconds`, or until released if [`DurableReservations::bind`]
    /// is called. Completes also when the future is dropped; the reservation is released then.
    ///
    /// # Errors
    /// 429: the cost exceeds what a limit leaves, or the limit is reached. 503: the database cannot be written.
    pub async fn reserve(
        &self,
        request: &SpendRequest<'_>,
        seconds: i64,
    ) -> base::Result<DurableReservation> {
        // Requests that a node has admitted on its own are known there only, so the amount is reserved in memory first,
        // then in the database. Nodes that share limits have slices, which the database knows.
        let local = match self.spend.is_shared() {
            true => None,
            false => self.spend.reserve_locally(request)?,
        };
        let owned = OwnedSpendRequest::new(request);
        let reservations = self.clone();
        let reserving = async move {
            let request = owned.borrowed();
            let (reserved, release) = match reservations.reserve_now(&request, seconds).await {
                // Slices that nothing is reserved of may have what is missing.
                Err(error) if reservations.spend.is_shared() && error.retry_after.is_none() => {
                    reservations.give_back_slices(request.organization.0).await;
                    reservations.reserve_now(&request, seconds).await
                }
                reserved => reserved,
            }?;
            reservations
                .spend
                .count(CountedSpend::of_reserved(&[reserved]), local.into_iter());
            Ok(DurableReservation {
                reservations,
                release,
                is_kept: false,
            })
        };
        let reserved = tokio::spawn(reserving).await;
        reserved.map_err(|_| Error::internal())?
    }

    async fn give_back_slices(&self, organization: &OrganizationId) {
        if let Err(error) = self.spend.give_back_slices_of(organization).await {
            tracing::warn!(%error, "failed to give back spend slices");
        }
    }

    async fn reserve_now(
        &self,
        request: &SpendRequest<'_>,
        seconds: i64,
    ) -> base::Result<(ReservedTotal, ReservationKey)> {
        let failed = |error: store::Error| {
            tracing::error!(%error, "spend reservation failed");
            Error::overloaded(
                "The spend limit could not be checked. Try again in a second.",
                1,
            )
        };
        let (organization, project) = (request.organization.0, request.project.0);
        let is_limited = request.organization.1.or(request.project.1).is_some();
        let amount = if is_limited {
            request.max_cost
        } else {
            request.max_cost.min(MAX_UNLIMITED)
        };
        let mut transaction = self.database.begin().await.map_err(failed)?;
        lock(&mut transaction, organization).await.map_err(failed)?;
        let month = Month::of(request.at);
        let accounts = LimitAccounts::read(&mut transaction, month, organization, project);
        accounts.await.map_err(failed)?.check(request, month)?;
        let release = ReservationKey {
            organization_id: organization.clone(),
            id: self.ids.next(),
        };
        let now = self.clock.now();
        let insert = sql!(
            "INSERT INTO spend_reservations (organization_id, id, project_id, amount, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
            organization,
            &release.id,
            project,
            amount,
            now,
            now.plus(seconds)
        );
        transaction.execute(insert).await.map_err(failed)?;
        let reserved = add(&mut transaction, organization, project, amount);
        let reserved = reserved.await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok((reserved, release))
    }

    /// Reserves an amount for `seconds` without checking limits, since it will be spent in any case. A reservation with
    /// the same key is left as it is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn reserve_unchecked(
        &self,
        (reservation, project): (&ReservationKey, &ProjectId),
        object: &str,
        amount: NanoDollars,
        seconds: i64,
    ) -> Result<()> {
        let ReservationKey {
            organization_id,
            id,
        } = reservation;
        let (now, amount) = (self.clock.now(), amount.min(MAX_UNLIMITED));
        let insert = sql!(
            "INSERT INTO spend_reservations (organization_id, id, project_id, amount, created_at, expires_at, object_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (organization_id, id) DO NOTHING",
            organization_id,
            id,
            project,
            amount,
            now,
            now.plus(seconds),
            object
        );
        let mut transaction = self.database.begin().await?;
        lock(&mut transaction, organization_id).await?;
        if transaction.execute(insert).await? == 1 {
            let reserved = add(&mut transaction, organization_id, project, amount).await?;
            transaction.commit().await?;
            let counted = [reserved];
            let counted = CountedSpend::of_reserved(&counted);
            self.spend.count(counted, std::iter::empty());
        }
        Ok(())
    }

    /// Binds a reservation to an object, so that it no longer expires. True if the reservation was there and pending.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bind(&self, release: &ReservationKey, object: &str) -> Result<bool> {
        let mut transaction = self.database.begin().await?;
        let update = sql!(
            "UPDATE spend_reservations SET expires_at = NULL, object_id = $1 \
             WHERE organization_id = $2 AND id = $3 AND expires_at IS NOT NULL",
            object,
            &release.organization_id,
            &release.id
        );
        let count = transaction.execute(update).await?;
        transaction.commit().await?;
        Ok(count == 1)
    }

    /// Releases a reservation if it is still there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release(&self, reservation: &ReservationKey) -> Result<()> {
        self.release_all(std::slice::from_ref(reservation)).await
    }

    /// Releases at most `limit` reservations that have expired. Returns how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_expired(&self, limit: i64) -> Result<usize> {
        let select = sql!(
            "SELECT organization_id, id FROM spend_reservations WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2",
            self.clock.now(),
            limit
        );
        let mut read = self.database.read().await?;
        let expired = read.fetch_all(select, ReservationKey::read).await?;
        drop(read);
        if !expired.is_empty() {
            self.release_all(&expired).await?;
        }
        Ok(expired.len())
    }

    async fn release_all(&self, reservations: &[ReservationKey]) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        let reserved = release(&mut transaction, reservations).await?;
        transaction.commit().await?;
        let counted = CountedSpend::of_reserved(&reserved);
        self.spend.count(counted, std::iter::empty());
        Ok(())
    }
}

impl DurableReservation {
    /// Returns the id of the reservation.
    #[must_use]
    pub fn id(&self) -> &SpendReservationId {
        &self.release.id
    }

    /// Leaves the reservation in the database. Returns the key to release it by.
    #[must_use]
    pub fn keep(mut self) -> ReservationKey {
        self.is_kept = true;
        self.release.clone()
    }
}

impl Drop for DurableReservation {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let release = self.release.clone();
        let reservations = self.reservations.clone();
        // Without a runtime, as at the end of the process, the reservation is left to expire.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = reservations.release(&release).await {
                let id = release.id.as_str();
                tracing::warn!(id, %error, "failed to release spend reservation; it will expire");
            }
        });
    }
}

impl ReservationKey {
    /// Returns the key of a reservation.
    #[must_use]
    pub fn new(organization_id: OrganizationId, id: SpendReservationId) -> Self {
        Self {
            organization_id,
            id,
        }
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            organization_id: row.id("organization_id")?,
            id: row.id("id")?,
        })
    }
}
