//! The facts by which a response is metered that an upstream makes in the background.

use std::collections::BTreeSet;

use base::ids::SpendReservationId;
use base::money::Factor;
use proxy::UpstreamBilling;
use serde::{Deserialize, Serialize};

use crate::dialect::{Estimate, ToolVariants};

/// A request whose response is made in the background, as it is stored with the response. The names of the fields stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackgroundWork {
    /// Id of the request, which is that of its row in the ledger.
    pub(crate) request: String,
    /// Upstream's name of the model.
    pub(crate) model: String,
    /// Factor of the upstream on prices, in billionths.
    pub(crate) uplift_billionths: i64,
    /// True if the cost that the response reports replaces the prices.
    pub(crate) reports_cost: bool,
    /// Counted tokens of the input, for a response that does not report them.
    pub(crate) input_tokens: i64,
    /// Containers that the request names and whose sessions are in the ledger already.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) known_containers: BTreeSet<String>,
    /// Variants of the hosted tools of the request.
    #[serde(default)]
    pub(crate) tool_variants: ToolVariants,
    /// Time of the admission, in seconds since 1970: that of the row in the ledger.
    pub(crate) admitted_at: i64,
    /// Spend reservation for the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reservation: Option<SpendReservationId>,
}

impl BackgroundWork {
    /// Returns the JSON that is stored.
    pub(crate) fn to_text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads the stored JSON; `None` if there is none.
    pub(crate) fn of_text(text: Option<&str>) -> Option<Self> {
        serde_json::from_str(text?).ok()
    }

    /// Returns the effect of the upstream on prices.
    pub(crate) fn billing(&self) -> UpstreamBilling {
        UpstreamBilling {
            uplift: Factor::of_billionths(self.uplift_billionths),
            reports_cost: self.reports_cost,
        }
    }

    /// Returns the estimate for a response that does not report its usage.
    pub(crate) fn estimate(&self) -> Estimate {
        let mut estimate = Estimate::of_input(self.input_tokens);
        estimate.known_containers.clone_from(&self.known_containers);
        estimate.tool_variants.clone_from(&self.tool_variants);
        estimate
    }
}
