//! The costs report, by UTC day.

use base::ids::OrganizationId;
use base::{NanoDollars, UnixTime};
use rollup::Width;
use store::Result;

use super::page::{Buckets, Page};
use super::query::ReportQuery;
use super::{GroupSums, ReportPart, ReportStream, Reports};
use crate::rollups::{AMOUNT_ID, QUANTITY_ID};
use crate::series::SeriesKind;
use crate::{Dimension, LineItem};

/// A dimension by which costs are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum CostDimension {
    ProjectId,
    UserId,
    ApiKeyId,
    LineItem,
    ApiSource,
}

/// A query of the costs report. Buckets are UTC days.
#[derive(Clone, Debug)]
pub struct CostQuery {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The first second.
    pub start: UnixTime,
    /// The second after the last.
    pub end: UnixTime,
    /// The most buckets that are returned; less than 1 counts as 1.
    pub limit: i64,
    /// The dimensions to group by; empty for one result for each bucket.
    pub group_by: Vec<CostDimension>,
    /// The projects that count; empty for all.
    pub project_ids: Vec<String>,
    /// The users that count; empty for all.
    pub user_ids: Vec<String>,
    /// The keys that count; empty for all.
    pub api_key_ids: Vec<String>,
    /// The line items that count; empty for all.
    pub line_items: Vec<String>,
}

/// The cost of a group on one day. Dimensions that were not grouped by are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub struct CostResult {
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    pub api_key_id: Option<String>,
    pub line_item: Option<String>,
    pub api_source: Option<String>,
    /// The amount.
    pub amount: NanoDollars,
    /// The quantity of the line item, if grouped by it.
    pub quantity: Option<i64>,
    /// The unit of `quantity`, if grouped by line item and the contract names one.
    pub unit: Option<String>,
}

impl CostDimension {
    /// Returns the dimension that the series of costs have for it.
    fn of_series(self) -> Dimension {
        match self {
            Self::ProjectId => Dimension::ProjectId,
            Self::UserId => Dimension::UserId,
            Self::ApiKeyId => Dimension::ApiKeyId,
            Self::LineItem => Dimension::Model,
            Self::ApiSource => Dimension::ApiSource,
        }
    }
}

impl Reports {
    /// Starts the costs report. Its columns are the quantity and the amount in nano-dollars.
    #[must_use]
    pub fn costs(&self, query: &CostQuery) -> ReportStream {
        let filters = [
            (Dimension::ProjectId, &query.project_ids),
            (Dimension::UserId, &query.user_ids),
            (Dimension::ApiKeyId, &query.api_key_ids),
            (Dimension::Model, &query.line_items),
        ];
        let given = filters.into_iter().filter(|(_, values)| !values.is_empty());
        let selection = ReportQuery {
            organization: query.organization_id.clone(),
            kind: SeriesKind::Costs,
            group_by: query.group_by.iter().map(|by| by.of_series()).collect(),
            filters: given.map(|(by, values)| (by, values.clone())).collect(),
            columns: vec![QUANTITY_ID, AMOUNT_ID],
        };
        let page = Page::new(query.start, query.end, Width::Day, query.limit);
        self.report(selection, page, Width::Day)
    }
}

/// Returns the whole costs report.
///
/// # Errors
/// The database failed.
pub async fn costs(reports: &Reports, query: &CostQuery) -> Result<Buckets<CostResult>> {
    let result = |part: &ReportPart, group: usize, numbers: GroupSums<'_>| {
        let mut result = CostResult {
            amount: NanoDollars(numbers.get(1).unwrap_or(0)),
            ..CostResult::default()
        };
        let values = part.group(group);
        for (by, value) in query.group_by.iter().zip(values) {
            let value = value.as_deref().map(str::to_owned);
            match by {
                CostDimension::ProjectId => result.project_id = value,
                CostDimension::UserId => result.user_id = value,
                CostDimension::ApiKeyId => result.api_key_id = value,
                CostDimension::ApiSource => result.api_source = value,
                CostDimension::LineItem => {
                    result.quantity = Some(numbers.get(0).unwrap_or(0));
                    let unit = value.as_deref().and_then(LineItem::unit_of);
                    result.unit = unit.map(str::to_owned);
                    result.line_item = value;
                }
            }
        }
        result
    };
    reports.costs(query).collect(result).await
}
