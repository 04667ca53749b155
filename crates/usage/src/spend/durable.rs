//! Money that is set aside in the database: for what outlives the request that it came with, and the process.
//!
//! A reservation is made in one transaction with the check that both limits have room for it, so reservations of all nodes
//! together pass no limit. It counts on every node until the transaction that counts what it was made for releases it, or
//! until it expires.

use std::sync::Arc;

use base::ids::{Id, IdGenerator, OrganizationId, ProjectId, SpendReservationId};
use base::{Clock, Error, NanoDollars, UnixTime};
use store::{Database, Result, Row, sql};

use super::reserved::{Reserved, Sums, add, lock, release};
use super::{Ask, Month, Spend};

/// The most that is reserved at once where no limit is set: the sum of many such amounts has a place in the database.
const MAX_UNLIMITED: NanoDollars = NanoDollars(1_000_000_000_000_000);

/// Makes and releases reservations.
#[derive(Clone)]
pub struct SpendReservations {
    database: Database,
    spend: Spend,
    ids: Arc<IdGenerator>,
    clock: Clock,
}

/// A reservation in the database. Dropped before [`SpendReservation::keep`], it is released in the background.
pub struct SpendReservation {
    reservations: SpendReservations,
    release: Release,
    is_kept: bool,
}

/// A reservation that is to be released.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub(crate) organization_id: OrganizationId,
    pub(crate) id: SpendReservationId,
}

impl SpendReservations {
    /// Reservations in this database, which holds the ledger that `spend` equals.
    #[must_use]
    pub fn new(database: Database, spend: Spend, ids: Arc<IdGenerator>, clock: Clock) -> Self {
        Self {
            database,
            spend,
            ids,
            clock,
        }
    }

    /// Reserves what `ask` may cost, for at most so many seconds unless [`SpendReservations::bind`] is called. Made to its
    /// end also when the future is dropped; then it is released.
    ///
    /// # Errors
    /// 429: that is more than a limit leaves, or the limit is reached. 503: the database cannot be written.
    pub async fn reserve(&self, ask: &Ask<'_>, seconds: i64) -> base::Result<SpendReservation> {
        // What this node has admitted is known here only: room is taken here first, then in the database.
        let hold = self.spend.hold(ask)?;
        let owned = OwnedAsk::new(ask);
        let reservations = self.clone();
        let reserving = async move {
            let ask = owned.ask();
            let (reserved, release) = reservations.reserve_now(&ask, seconds).await?;
            reservations.spend.count(&[], &[reserved], hold.into_iter());
            Ok(SpendReservation {
                reservations,
                release,
                is_kept: false,
            })
        };
        let reserved = tokio::spawn(reserving).await;
        reserved.map_err(|_| Error::internal())?
    }

    async fn reserve_now(&self, ask: &Ask<'_>, seconds: i64) -> base::Result<(Reserved, Release)> {
        let failed = |error: store::Error| {
            tracing::error!(%error, "spend reservation failed");
            Error::overloaded(
                "The spend limit could not be checked. Try again in a second.",
                1,
            )
        };
        let (organization, project) = (ask.organization.0, ask.project.0);
        let is_limited = ask.organization.1.or(ask.project.1).is_some();
        let amount = if is_limited {
            ask.most
        } else {
            ask.most.min(MAX_UNLIMITED)
        };
        let mut transaction = self.database.begin().await.map_err(failed)?;
        lock(&mut transaction, organization).await.map_err(failed)?;
        let month = Month::of(ask.at);
        let sums = Sums::read(&mut transaction, month, organization, project);
        sums.await.map_err(failed)?.check(ask, month)?;
        let release = Release {
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

    /// Reserves an amount that will be spent whether a limit has room for it or not, for so many seconds. An id that is
    /// taken is left as it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn reserve_unchecked(
        &self,
        (reservation, project): (&Release, &ProjectId),
        object: &str,
        amount: NanoDollars,
        seconds: i64,
    ) -> Result<()> {
        let Release {
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
            self.spend.count(&[], &[reserved], std::iter::empty());
        }
        Ok(())
    }

    /// Says what a reservation is for: from now on it does not expire. One that is not there any more stays away. True if
    /// it did so.
    ///
    /// # Errors
    /// The database's.
    pub async fn bind(&self, release: &Release, object: &str) -> Result<bool> {
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

    /// Releases a reservation, if it is still there.
    ///
    /// # Errors
    /// The database's.
    pub async fn release(&self, reservation: &Release) -> Result<()> {
        self.release_all(std::slice::from_ref(reservation)).await
    }

    /// Releases the reservations that have expired, at most so many.
    ///
    /// # Errors
    /// The database's.
    pub async fn release_expired(&self, limit: i64) -> Result<usize> {
        let select = sql!(
            "SELECT organization_id, id FROM spend_reservations WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2",
            self.clock.now(),
            limit
        );
        let mut read = self.database.read().await?;
        let expired = read.fetch_all(select, Release::read).await?;
        drop(read);
        if !expired.is_empty() {
            self.release_all(&expired).await?;
        }
        Ok(expired.len())
    }

    async fn release_all(&self, reservations: &[Release]) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        let reserved = release(&mut transaction, reservations).await?;
        transaction.commit().await?;
        self.spend.count(&[], &reserved, std::iter::empty());
        Ok(())
    }
}

impl SpendReservation {
    /// The id to release it by.
    #[must_use]
    pub fn id(&self) -> &SpendReservationId {
        &self.release.id
    }

    /// Leaves the reservation in the database, for whoever releases it later.
    #[must_use]
    pub fn keep(mut self) -> Release {
        self.is_kept = true;
        self.release.clone()
    }
}

impl Drop for SpendReservation {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let release = self.release.clone();
        let reservations = self.reservations.clone();
        // Without a runtime, as when the process ends, it expires.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = reservations.release(&release).await {
                let id = release.id.as_str();
                tracing::warn!(id, %error, "spend reservation not released; it expires");
            }
        });
    }
}

impl Release {
    /// The reservation of an organization with this id.
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

/// An [`Ask`] with its names.
struct OwnedAsk {
    organization: (OrganizationId, Option<NanoDollars>),
    project: (ProjectId, Option<NanoDollars>),
    at: UnixTime,
    most: NanoDollars,
}

impl OwnedAsk {
    fn new(ask: &Ask<'_>) -> Self {
        Self {
            organization: (ask.organization.0.clone(), ask.organization.1),
            project: (ask.project.0.clone(), ask.project.1),
            at: ask.at,
            most: ask.most,
        }
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            organization: (&self.organization.0, self.organization.1),
            project: (&self.project.0, self.project.1),
            at: self.at,
            most: self.most,
        }
    }
}
