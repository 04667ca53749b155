//! Spend limits that several nodes share: each node reserves of its own slices, and asks the database for more.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::ids::{Id, OrganizationId, ProjectId};
use base::time::Stopwatch;
use base::{Error, NanoDollars};
use store::{Database, Result};
use tokio::sync;

use super::owned::OwnedSpendRequest;
use super::reserved::{LimitAccounts, lock_limits};
use super::slice::{SliceAsk, SliceKey, SliceTotal};
use super::{Month, Spend, SpendRequest, SpendReservation, slice_table};
use crate::session::LedgerNode;

/// The time for which a refusal of the database is repeated without asking again.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(50);
/// The time for which the other nodes give back what they do not need, once one was refused.
const RETURN_SECONDS: i64 = 10;
/// The most times that a request asks; others may take of what it was granted.
const MAX_ASKS_COUNT: usize = 4;

/// The parts that a shared spend has beside its memory.
pub(super) struct SharedSpend {
    database: Database,
    node: LedgerNode,
    /// Locks by which this node asks for an organization once at a time.
    turns: Mutex<HashMap<OrganizationId, Arc<sync::Mutex<Option<LastRefusal>>>>>,
    /// Slices are given back one after the other.
    returns: sync::Mutex<()>,
    /// True if a transaction may have changed slices without this node's knowledge, so that they must be read again.
    is_stale: AtomicBool,
}

/// The last refusal of the database for an organization.
struct LastRefusal {
    since: Stopwatch,
    project_id: ProjectId,
    need: NanoDollars,
    error: Error,
}

/// The slices that are to be given back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returned<'a> {
    /// All that are free in these organizations, and those that were not used lately.
    Of(&'a BTreeSet<String>),
    /// All that are free.
    All,
}

/// RAII guard of an amount that a request waits for.
struct Waiting<'a> {
    spend: &'a Spend,
    request: SpendRequest<'a>,
}

impl<'a> Waiting<'a> {
    fn begin(spend: &'a Spend, request: SpendRequest<'a>) -> Self {
        spend.with_slice(&request, |slice| slice.waiting += request.max_cost);
        Self { spend, request }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let cost = self.request.max_cost;
        self.spend.with_slice(&self.request, |slice| {
            slice.waiting = slice.waiting - cost;
        });
    }
}

impl SharedSpend {
    pub(super) fn new(database: Database, node: LedgerNode) -> Self {
        Self {
            database,
            node,
            turns: Mutex::default(),
            returns: sync::Mutex::default(),
            is_stale: AtomicBool::new(false),
        }
    }

    pub(super) fn epoch(&self) -> i64 {
        self.node.session.epoch()
    }

    fn turn(&self, organization: &OrganizationId) -> Arc<sync::Mutex<Option<LastRefusal>>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(organization.clone()).or_default())
    }

    /// Checks that the session is not over.
    pub(super) fn check_session(&self) -> base::Result<()> {
        // Slices that are kept are not granted to others, even if the session is over.
        if self.node.session.is_over() && !self.node.keeps_lost {
            return Err(unavailable());
        }
        Ok(())
    }
}

impl Spend {
    /// Reserves the maximum cost of a request of slices that the database grants. Completes also when the future is dropped.
    pub(super) async fn ask(
        &self,
        shared: &Arc<SharedSpend>,
        request: &SpendRequest<'_>,
    ) -> base::Result<SpendReservation> {
        let (spend, shared) = (self.clone(), Arc::clone(shared));
        let owned = OwnedSpendRequest::new(request);
        let asking = async move { spend.ask_in_turn(&shared, &owned.borrowed()).await };
        let asked = tokio::spawn(asking).await;
        asked.map_err(|_| Error::internal())?
    }

    async fn ask_in_turn(
        &self,
        shared: &SharedSpend,
        request: &SpendRequest<'_>,
    ) -> base::Result<SpendReservation> {
        let waiting = Waiting::begin(self, *request);
        let turn = shared.turn(request.organization.0);
        let mut last = turn.lock().await;
        let mut has_returned = false;
        for _ in 0..MAX_ASKS_COUNT {
            shared.check_session()?;
            // What others were granted meanwhile may suffice.
            if let Some(reservation) = self.reserve_of_slice(request)? {
                return Ok(reservation);
            }
            let epoch = shared.epoch();
            let ask = self.with_slice(request, |slice| slice.ask(epoch, request.max_cost));
            if let Some(refusal) = last.as_ref().filter(|last| last.repeats(request, ask)) {
                return Err(refusal.error.clone());
            }
            match shared.ask_database(request, ask, epoch).await? {
                Ok(total) => {
                    *last = None;
                    if let Some(reservation) = self.reserve_of_grant(request, &total) {
                        return Ok(reservation);
                    }
                }
                // Slices of other projects of the organization may have what is missing.
                Err(_) if !has_returned => {
                    has_returned = true;
                    self.give_back_slices_of(request.organization.0).await?;
                }
                Err(error) => {
                    *last = Some(LastRefusal::new(request, ask, error.clone()));
                    return Err(error);
                }
            }
        }
        drop(waiting);
        Err(unavailable())
    }

    /// Gives back slices that other nodes need, and those that were not used lately.
    pub(crate) async fn return_slices(&self, database: &Database) -> Result<()> {
        let Some(shared) = self.0.shared.get() else {
            return Ok(());
        };
        let since = self.0.clock.now().plus(-RETURN_SECONDS);
        let refused = {
            let mut read = database.read().await?;
            slice_table::refused_since(&mut read, shared.epoch(), since).await?
        };
        let refused = refused.into_iter().collect();
        self.give_back(database, shared, Returned::Of(&refused))
            .await
    }

