//! Spend limits.

use base::{EventType, NanoDollars};
use store::{Result, Row, Value};

use crate::setting::row_setting_sql;
use crate::{RowSetting, ScopeSettings, Setting};

/// Spend of a calendar month at which requests are refused. Without a row, spend is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendLimit {
    /// Limit in US cents.
    pub cents: i64,
}

impl Setting for SpendLimit {
    row_setting_sql! { SELECT_ALL "spend_limits" { "threshold_amount" = "$3" } }
    const EVENTS: &'static [EventType] =
        &[EventType::SpendLimitUpdated, EventType::SpendLimitDeleted];

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            cents: row.get("threshold_amount")?,
        })
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.spend_limit = Some(NanoDollars::from_cents(self.cents));
    }
}

impl RowSetting for SpendLimit {
    row_setting_sql! { ROW "spend_limits" { "threshold_amount" = "$3" } }

    fn values(&self) -> Vec<Value> {
        vec![self.cents.into()]
    }
}
