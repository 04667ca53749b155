//! Costs by UTC day: groups, filters, pages.

use std::collections::BTreeMap;

use base::ids::OrganizationId;
use base::{NanoDollars, UnixTime};
use store::{Database, Result, Row, Statement, sql};

use crate::columns::read_dimension;
use crate::cover::{Page, Segment, cover};
use crate::query::{Key, push_filter, push_range};
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
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    let mut read = database.read().await?;
    for segment in cover(page.start, page.end, COST_WIDTHS) {
        let bucket = page.bucket_of(segment);
        let reader = Reader {
            bucket,
            query: query.clone(),
        };
        let statement = select(query, segment);
        let (back, rows) = match segment.source {
            Some(_) => {
                read.fetch_all_aside(statement, move |row| reader.sum(row))
                    .await?
            }
            None => {
                read.fetch_all_aside(statement, move |row| reader.bill(row))
                    .await?
            }
        };
        read = back;
        for (key, sum) in rows.into_iter().flatten() {
            let total = sums.entry(key).or_default();
            total.quantity = total.quantity.saturating_add(sum.quantity);
            total.amount += sum.amount;
        }
    }
    Ok(page.fill(
        sums.into_iter()
            .map(|((bucket, values), sum)| (bucket, query.result(values, sum))),
    ))
}

#[derive(Clone, Copy, Default)]
struct Sum {
    quantity: i64,
    amount: NanoDollars,
}

impl CostQuery {
    fn groups_by_line_item(&self) -> bool {
        self.group_by.contains(&CostDimension::LineItem)
    }

    fn result(&self, values: Vec<Option<String>>, sum: Sum) -> CostResult {
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

/// Selects sums from a rollup, or bills from the ledger.
fn select(query: &CostQuery, segment: Segment) -> Statement {
    let columns = |select: &mut Statement| {
        for dimension in query.group_by.iter().filter_map(|by| by.of_usage()) {
            select.push(", s.").push(dimension.as_str());
        }
        if query.groups_by_line_item() && segment.source.is_some() {
            select.push(", r.line_item");
        }
    };
    let mut select = sql!("SELECT ");
    let table = match segment.source {
        None => {
            select.push("r.charges");
            "usage_events"
        }
        Some(width) => {
            select.push("r.bucket, CAST(SUM(r.quantity) AS BIGINT) AS quantity, ");
            select.push("CAST(SUM(r.amount) AS BIGINT) AS amount");
            cost_table(width)
        }
    };
    columns(&mut select);
    select.push(" FROM ").push(table);
    push_range(&mut select, &query.organization_id, segment);
    for (dimension, values) in [
        (Dimension::ProjectId, &query.project_ids),
        (Dimension::ApiKeyId, &query.api_key_ids),
    ] {
        if !values.is_empty() {
            push_filter(&mut select, dimension, values);
        }
    }
    if segment.source.is_some() {
        if !query.line_items.is_empty() {
            select.push(" AND r.line_item IN ");
            select.bind_list(query.line_items.iter().map(String::as_str));
        }
        select.push(" GROUP BY r.bucket");
        columns(&mut select);
    }
    select
}

/// Reads the rows of a segment.
struct Reader {
    /// The bucket that all of them lie in, where that is one.
    bucket: Option<UnixTime>,
    query: CostQuery,
}

impl Reader {
    /// A row of a rollup.
    fn sum(&self, row: &Row<'_>) -> Result<Vec<(Key, Sum)>> {
        let line_item = || row.get("line_item");
        let values = self.values(row, line_item)?;
        let bucket = self.bucket.map_or_else(|| row.time("bucket"), Ok)?;
        let sum = Sum {
            quantity: row.get("quantity")?,
            amount: NanoDollars(row.get("amount")?),
        };
        Ok(vec![((bucket, values), sum)])
    }

    /// A row of the ledger, whose bill may have several lines.
    fn bill(&self, row: &Row<'_>) -> Result<Vec<(Key, Sum)>> {
        let bucket = self.bucket.unwrap_or(UnixTime(0));
        let wanted = &self.query.line_items;
        let lines = read_lines(row)?.into_iter();
        let lines = lines.filter(|(item, ..)| wanted.is_empty() || wanted.contains(item));
        lines
            .map(|(item, quantity, amount)| {
                let values = self.values(row, || Ok(item.clone()))?;
                Ok(((bucket, values), Sum { quantity, amount }))
            })
            .collect()
    }

    fn values(
        &self,
        row: &Row<'_>,
        line_item: impl Fn() -> Result<String>,
    ) -> Result<Vec<Option<String>>> {
        let group_by = self.query.group_by.iter();
        group_by
            .map(|by| match by.of_usage() {
                Some(dimension) => read_dimension(row, dimension),
                None => line_item().map(Some),
            })
            .collect()
    }
}
