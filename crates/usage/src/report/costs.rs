//! Costs by UTC day: groups, filters, pages.

use base::ids::OrganizationId;
use base::{NanoDollars, UnixTime};
use store::Result;

use super::question::Question;
use super::{Numbers, Part, Report, Reports};
use crate::cover::Page;
use crate::series::About;
use crate::sums::{AMOUNT, QUANTITY};
use crate::{Buckets, Dimension, LineItem, Width};

/// Something that costs are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum CostDimension {
    ProjectId,
    UserId,
    ApiKeyId,
    LineItem,
}

/// What is asked of the costs report. Its buckets are UTC days.
#[derive(Clone, Debug)]
pub struct CostQuery {
    /// Whose costs.
    pub organization_id: OrganizationId,
    /// The first second that counts.
    pub start: UnixTime,
    /// The second after the last one that counts.
    pub end: UnixTime,
    /// How many buckets at the most; less than 1 counts as 1.
    pub limit: i64,
    /// What to group by; empty gives one result per bucket.
    pub group_by: Vec<CostDimension>,
    /// The projects that count; empty for all.
    pub project_ids: Vec<String>,
    /// The keys that count; empty for all.
    pub api_key_ids: Vec<String>,
    /// The line items that count; empty for all.
    pub line_items: Vec<String>,
}

/// What one group cost in one day. Dimensions that were not grouped by are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub struct CostResult {
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    pub api_key_id: Option<String>,
    pub line_item: Option<String>,
    /// What it cost.
    pub amount: NanoDollars,
    /// How much of the line item, when grouped by it.
    pub quantity: Option<i64>,
    /// What `quantity` counts, when grouped by line item and the contract has a word for it.
    pub unit: Option<String>,
}

impl CostDimension {
    /// The dimension of the series of costs that it is.
    fn of_series(self) -> Dimension {
        match self {
            Self::ProjectId => Dimension::ProjectId,
            Self::UserId => Dimension::UserId,
            Self::ApiKeyId => Dimension::ApiKeyId,
            Self::LineItem => Dimension::Model,
        }
    }
}

impl Reports {
    /// Answers the costs report. Its columns are the quantity and the nano-dollars.
    #[must_use]
    pub fn costs(&self, query: &CostQuery) -> Report {
        let filters = [
            (Dimension::ProjectId, &query.project_ids),
            (Dimension::ApiKeyId, &query.api_key_ids),
            (Dimension::Model, &query.line_items),
        ];
        let given = filters.into_iter().filter(|(_, values)| !values.is_empty());
        let question = Question {
            organization: query.organization_id.clone(),
            about: About::Costs,
            group_by: query.group_by.iter().map(|by| by.of_series()).collect(),
            filters: given.map(|(by, values)| (by, values.clone())).collect(),
            columns: vec![QUANTITY, AMOUNT],
        };
        let page = Page::new(query.start, query.end, Width::Day, query.limit);
        self.report(question, page, Width::Day)
    }
}

/// Answers the costs report as a whole.
///
/// # Errors
/// What the database said.
pub async fn costs(reports: &Reports, query: &CostQuery) -> Result<Buckets<CostResult>> {
    let result = |part: &Part, group: usize, numbers: Numbers<'_>| {
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
