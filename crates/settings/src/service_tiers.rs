//! Service tiers.

use base::{EventType, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Result, Row, Value};

use crate::setting::row_sql;
use crate::{RowSetting, RowSql, ScopeSettings};

/// Tier of requests that leave `service_tier` out or say `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum DefaultTier {
    #[default]
    Standard,
    Fast,
    Scale,
}

names! { DefaultTier {
    Standard = "standard",
    Fast = "fast",
    Scale = "scale",
}}

/// A tier that a project may have beside the standard one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum OptionalTier {
    Flex,
    Fast,
    Ultrafast,
}

names! { OptionalTier {
    Flex = "flex",
    Fast = "fast",
    Ultrafast = "ultrafast",
}}

/// Service tiers of a project. The default, without a row, is every tier, and the standard one for requests that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTiers {
    /// Tier of requests that name none.
    pub default: DefaultTier,
    /// Tiers that are enabled beside the standard one, in the order in which they were given; all of them if absent.
    pub enabled: Option<Vec<OptionalTier>>,
}

impl ServiceTiers {
    /// Returns true if `tier` is enabled.
    #[must_use]
    pub fn contains(&self, tier: OptionalTier) -> bool {
        let enabled = self.enabled.as_ref();
        enabled.is_none_or(|enabled| enabled.contains(&tier))
    }
}

/// The stored list of a project that has every tier.
const ALL_TIERS: &str = "all";

impl RowSetting for ServiceTiers {
    const SQL: RowSql =
        row_sql!("service_tier_settings" { "default_tier" = "$3", "enabled_tiers" = "$4" });
    const UPDATED: EventType = EventType::ServiceTierSettingsUpdated;

    fn read(row: &Row<'_>) -> Result<Self> {
        let enabled = |tiers: &str| match tiers {
            ALL_TIERS => Some(None),
            list => serde_json::from_str(list).ok().map(Some),
        };
        Ok(Self {
            default: row.word("default_tier", DefaultTier::parse)?,
            enabled: row.word("enabled_tiers", enabled)?,
        })
    }

    fn values(&self) -> Vec<Value> {
        let enabled = self.enabled.as_ref().map_or(ALL_TIERS.to_owned(), |tiers| {
            let names: Vec<&str> = tiers.iter().map(|tier| tier.as_str()).collect();
            serde_json::Value::from(names).to_string()
        });
        vec![self.default.as_str().into(), enabled.into()]
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.service_tiers = self;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_is_enabled_unless_a_list_leaves_it_out() {
        let mut tiers = ServiceTiers::default();
        assert!(OptionalTier::ALL.iter().all(|tier| tiers.contains(*tier)));
        tiers.enabled = Some(vec![OptionalTier::Flex]);
        assert!(tiers.contains(OptionalTier::Flex) && !tiers.contains(OptionalTier::Fast));
        tiers.enabled = Some(Vec::new());
        assert!(!OptionalTier::ALL.iter().any(|tier| tiers.contains(*tier)));
    }
}
