//! Spend: what has been consumed in a calendar month (UTC), in money, by organization and by project.
//!
//! The sums are in memory, and equal the ledger: they are loaded from it, the writer of the ledger adds what it has
//! committed, and it looks for what other programs have. So a request learns without a query whether it
//! may still be paid for. What a request may cost is set aside before it is sent on, and given back in the same moment in
//! which its row of the ledger counts, so that requests under way cannot together spend what only one of them may.

#[cfg(test)]
mod model;
mod month;
mod reservation;
mod reserved;
mod state;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ids::{Id, OrganizationId, ProjectId};
use base::{Clock, Error, NanoDollars, UnixTime};
use store::{Database, Result};

pub use month::Month;
pub use reservation::Release;
pub use reservation::{SpendReservation, SpendReservations};
pub(crate) use reserved::{Reserved, release};
pub(crate) use table::{Total, add, clear};

use state::{Account, State};

/// What has been spent in the current month and in the one before. Clones are the same.
#[derive(Clone)]
pub struct Spend(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<State>,
}

/// A request that may cost something.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who pays, and their limit, where one is set.
    pub organization: (&'a OrganizationId, Option<NanoDollars>),
    /// For which project, and its limit, where one is set.
    pub project: (&'a ProjectId, Option<NanoDollars>),
    /// The time of its event.
    pub at: UnixTime,
    /// The most that it may cost.
    pub most: NanoDollars,
}

/// An organization whose spend in a month has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The month.
    pub month: Month,
    /// The organization.
    pub organization_id: OrganizationId,
}

/// Money that is set aside for a request until what it has cost is counted. Given back when dropped.
pub struct Hold(Box<Held>);

struct Held {
    spend: Spend,
    month: UnixTime,
    organization_id: OrganizationId,
    project_id: ProjectId,
    amount: NanoDollars,
}

impl Spend {
    /// Loads what has been spent.
    ///
    /// # Errors
    /// The database's.
    pub async fn load(database: &Database, clock: Clock) -> Result<Self> {
        let state = Mutex::default();
        let spend = Self(Arc::new(Shared { clock, state }));
        spend.reload(database).await?;
        Ok(spend)
    }

    /// What an organization, or one of its projects, has spent in a month.
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

    /// As [`Self::in_month`], in the current one.
    #[must_use]
    pub fn month_to_date(
        &self,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> NanoDollars {
        self.in_month(Month::of(self.0.clock.now()), organization, project)
    }

    /// Whether requests are being refused for the sake of this limit: it is reached, or there is no room for the last
    /// one that asked.
    #[must_use]
    pub fn is_enforcing(
        &self,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
        limit: NanoDollars,
    ) -> bool {
        let month = Month::of(self.0.clock.now());
        self.account(month, organization, project)
            .is_enforcing(limit)
    }

    /// Sets aside what a request may cost, where there is a limit.
    ///
    /// # Errors
    /// 429: that is more than a limit leaves, or the limit is reached.
    pub fn hold(&self, ask: &Ask<'_>) -> base::Result<Option<Hold>> {
        let (organization, limit_of_organization) = ask.organization;
        let (project, limit_of_project) = ask.project;
        if limit_of_organization.or(limit_of_project).is_none() {
            return Ok(None);
        }
        let mut state = self.lock();
        let month = state.month_of(ask.at);
        let reserved = state.reserved(organization, project);
        let (whole, part) = state.pair(month.start, organization, project);
        for ((account, reserved), (limit, who)) in [&mut *whole, &mut *part]
            .into_iter()
            .zip(reserved)
            .zip(limits(ask))
        {
            let with_reserved = account.with_reserved(reserved);
            if let Some(limit) = limit.filter(|limit| !with_reserved.admits(*limit, ask.most)) {
                account.refused = Some(ask.most);
                return Err(refusal(who, with_reserved, limit, ask, month));
            }
        }
        for account in [whole, part] {
            account.refused = None;
            account.held += ask.most;
        }
        drop(state);
        Ok(Some(Hold(Box::new(Held {
            spend: self.clone(),
            month: month.start,
            organization_id: organization.clone(),
            project_id: project.clone(),
            amount: ask.most,
        }))))
    }

    /// The organizations whose spend has changed since a number that this gave, 0 at first, and the next such number.
    #[must_use]
    pub fn moved_since(&self, seen: u64) -> (u64, Vec<Moved>) {
        self.lock().moved_since(seen)
    }

    /// Takes in sums that were committed, and gives back what was set aside for what is in them: at once, so that
    /// nobody sees money that is neither spent nor set aside.
    pub(crate) fn count(
        &self,
        totals: &[Total],
        reserved: &[Reserved],
        holds: impl Iterator<Item = Hold>,
    ) {
        let mut holds: Vec<Hold> = holds.collect();
        let mut state = self.lock();
        for total in totals {
            state.set(total);
        }
        for reserved in reserved {
            state.set_reserved(reserved);
        }
        for hold in &mut holds {
            state.release(&mut hold.0);
        }
        state.forget_before(self.oldest());
    }

    /// Takes in what other programs have committed, if there is anything.
    pub(crate) async fn look(&self, database: &Database) -> Result<()> {
        let oldest = self.oldest();
        let changes = table::changes(&mut *database.read().await?, oldest).await?;
        if changes != self.lock().changes_since(oldest) {
            self.reload(database).await?;
        }
        Ok(())
    }

    /// Takes in every sum as it is in the database.
    pub(crate) async fn reload(&self, database: &Database) -> Result<()> {
        let oldest = self.oldest();
        let mut read = database.read().await?;
        // What is reserved first: what is settled meanwhile is seen twice then, and never not at all.
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
    ) -> Account {
        let state = self.lock();
        let account = state.account(month.start, organization, project);
        account.with_reserved(state.reserved_of(organization, project))
    }

    /// The first second of the month before the current one. What was spent in it may still be added to, and told of.
    fn oldest(&self) -> UnixTime {
        Month::of(self.0.clock.now()).before().start
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Sets aside so much instead, at once: what the request has cost, which is known before the ledger has it. That may be more
    /// than a limit leaves.
    pub(crate) fn becomes(&mut self, cost: NanoDollars) {
        let spend = self.0.spend.clone();
        spend.lock().change(&mut self.0, cost);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.amount != NanoDollars::default() {
            let spend = self.spend.clone();
            spend.lock().release(self);
        }
    }
}

/// The limits of those who pay for a request, with what messages call them.
fn limits<'a>(ask: &Ask<'a>) -> [(Option<NanoDollars>, [&'a str; 2]); 2] {
    let (organization, of_organization) = ask.organization;
    let (project, of_project) = ask.project;
    [
        (
            of_organization,
            [OrganizationId::NOUN, organization.as_str()],
        ),
        (of_project, [ProjectId::NOUN, project.as_str()]),
    ]
}

/// What a refused request is told.
fn refusal(
    who: [&str; 2],
    account: Account,
    limit: NanoDollars,
    ask: &Ask<'_>,
    month: Month,
) -> Error {
    let ([noun, id], spent) = (who, account.spent);
    let mut message = format!(
        "The {noun} {id} has spent {spent} of the {limit} that it may spend in {month} (UTC)"
    );
    if spent < limit {
        message += &format!(
            "; {} is set aside for requests under way, and this one may cost up to {}",
            account.held, ask.most
        );
    }
    message += &format!(
        ". Raise its spend limit, or wait until {} begins.",
        Month::of(month.end)
    );
    Error::insufficient_quota(message)
}
