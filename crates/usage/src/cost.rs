//! Costs by UTC day: groups, filters, pages.

use std::collections::BTreeMap;

use base::ids::OrganizationId;
use base::{NanoDollars, UnixTime};
use store::{Database, Result, Row, Statement, Sum, Sums, sql};

use crate::columns::{Key, key_column, key_of, read_dimension};
use crate::cover::{Page, Segment, cover};
use crate::query::{push_filter, push_range};
use crate::rollup::{COST_WIDTHS, cost_table, read_lines};
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

/// Answers the costs report. Whole days come from the rollup by day, the clipped ones at its ends from that by hour and
/// at last from the bills in the ledger.
///
/// # Errors
/// What the database said.
pub async fn costs(database: &Database, query: &CostQuery) -> Result<Buckets<CostResult>> {
    let page = Page::new(query.start, query.end, Width::Day, query.limit);
    let mut sums: BTreeMap<Key, Cost> = BTreeMap::new();
    let mut read = database.read().await?;
    for segment in cover(page.start, page.end, COST_WIDTHS) {
        let bucket = page.bucket_of(segment);
        let found: Vec<(Key, Cost)>;
        (read, found) = match (segment.source, bucket) {
            (None, Some(bucket)) => {
                let query = query.clone();
                let bills = bills_of(&query, segment);
                let bill = move |row: &Row<'_>| query.read_bill(row, bucket);
                let (read, bills) = read.fetch_all_aside(bills, bill).await?;
                (read, bills.into_iter().flatten().collect())
            }
            _ => {
                let (read, groups) = read.sum_aside(sums_of(query, segment, bucket)).await?;
                let cost = |mut group| (key_of(&mut group, bucket), Cost::of(&group));
                (read, groups.into_iter().map(cost).collect())
            }
        };
        for (key, cost) in found {
            let sum = sums.entry(key).or_default();
            sum.quantity = sum.quantity.saturating_add(cost.quantity);
            sum.amount += cost.amount;
        }
    }
    Ok(page.fill(
        sums.into_iter()
            .map(|((bucket, values), sum)| (bucket, query.result(values, sum))),
    ))
}

#[derive(Clone, Copy, Default)]
struct Cost {
    quantity: i64,
    amount: NanoDollars,
}

impl Cost {
    fn of(sum: &Sum) -> Self {
        let column = |index: usize| sum.columns.get(index).copied().flatten().unwrap_or(0);
        Self {
            quantity: column(0),
            amount: NanoDollars(column(1)),
        }
    }
}

impl CostQuery {
    fn groups_by_line_item(&self) -> bool {
        self.group_by.contains(&CostDimension::LineItem)
    }

    fn result(&self, values: Vec<Option<String>>, sum: Cost) -> CostResult {
        let mut result = CostResult {
            amount: sum.amount,
            quantity: self.groups_by_line_item().then_some(sum.quantity),
            ..CostResult::default()
        };
        for (dimension, value) in self.group_by.iter().zip(values) {
            match dimension {
                CostDimension::ProjectId => result.project_id = value,
                CostDimension::UserId => result.user_id = value,
                CostDimension::ApiKeyId => result.api_key_id = value,
                CostDimension::LineItem => {
                    let unit = value.as_deref().and_then(LineItem::unit_of);
                    result.unit = unit.map(str::to_owned);
                    result.line_item = value;
                }
            }
        }
        result
    }
}

impl CostDimension {
    /// The dimension of usage that it is; none for line items, which have a column of their own.
    fn of_usage(self) -> Option<Dimension> {
        match self {
            Self::ProjectId => Some(Dimension::ProjectId),
            Self::UserId => Some(Dimension::UserId),
            Self::ApiKeyId => Some(Dimension::ApiKeyId),
            Self::LineItem => None,
        }
    }
}

/// Selects sums from a rollup.
fn sums_of(query: &CostQuery, segment: Segment, bucket: Option<UnixTime>) -> Sums {
    let mut rows = sql!(" FROM ");
    rows.push(segment.source.map_or("cost_hours", cost_table));
    push_wanted(&mut rows, query, segment);
    if !query.line_items.is_empty() {
        rows.push(" AND r.line_item IN ");
        rows.bind_list(query.line_items.iter().map(String::as_str));
    }
    let column = |by: &CostDimension| by.of_usage().map_or("line_item", key_column);
    let keys = bucket.is_none().then_some("bucket").into_iter();
    Sums {
        keys: keys.chain(query.group_by.iter().map(column)).collect(),
        columns: vec!["quantity", "amount"],
        rows,
    }
}

/// Selects bills from the ledger.
fn bills_of(query: &CostQuery, segment: Segment) -> Statement {
    let mut select = sql!("SELECT r.charges");
    for dimension in query.group_by.iter().filter_map(|by| by.of_usage()) {
        select.push(", s.").push(dimension.as_str());
    }
    select.push(" FROM usage_events");
    push_wanted(&mut select, query, segment);
    select
}

fn push_wanted(rows: &mut Statement, query: &CostQuery, segment: Segment) {
    push_range(rows, &query.organization_id, segment);
    for (dimension, values) in [
        (Dimension::ProjectId, &query.project_ids),
        (Dimension::ApiKeyId, &query.api_key_ids),
    ] {
        if !values.is_empty() {
            push_filter(rows, dimension, values);
        }
    }
}

impl CostQuery {
    /// Reads the lines of a bill that are wanted.
    fn read_bill(&self, row: &Row<'_>, bucket: UnixTime) -> Result<Vec<(Key, Cost)>> {
        let wanted = &self.line_items;
        let lines = read_lines(row)?.into_iter();
        let lines = lines.filter(|(item, ..)| wanted.is_empty() || wanted.contains(item));
        lines
            .map(|(item, quantity, amount)| {
                let values = self.group_by.iter().map(|by| match by.of_usage() {
                    Some(dimension) => read_dimension(row, dimension),
                    None => Ok(Some(item.clone())),
                });
                let key = (bucket, values.collect::<Result<_>>()?);
                Ok((key, Cost { quantity, amount }))
            })
            .collect()
    }
}
