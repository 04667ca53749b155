//! Spend limits: the most that a request may cost is set aside before it is forwarded.

use base::{NanoDollars, Result, UnixTime};
use usage::{SpendRequest, SpendReservation};

use crate::Shared;
use crate::dialect::{Call, Dialect};
use crate::identify::Caller;
use crate::upstreams::Route;

impl Shared {
    /// Sets aside what the request may cost at the dearest model of its plan; nothing where no limit is set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has not so much left. 400: what it may cost is not known.
    pub(crate) fn within_spend(
        &self,
        caller: &Caller,
        dialect: &Dialect,
        call: &Call,
        plan: &[Route],
        at: UnixTime,
    ) -> Result<Option<SpendReservation>> {
        self.hold(caller, at, || {
            let most = call.max_usage(dialect)?;
            let mut dearest = NanoDollars::default();
            for route in plan {
                let books = (&self.prices, &self.facts);
                let cost = most.cost(books, dialect, &route.model, at, false)?;
                dearest = dearest.max(cost);
            }
            Ok(dearest)
        })
    }

    /// Sets aside what may be spent; nothing where no limit is set.
    ///
    /// # Errors
    /// 429: as above. What `most` says.
    pub(crate) fn hold(
        &self,
        caller: &Caller,
        at: UnixTime,
        most: impl FnOnce() -> Result<NanoDollars>,
    ) -> Result<Option<SpendReservation>> {
        let of_organization = caller.settings.organization.spend_limit;
        let of_project = caller.level().spend_limit;
        if of_organization.or(of_project).is_none() {
            return Ok(None);
        }
        self.spend.reserve(&SpendRequest {
            organization: (&caller.key.organization.id, of_organization),
            project: (&caller.project.id, of_project),
            at,
            max_cost: most()?,
        })
    }
}