    /// Gives back the slices of an organization that no request holds.
    pub(super) async fn give_back_slices_of(&self, organization: &OrganizationId) -> Result<()> {
        let Some(shared) = self.0.shared.get() else {
            return Ok(());
        };
        let of = BTreeSet::from([organization.as_str().to_owned()]);
        self.give_back(&shared.database, shared, Returned::Of(&of))
            .await
    }

    /// Gives back all slices that no request holds.
    pub(crate) async fn return_all_slices(&self, database: &Database) -> Result<()> {
        match self.0.shared.get() {
            Some(shared) => self.give_back(database, shared, Returned::All).await,
            None => Ok(()),
        }
    }

    async fn give_back(
        &self,
        database: &Database,
        shared: &SharedSpend,
        returned: Returned<'_>,
    ) -> Result<()> {
        let turn = shared.returns.lock().await;
        let epoch = shared.epoch();
        if shared.is_stale.load(Ordering::Acquire) {
            let totals = {
                let mut read = database.read().await?;
                slice_table::of_epoch(&mut read, epoch).await?
            };
            shared.is_stale.store(false, Ordering::Release);
            self.lock().reload_slices(&totals);
        }
        let current = Month::of(self.0.clock.now()).start;
        let returns = self.lock().begin_returns(epoch, |key, is_idle| {
            let is_asked_for = match returned {
                Returned::All => true,
                Returned::Of(organizations) => organizations.contains(key.organization_id.as_str()),
            };
            is_idle || is_asked_for || key.month < current
        });
        if returns.is_empty() {
            return Ok(());
        }
        shared.is_stale.store(true, Ordering::Release);
        let mut totals = Vec::with_capacity(returns.len());
        let mut transaction = database.begin().await?;
        for (key, amount) in &returns {
            if let Some(total) = slice_table::take(&mut transaction, key, *amount).await? {
                totals.push((total, *amount));
            }
        }
        transaction.commit().await?;
        self.lock().end_returns(&totals);
        shared.is_stale.store(false, Ordering::Release);
        drop(turn);
        Ok(())
    }

    /// Reserves nothing more of slices until they are read again: a transaction may have taken effect unnoticed.
    pub(crate) fn distrust_slices(&self) {
        if let Some(shared) = self.0.shared.get() {
            shared.is_stale.store(true, Ordering::Release);
            drop(self.lock().begin_returns(shared.epoch(), |_, _| true));
        }
    }

    /// Reloads the slices of this node, after a transaction that may have taken effect.
    pub(super) async fn reload_slices(&self, database: &Database) -> Result<()> {
        let Some(shared) = self.0.shared.get() else {
            return Ok(());
        };
        let totals = {
            let mut read = database.read().await?;
            slice_table::of_epoch(&mut read, shared.epoch()).await?
        };
        let mut state = self.lock();
        totals.iter().for_each(|total| state.set_slice(total));
        Ok(())
    }
}

impl SharedSpend {
    /// Asks the database for an amount: within both limits at once. Returns the slice afterwards, or the refusal.
    ///
    /// # Errors
    /// 503: the database does not respond.
    async fn ask_database(
        &self,
        request: &SpendRequest<'_>,
        ask: SliceAsk,
        epoch: i64,
    ) -> base::Result<base::Result<SliceTotal>> {
        let asked = self.try_ask_database(request, ask, epoch).await;
        asked.map_err(|error| {
            tracing::error!(%error, "spend slice could not be asked for");
            unavailable()
        })
    }

    async fn try_ask_database(
        &self,
        request: &SpendRequest<'_>,
        ask: SliceAsk,
        epoch: i64,
    ) -> Result<base::Result<SliceTotal>> {
        let (organization, project) = (request.organization.0, request.project.0);
        let month = Month::of(request.at);
        let key = SliceKey {
            month: month.start,
            organization_id: organization.clone(),
            project_id: project.clone(),
            epoch,
        };
        let mut transaction = self.database.begin().await?;
        lock_limits(&mut transaction, organization).await?;
        let accounts = LimitAccounts::read(&mut transaction, month, organization, project).await?;
        let granted = match accounts.grant(request, ask, month) {
            Ok(amount) => Ok(slice_table::add(&mut transaction, &key, amount).await?),
            Err(refusal) => {
                slice_table::note_refusal(&mut transaction, &key, request.at).await?;
                Err(refusal)
            }
        };
        transaction.commit().await?;
        Ok(granted)
    }
}

impl LastRefusal {
    fn new(request: &SpendRequest<'_>, ask: SliceAsk, error: Error) -> Self {
        Self {
            since: Stopwatch::start(),
            project_id: request.project.0.clone(),
            need: ask.need,
            error,
        }
    }

    /// True if the database would refuse this request, too, if nothing has changed since.
    fn repeats(&self, request: &SpendRequest<'_>, ask: SliceAsk) -> bool {
        self.since.elapsed() < REFUSAL_INTERVAL
            && self.project_id == *request.project.0
            && ask.need >= self.need
    }
}

/// Returns the error of a request whose limits cannot be checked.
fn unavailable() -> Error {
    Error::overloaded(
        "The spend limit could not be checked. Try again in a second.",
        1,
    )
}
