//! Spend limits: the maximum cost of a request is reserved before the request is forwarded.

use std::sync::Arc;

use base::ids::ProjectId;
use base::money::Factor;
use base::{Clock, Error, NanoDollars, Result, UnixTime};
use proxy::{Target, UpstreamBilling};
use usage::{Metric, ModelFacts, PriceBook, Quantities, Spend, SpendReservation, UsageKind};

use crate::caller::Caller;
use crate::dialect::{Call, CostBasis, Dialect, MaxUsage};

/// The requests of projects under a spend limit, or in an organization under one, for models without a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnpricedModels {
    /// Refused with 403: a limit could not hold.
    #[default]
    Refuse,
    /// Served, at no cost.
    Allow,
}

/// The stage that reserves the cost of a request within the spend limits of the caller's organization and project.
pub(crate) struct SpendBudget {
    pub(crate) spend: Spend,
    pub(crate) prices: PriceBook,
    pub(crate) facts: Arc<ModelFacts>,
    pub(crate) unpriced: UnpricedModels,
    pub(crate) clock: Clock,
}

impl SpendBudget {
    /// Reserves the maximum cost of a request at the most expensive model and upstream of its plan; `None` if no limit is
    /// set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has less left. 400: the maximum cost is unknown. 403: a model has no price.
    /// 503: limits are shared with other nodes, and the database does not respond.
    pub(crate) async fn reserve(
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
        let max_cost = self.max_cost(dialect, call, plan, at)?;
        let request = caller.spend_request(at, max_cost);
        self.spend.reserve(&request).await
    }

    /// Returns the maximum cost of a request at the most expensive model and upstream of its plan.
    ///
    /// # Errors
    /// 400: the maximum cost is unknown. 403: a model has no price.
    pub(crate) fn max_cost(
        &self,
        dialect: &Dialect,
        call: &Call,
        plan: &[Target],
        at: UnixTime,
    ) -> Result<NanoDollars> {
        let usage = call.max_usage(dialect)?;
        let mut max_cost = NanoDollars::default();
        for target in plan {
            self.check_priced(&target.model, dialect.kind, at)?;
            let uplift = target.billing().uplift;
            let basis = self.basis(dialect, &target.model, at, uplift);
            max_cost = max_cost.max(usage.max_cost(&basis)?);
        }
        Ok(max_cost)
    }

    /// Returns the maximum cost of a batch. `each` is the most that one of its requests may consume.
    ///
    /// # Errors
    /// 400: the maximum cost is unknown.
    pub(crate) fn max_batch_cost(
        &self,
        usage: &MaxUsage,
        each: &MaxUsage,
        (dialect, model): (&Dialect, &str),
        at: UnixTime,
        uplift: Factor,
    ) -> Result<NanoDollars> {
        usage.max_cost(&CostBasis {
            batch: Some(each),
            ..self.basis(dialect, model, at, uplift)
        })
    }

    fn basis<'a>(
        &'a self,
        dialect: &'a Dialect,
        model: &'a str,
        at: UnixTime,
        uplift: Factor,
    ) -> CostBasis<'a> {
        CostBasis {
            prices: &self.prices,
            facts: &self.facts,
            dialect,
            model,
            at,
            uplift,
            batch: None,
        }
    }

    /// Checks that a model has a price for what is asked of it, for a caller with a spend limit.
    ///
    /// # Errors
    /// 403: it has none, and such models are refused.
    pub(crate) fn check_priced(&self, model: &str, kind: UsageKind, at: UnixTime) -> Result<()> {
        if self.unpriced == UnpricedModels::Allow || self.prices.is_priced(model, at, kind) {
            return Ok(());
        }
        let kind = kind.as_str();
        let message = format!(
            "The model '{model}' has no price for {kind}, so that a spend limit could not hold. The operator can add a \
             [[price]] table for the model, or allow models without a price with unpriced = \"allow\" in [spend]."
        );
        Err(Error::forbidden("model_not_priced", message).about("model"))
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
            self.spend.reserve_locally(&ask)?;
        }
        Ok(())
    }
}

/// Returns the quantities of an event with what its upstream decides on its price: the uplift, and the cost that the
/// upstream has reported if that replaces prices.
pub(crate) fn with_billing(
    mut quantities: Quantities,
    billing: UpstreamBilling,
    cost: Option<NanoDollars>,
) -> Quantities {
    if billing.uplift != Factor::ONE {
        quantities.set(Metric::UpliftBillionths, billing.uplift.billionths());
    }
    if let Some(cost) = cost.filter(|_| billing.reports_cost) {
        quantities.set(Metric::ReportedCost, cost.0);
    }
    quantities
}
