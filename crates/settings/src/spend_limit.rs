//! Spend limits.

use base::{EventType, NanoDollars};
use store::{Result, Row, Value};

use crate::setting::row_sql;
use crate::{DeletableSetting, RowSetting, RowSql, ScopeSettings};

/// Spend of a calendar month at which requests are refused. Without a row, spend is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendLimit {
    /// Limit in US cents.
    pub cents: i64,
}

impl RowSetting for SpendLimit {
    const SQL: RowSql = row_sql!("spend_limits" { "threshold_amount" = "$3" });
    const UPDATED: EventType = EventType::SpendLimitUpdated;
    const EVENTS: &'static [EventType] = &[Self::UPDATED, Self::DELETED];

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            cents: row.get("threshold_amount")?,
        })
    }

    fn values(&self) -> Vec<Value> {
        vec![self.cents.into()]
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.spend_limit = Some(NanoDollars::from_cents(self.cents));
    }
}

impl DeletableSetting for SpendLimit {
    const NOUN: &'static str = "A spend limit";
    const DELETED: EventType = EventType::SpendLimitDeleted;
}
