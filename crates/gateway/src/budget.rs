//! Spend limits: the maximum cost of a request is reserved before the request is forwarded.

use std::sync::Arc;

use base::ids::ProjectId;
use base::{Clock, NanoDollars, Result, UnixTime};
use proxy::Target;
use usage::{ModelFacts, PriceBook, Spend, SpendReservation};

use crate::caller::Caller;
use crate::dialect::{Call, Dialect};

/// The stage that reserves the cost of a request within the spend limits of the caller's organization and project.
pub(crate) struct SpendBudget {
    pub(crate) spend: Spend,
    pub(crate) prices: PriceBook,
    pub(crate) facts: Arc<ModelFacts>,
    pub(crate) clock: Clock,
}

impl SpendBudget {
    /// Reserves the maximum cost of a request at the most expensive model of its plan; `None` if no limit is set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has less left. 400: the maximum cost is unknown.
    pub(crate) fn reserve(
        &self,
        caller: &Caller,
        dialect: &Dialect,
        call: &Call,
        plan: &[Target],
        at: UnixTime,
    ) -> Result<Option<SpendReservation>> {
        if !caller.has_spend_limit() {
            return Ok(None);
        }
        let usage = call.max_usage(dialect)?;
        let mut max_cost = NanoDollars::default();
        for target in plan {
            let books = (&self.prices, &*self.facts);
            let cost = usage.max_cost(books, dialect, &target.model, at, false)?;
            max_cost = max_cost.max(cost);
        }
        self.spend.reserve(&caller.spend_request(at, max_cost))
    }

    /// Checks that no spend limit is reached.
    ///
    /// # Errors
    /// 429: names the limit.
    pub(crate) fn check_not_reached(&self, caller: &Caller) -> Result<()> {
        let organization = &caller.key.organization.id;
        let is_reached = |limit: Option<NanoDollars>, project: Option<&ProjectId>| {
            limit.is_some_and(|limit| self.spend.month_to_date(organization, project) >= limit)
        };
        let of_organization = caller.settings.organization.spend_limit;
        let of_project = caller.level.spend_limit;
        if is_reached(of_organization, None) || is_reached(of_project, Some(&caller.project.id)) {
            // The error names the limit.
            let ask = caller.spend_request(self.clock.now(), NanoDollars::default());
            self.spend.reserve(&ask)?;
        }
        Ok(())
    }
}
