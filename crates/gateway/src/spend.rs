//! Spend limits: the most that a request may cost is set aside before it is forwarded.

use base::{NanoDollars, Result, UnixTime};
use usage::{Ask, Hold, Kind};

use crate::Shared;
use crate::dialect::Call;
use crate::identify::Caller;
use crate::upstreams::Route;

impl Shared {
    /// Sets aside what the request may cost at the dearest model of its plan; nothing where no limit is set.
    ///
    /// # Errors
    /// 429: the organization, or the project, has not so much left.
    pub(crate) fn within_spend(
        &self,
        caller: &Caller,
        kind: Kind,
        call: &Call,
        plan: &[Route],
        at: UnixTime,
    ) -> Result<Option<Hold>> {
        self.hold(caller, at, || {
            let most = call.demand.most(kind);
            let prices = plan
                .iter()
                .map(|route| self.prices.most(&route.model, at, &most));
            prices.max().unwrap_or_default()
        })
    }

    /// Sets aside what may be spent; nothing where no limit is set.
    ///
    /// # Errors
    /// 429: as above.
    pub(crate) fn hold(
        &self,
        caller: &Caller,
        at: UnixTime,
        most: impl FnOnce() -> NanoDollars,
    ) -> Result<Option<Hold>> {
        let of_organization = caller.settings.organization.spend_limit;
        let of_project = caller.level().spend_limit;
        if of_organization.or(of_project).is_none() {
            return Ok(None);
        }
        self.spend.hold(&Ask {
            organization: (&caller.key.organization.id, of_organization),
            project: (&caller.project.id, of_project),
            at,
            most: most(),
        })
    }
}
