//! Spend: the cost of usage in a calendar month (UTC), by organization and by project.
//!
//! The sums are kept in memory and equal the ledger: they are loaded from it, the ledger writer adds what it commits,
//! and refreshes what other nodes have committed. So a request is checked against its limits without a query. The most
//! that a request may cost is reserved before the request is forwarded, and released in the same moment in which its
//! row of the ledger counts, so that requests under way never exceed a limit together.
//!
//! Several nodes on one database reserve that money from slices, which the database grants: see `slice`.

mod durable;
#[cfg(test)]
mod model_tests;
mod month;
mod owned;
mod reserved;
mod shared;
mod slice;
mod slice_table;
mod state;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base::ids::{Id, OrganizationId, ProjectId};
use base::{Clock, Error, NanoDollars, UnixTime};
use store::{Database, Result};

pub use durable::{DurableReservation, DurableReservations, ReservationKey};
pub use month::Month;
pub(crate) use reserved::{ReservedTotal, release};
pub(crate) use slice::{SliceKey, SliceTotal};
pub(crate) use slice_table::{SliceSettlement, release as release_slices, settle};
pub(crate) use table::{SpendTotal, add, clear};

use crate::session::LedgerNode;
use shared::SharedSpend;
use slice::Slice;
use state::{SpendAccount, SpendState};

/// The spend of the current month and of the one before. Clones share it.
#[derive(Clone)]
pub struct Spend(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<SpendState>,
    /// Set where several nodes share the limits.
    shared: OnceLock<Arc<SharedSpend>>,
}

/// A request that may cost money.
#[derive(Clone, Copy, Debug)]
pub struct SpendRequest<'a> {
    /// The organization, and its limit if one is set.
    pub organization: (&'a OrganizationId, Option<NanoDollars>),
    /// The project, and its limit if one is set.
    pub project: (&'a ProjectId, Option<NanoDollars>),
    /// The time of the request's event.
    pub at: UnixTime,
    /// The most that the request may cost.
    pub max_cost: NanoDollars,
}

/// A change of the spend of an organization in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendChange {
    /// The month.
    pub month: Month,
    /// The organization.
    pub organization_id: OrganizationId,
}

/// The outcome of a reservation in memory.
enum Reserved {
    Fits(SpendReservation),
    /// The slices of this node have too little.
    OverSlice,
}

/// The money that a transaction has changed.
#[derive(Clone, Copy, Default)]
pub(crate) struct CountedSpend<'a> {
    pub(crate) totals: &'a [SpendTotal],
    pub(crate) reserved: &'a [ReservedTotal],
    pub(crate) slices: &'a [SliceTotal],
}

impl<'a> CountedSpend<'a> {
    /// Returns a change of what is reserved in the database.
    pub(crate) fn of_reserved(reserved: &'a [ReservedTotal]) -> Self {
        Self {
            reserved,
            ..Self::default()
        }
    }
}

/// Money reserved in memory for a request, until the cost of the request counts. Drop releases it.
pub struct SpendReservation(Box<ReservationState>);

struct ReservationState {
    spend: Spend,
    month: UnixTime,
    organization_id: OrganizationId,
    project_id: ProjectId,
    amount: NanoDollars,
    /// The session whose slice the money is of; `None` where limits are not shared.
    epoch: Option<i64>,
}

