//! Usage by bucket: widths, groups, filters, pages.

use std::collections::BTreeMap;

use base::UnixTime;
use base::ids::OrganizationId;
use store::{Database, Result, Statement, Sum, Sums, Value, sql};

use crate::columns::{Key, key_column, key_of};
pub use crate::cover::{Bucket, Buckets, Width};
use crate::cover::{Page, Segment, cover};
use crate::rollup::{USAGE_WIDTHS, usage_table};
use crate::{Dimension, Kind, Metric, Quantities};

/// What is asked of a usage report.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// Whose usage.
    pub organization_id: OrganizationId,
    /// Which report.
    pub kind: Kind,
    /// The first second that counts.
    pub start: UnixTime,
    /// The second after the last one that counts.
    pub end: UnixTime,
    /// How long a bucket is.
    pub width: Width,
    /// How many buckets at the most; less than 1 counts as 1.
    pub limit: i64,
    /// What to group by; empty gives one result per bucket.
    pub group_by: Vec<Dimension>,
    /// For each dimension given, the values that count.
    pub filters: Vec<(Dimension, Vec<String>)>,
    /// Whether only batches, or only what was not in a batch, counts.
    pub batch: Option<bool>,
}

/// What one group consumed in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageResult {
    /// The dimensions grouped by, in the query's order, and this group's values; `batch` is `true` or `false`.
    pub dimensions: Vec<(Dimension, Option<String>)>,
    /// How much.
    pub quantities: Quantities,
}

/// Answers a usage report.
///
/// Whole buckets come from the rollup of the query's width, the clipped ones at its ends from finer rollups and at last
/// from the ledger itself.
///
/// # Errors
/// What the database said.
pub async fn usage(database: &Database, query: &UsageQuery) -> Result<Buckets<UsageResult>> {
    let page = Page::new(query.start, query.end, query.width, query.limit);
    let widths = USAGE_WIDTHS.iter().filter(|width| **width <= query.width);
    let widths: Vec<_> = widths.copied().collect();
    let mut sums: BTreeMap<Key, Quantities> = BTreeMap::new();
    let mut read = database.read().await?;
    for segment in cover(page.start, page.end, &widths) {
        let bucket = page.bucket_of(segment);
        let (back, groups) = read.sum_aside(sums_of(query, segment, bucket)).await?;
        read = back;
        for mut group in groups {
            let sum = sums.entry(key_of(&mut group, bucket)).or_default();
            sum.add(&quantities(query.kind, &group));
        }
    }
    let something = |sum: &Quantities| Metric::ALL.iter().any(|metric| sum.or_zero(*metric) != 0);
    let sums = sums.into_iter().filter(|(_, sum)| something(sum));
    Ok(page.fill(sums.map(|((bucket, values), quantities)| {
        let dimensions = query.group_by.iter().copied().zip(values).collect();
        let result = UsageResult {
            dimensions,
            quantities,
        };
        (bucket, result)
    })))
}

/// What a report has numbers for.
fn metrics(kind: Kind) -> impl Iterator<Item = Metric> {
    let all = [kind.required_metrics(), kind.optional_metrics()];
    all.into_iter().flatten().copied()
}

fn quantities(kind: Kind, sum: &Sum) -> Quantities {
    let mut quantities = Quantities::default();
    for (metric, amount) in metrics(kind).zip(&sum.columns) {
        if let Some(amount) = amount {
            quantities.set(metric, *amount);
        }
    }
    quantities
}

fn sums_of(query: &UsageQuery, segment: Segment, bucket: Option<UnixTime>) -> Sums {
    let mut rows = sql!(" FROM ");
    rows.push(segment.source.map_or("usage_events", usage_table));
    push_range(&mut rows, &query.organization_id, segment);
    rows.push(" AND s.kind = ").bind(query.kind.as_str());
    if let Some(batch) = query.batch {
        rows.push(" AND s.batch = ").bind(batch);
    }
    for (dimension, values) in &query.filters {
        push_filter(&mut rows, *dimension, values);
    }
    let keys = bucket.is_none().then_some("bucket").into_iter();
    Sums {
        keys: keys
            .chain(query.group_by.iter().copied().map(key_column))
            .collect(),
        columns: metrics(query.kind).map(Metric::as_str).collect(),
        rows,
    }
}

/// Joins the rows of a table named before, `r`, with their dimensions, `s`: those of an organization in a segment. A
/// `CROSS JOIN`, because SQLite takes that in the order in which it is written: rows first, which are in the order of
/// their time.
pub(crate) fn push_range(
    select: &mut Statement,
    organization_id: &OrganizationId,
    segment: Segment,
) {
    select.push(" r CROSS JOIN usage_series s WHERE s.id = r.series_id AND s.organization_id = ");
    select.bind(organization_id);
    let time = if segment.source.is_some() {
        "r.bucket"
    } else {
        select
            .push(" AND r.organization_id = ")
            .bind(organization_id);
        "r.timestamp"
    };
    select
        .push(" AND ")
        .push(time)
        .push(" >= ")
        .bind(segment.start);
    select
        .push(" AND ")
        .push(time)
        .push(" < ")
        .bind(segment.end);
}

/// Leaves only rows with one of these values. No row has the empty one, which stands for none.
pub(crate) fn push_filter(select: &mut Statement, dimension: Dimension, values: &[String]) {
    select.push(" AND s.").push(dimension.as_str()).push(" IN ");
    let values = values.iter().filter(|value| !value.is_empty());
    let value = |value: &String| match dimension {
        Dimension::Batch => Value::Boolean(value == "true"),
        _ => Value::Text(value.clone()),
    };
    select.bind_list(values.map(value));
}
