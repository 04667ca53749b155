//! Costs by UTC day: groups, filters, pages.

use base::ids::OrganizationId;
use base::{NanoDollars, UnixTime};
use store::{Database, Error};

use crate::query::Buckets;

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

/// Answers the costs report.
///
/// # Errors
/// What the database said.
pub async fn costs(
    database: &Database,
    query: &CostQuery,
) -> Result<Buckets<CostResult>, Error> {
    let _ = (database, query);
    unimplemented!()
}