impl Spend {
    /// Loads the spend from the database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn load(database: &Database, clock: Clock) -> Result<Self> {
        let state = Mutex::default();
        let spend = Self(Arc::new(Shared {
            clock,
            state,
            shared: OnceLock::new(),
        }));
        spend.reload(database).await?;
        Ok(spend)
    }

    /// Shares the limits with the other nodes of the database from now on. Must be called before money is reserved.
    pub fn share(&self, database: Database, node: LedgerNode) {
        let shared = SharedSpend::new(database, node);
        // A second call changes nothing.
        let _ = self.0.shared.set(Arc::new(shared));
    }

    /// True if the limits are shared with other nodes.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.shared.get().is_some()
    }

    /// Returns the spend of an organization, or of one of its projects, in a month.
    #[must_use]
    pub fn in_month(
        &self,
        month: Month,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> NanoDollars {
        let account = self.account(month, organization, project);
        account.spent
    }

    /// Returns the spend of an organization, or of one of its projects, in the current month.
    #[must_use]
    pub fn month_to_date(
        &self,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> NanoDollars {
        self.in_month(Month::of(self.0.clock.now()), organization, project)
    }

    /// Returns the current month, and the money of an organization, or of one of its projects, in this month: the sum in
    /// the ledger, and the sum that is reserved for requests under way.
    #[must_use]
    pub fn current(
        &self,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> (Month, NanoDollars, NanoDollars) {
        let month = Month::of(self.0.clock.now());
        let account = self.account(month, organization, project);
        (month, account.spent, account.reserved)
    }

    /// Reserves the maximum cost of a request; `None` if there is no limit.
    ///
    /// # Errors
    /// 429: the cost exceeds what a limit leaves, or the limit is reached. 503: the limits are shared, and the database
    /// does not respond.
    pub async fn reserve(
        &self,
        request: &SpendRequest<'_>,
    ) -> base::Result<Option<SpendReservation>> {
        let Some(shared) = self.0.shared.get() else {
            return self.reserve_locally(request);
        };
        if !request.is_limited() {
            return Ok(None);
        }
        shared.check_session()?;
        match self.try_reserve(request)? {
            Reserved::Fits(reservation) => Ok(Some(reservation)),
            Reserved::OverSlice => self.ask(shared, request).await.map(Some),
        }
    }

    /// Reserves the maximum cost of a request in the memory of this process, which must be the only one that serves the
    /// database; `None` if there is no limit. Suffices also to check that no limit is reached, by a cost of 0.
    ///
    /// # Errors
    /// 429: the cost exceeds what a limit leaves, or the limit is reached.
    pub fn reserve_locally(
        &self,
        request: &SpendRequest<'_>,
    ) -> base::Result<Option<SpendReservation>> {
        if !request.is_limited() {
            return Ok(None);
        }
        match self.try_reserve(request)? {
            Reserved::Fits(reservation) => Ok(Some(reservation)),
            Reserved::OverSlice => Err(Error::overloaded(
                "The spend limit is shared with other nodes. Try again in a second.",
                1,
            )),
        }
    }

    /// Reserves the maximum cost of a request of a slice; `None` if the slice has too little.
    fn reserve_of_slice(
        &self,
        request: &SpendRequest<'_>,
    ) -> base::Result<Option<SpendReservation>> {
        Ok(match self.try_reserve(request)? {
            Reserved::Fits(reservation) => Some(reservation),
            Reserved::OverSlice => None,
        })
    }

    /// Reserves the maximum cost of a request of a slice that has grown for it. Must not be refused by what is spent
    /// meanwhile: the database has checked the limits.
    fn reserve_of_grant(
        &self,
        request: &SpendRequest<'_>,
        total: &SliceTotal,
    ) -> Option<SpendReservation> {
        let mut state = self.lock();
        state.set_slice(total);
        let epoch = Some(total.key.epoch);
        self.take(&mut state, request, epoch)
    }

    fn try_reserve(&self, request: &SpendRequest<'_>) -> base::Result<Reserved> {
        let (organization, project) = (request.organization.0, request.project.0);
        let epoch = self.0.shared.get().map(|shared| shared.epoch());
        let mut state = self.lock();
        let month = state.month_of(request.at);
        let reserved = state.reserved(organization, project);
        let (whole, part) = state.pair(month.start, organization, project);
        for ((account, reserved), (limit, who)) in [&mut *whole, &mut *part]
            .into_iter()
            .zip(reserved)
            .zip(limits(request))
        {
            let with_reserved = account.with_reserved(reserved);
            if let Some(limit) =
                limit.filter(|limit| !with_reserved.admits(*limit, request.max_cost))
            {
                return Err(refusal(who, with_reserved, limit, request, month));
            }
        }
        let reservation = self.take(&mut state, request, epoch);
        Ok(reservation.map_or(Reserved::OverSlice, Reserved::Fits))
    }

    /// Takes the maximum cost of a request, of the slice of a session if limits are shared; `None` if that has too
    /// little.
    fn take(
        &self,
        state: &mut SpendState,
        request: &SpendRequest<'_>,
        epoch: Option<i64>,
    ) -> Option<SpendReservation> {
        let (organization, project) = (request.organization.0, request.project.0);
        let (month, amount) = (state.month_of(request.at).start, request.max_cost);
        if let Some(epoch) = epoch {
            let slice = state.slice(month, organization, project);
            if !slice.reserve(epoch, amount) {
                return None;
            }
        }
        let (whole, part) = state.pair(month, organization, project);
        for account in [whole, part] {
            account.reserved += amount;
        }
        Some(SpendReservation(Box::new(ReservationState {
            spend: self.clone(),
            month,
            organization_id: organization.clone(),
            project_id: project.clone(),
            amount,
            epoch,
        })))
    }

    /// Runs `change` on the slice of a request, and the state that it is part of.
    fn with_slice<T>(&self, request: &SpendRequest<'_>, change: impl FnOnce(&mut Slice) -> T) -> T {
        let mut state = self.lock();
        let month = state.month_of(request.at).start;
        change(state.slice(month, request.organization.0, request.project.0))
    }

    /// Returns the changes since a revision, 0 at first, and the revision to continue from.
    #[must_use]
    pub fn changed_since(&self, seen: u64) -> (u64, Vec<SpendChange>) {
        self.lock().changed_since(seen)
    }

    /// Sets sums that were committed, and releases the reservations for what is in them: at once, so that no money is
    /// seen as neither spent nor reserved.
    pub(crate) fn count(
        &self,
        counted: CountedSpend<'_>,
        reservations: impl Iterator<Item = SpendReservation>,
    ) {
        let mut reservations: Vec<SpendReservation> = reservations.collect();
        let mut state = self.lock();
        for total in counted.totals {
            state.set(total);
        }
        for reserved in counted.reserved {
            state.set_reserved(reserved);
        }
        for total in counted.slices {
            state.set_slice(total);
        }
        for reservation in &mut reservations {
            state.settle(&mut reservation.0);
        }
        state.forget_before(self.oldest_month());
    }

    /// Reloads the spend if other nodes have committed changes.
    pub(crate) async fn refresh(&self, database: &Database) -> Result<()> {
        let oldest = self.oldest_month();
        let changes = table::changes(&mut *database.read().await?, oldest).await?;
        if changes != self.lock().changes_since(oldest) {
            self.reload(database).await?;
        }
        Ok(())
    }

    /// Loads every sum from the database.
    pub(crate) async fn reload(&self, database: &Database) -> Result<()> {
        let oldest = self.oldest_month();
        let mut read = database.read().await?;
        // Reservations are read first: one that is settled meanwhile is counted twice then, rather than not at all.
        let reserved = reserved::load(&mut read).await?;
        let totals = table::load(&mut read, oldest).await?;
        {
            let mut state = self.lock();
            for total in &totals {
                state.set(total);
            }
            for reserved in &reserved {
                state.set_reserved(reserved);
            }
        }
        self.reload_slices(database).await
    }

    fn account(
        &self,
        month: Month,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> SpendAccount {
        let state = self.lock();
        let account = state.account(month.start, organization, project);
        account.with_reserved(state.reserved_of(organization, project))
    }

    /// Returns the first second of the month before the current one, whose spend may still change and be notified of.
    fn oldest_month(&self) -> UnixTime {
        Month::of(self.0.clock.now()).before().start
    }

    fn lock(&self) -> MutexGuard<'_, SpendState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpendRequest<'_> {
    /// True if the organization or the project has a limit.
    fn is_limited(&self) -> bool {
        self.organization.1.or(self.project.1).is_some()
    }
}

impl SpendReservation {
    /// Returns the reserved amount.
    pub(crate) fn amount(&self) -> NanoDollars {
        self.0.amount
    }

    /// Sets the reserved amount to the cost of the request, which is known before the ledger has it. The cost may
    /// exceed what a limit leaves; of a slice no more than was reserved is taken.
    pub(crate) fn set_amount(&mut self, cost: NanoDollars) {
        let cost = match self.0.epoch {
            Some(_) => cost.min(self.0.amount),
            None => cost,
        };
        let spend = self.0.spend.clone();
        spend.lock().change(&mut self.0, cost);
    }

    /// Returns what is taken of a slice once the event with this index among those of a transaction counts; `None` where
    /// limits are not shared.
    pub(crate) fn settlement(&self, event: Option<usize>) -> Option<SliceSettlement> {
        let state = &self.0;
        let key = SliceKey {
            month: state.month,
            organization_id: state.organization_id.clone(),
            project_id: state.project_id.clone(),
            epoch: state.epoch?,
        };
        let amount = state.amount;
        Some(SliceSettlement { event, key, amount })
    }
}

impl Drop for ReservationState {
    fn drop(&mut self) {
        if self.amount != NanoDollars::default() {
            let spend = self.spend.clone();
            spend.lock().release(self);
        }
    }
}

/// Returns the limits that apply to a request, each with the noun and id that messages use.
fn limits<'a>(request: &SpendRequest<'a>) -> [(Option<NanoDollars>, [&'a str; 2]); 2] {
    let (organization, of_organization) = request.organization;
    let (project, of_project) = request.project;
    [
        (
            of_organization,
            [OrganizationId::NOUN, organization.as_str()],
        ),
        (of_project, [ProjectId::NOUN, project.as_str()]),
    ]
}

/// Returns the error of a refused request.
fn refusal(
    who: [&str; 2],
    account: SpendAccount,
    limit: NanoDollars,
    request: &SpendRequest<'_>,
    month: Month,
) -> Error {
    let ([noun, id], spent) = (who, account.spent);
    let mut message = format!(
        "The {noun} {id} has spent {spent} of the {limit} that it may spend in {month} (UTC)"
    );
    if spent < limit {
        message += &format!(
            "; {} is set aside for requests under way, and this one may cost up to {}",
            account.reserved, request.max_cost
        );
    }
    message += &format!(
        ". Raise its spend limit, or wait until {} begins.",
        Month::of(month.end)
    );
    Error::insufficient_quota(message)
}
