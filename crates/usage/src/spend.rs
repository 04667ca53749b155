//! Spend: the cost of usage in a calendar month (UTC), by organization and by project.
//!
//! The sums are kept in memory and equal the ledger: they are loaded from it, the ledger writer adds what it commits,
//! and refreshes what other nodes have committed. So a request is checked against its limits without a query. The most
//! that a request may cost is reserved before the request is forwarded, and released in the same moment in which its
//! row of the ledger counts, so that requests under way never exceed a limit together.

mod durable;
#[cfg(test)]
mod model_tests;
mod month;
mod reserved;
mod state;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ids::{Id, OrganizationId, ProjectId};
use base::{Clock, Error, NanoDollars, UnixTime};
use store::{Database, Result};

pub use durable::{DurableReservation, DurableReservations, ReservationKey};
pub use month::Month;
pub(crate) use reserved::{ReservedTotal, release};
pub(crate) use table::{SpendTotal, add, clear};

use state::{SpendAccount, SpendState};

/// The spend of the current month and of the one before. Clones share it.
#[derive(Clone)]
pub struct Spend(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<SpendState>,
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

/// Money reserved in memory for a request, until the cost of the request counts. Drop releases it.
pub struct SpendReservation(Box<ReservationState>);

struct ReservationState {
    spend: Spend,
    month: UnixTime,
    organization_id: OrganizationId,
    project_id: ProjectId,
    amount: NanoDollars,
}

impl Spend {
    /// Loads the spend from the database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn load(database: &Database, clock: Clock) -> Result<Self> {
        let state = Mutex::default();
        let spend = Self(Arc::new(Shared { clock, state }));
        spend.reload(database).await?;
        Ok(spend)
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
    /// 429: the cost exceeds what a limit leaves, or the limit is reached.
    pub fn reserve(&self, request: &SpendRequest<'_>) -> base::Result<Option<SpendReservation>> {
        let (organization, limit_of_organization) = request.organization;
        let (project, limit_of_project) = request.project;
        if limit_of_organization.or(limit_of_project).is_none() {
            return Ok(None);
        }
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
        for account in [whole, part] {
            account.reserved += request.max_cost;
        }
        drop(state);
        Ok(Some(SpendReservation(Box::new(ReservationState {
            spend: self.clone(),
            month: month.start,
            organization_id: organization.clone(),
            project_id: project.clone(),
            amount: request.max_cost,
        }))))
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
        totals: &[SpendTotal],
        reserved: &[ReservedTotal],
        reservations: impl Iterator<Item = SpendReservation>,
    ) {
        let mut reservations: Vec<SpendReservation> = reservations.collect();
        let mut state = self.lock();
        for total in totals {
            state.set(total);
        }
        for reserved in reserved {
            state.set_reserved(reserved);
        }
        for reservation in &mut reservations {
            state.release(&mut reservation.0);
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
        let mut state = self.lock();
        for total in &totals {
            state.set(total);
        }
        for reserved in &reserved {
            state.set_reserved(reserved);
        }
        Ok(())
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

impl SpendReservation {
    /// Sets the reserved amount to the cost of the request, which is known before the ledger has it. The cost may
    /// exceed what a limit leaves.
    pub(crate) fn set_amount(&mut self, cost: NanoDollars) {
        let spend = self.0.spend.clone();
        spend.lock().change(&mut self.0, cost);
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
