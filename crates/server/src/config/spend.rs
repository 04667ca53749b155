//! `[spend]`: what a spend limit does with models without a price.

use ::gateway::UnpricedModels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spend limits. A project is under a spend limit if it, or its organization, has one.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendTable {
    /// `refuse`: a request under a spend limit to a model without a price is refused with 403; `allow`: it is served and costs 0.
    /// Without a spend limit such a request is always served.
    #[serde(default)]
    unpriced: UnpricedName,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum UnpricedName {
    #[default]
    Refuse,
    Allow,
}

impl SpendTable {
    pub(super) fn unpriced(&self) -> UnpricedModels {
        match self.unpriced {
            UnpricedName::Refuse => UnpricedModels::Refuse,
            UnpricedName::Allow => UnpricedModels::Allow,
        }
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(unpriced: UnpricedModels) -> Self {
        Self {
            unpriced: match unpriced {
                UnpricedModels::Refuse => UnpricedName::Refuse,
                UnpricedModels::Allow => UnpricedName::Allow,
            },
        }
    }
}
