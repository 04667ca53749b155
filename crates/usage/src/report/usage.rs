//! The usage reports.

use base::UnixTime;
use base::ids::OrganizationId;
use rollup::Width;
use store::Result;

use super::page::{Buckets, Page};
use super::query::ReportQuery;
use super::{GroupSums, ReportPart, ReportStream, Reports};
use crate::rollups::column_of;
use crate::series::SeriesKind;
use crate::{Dimension, Metric, Quantities, UsageKind};

/// A query of a usage report.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The kind of usage.
    pub kind: UsageKind,
    /// The first second.
    pub start: UnixTime,
    /// The second after the last.
    pub end: UnixTime,
    /// The width of a bucket.
    pub width: Width,
    /// The most buckets that are returned; less than 1 counts as 1.
    pub limit: i64,
    /// The dimensions to group by; empty for one result for each bucket.
    pub group_by: Vec<Dimension>,
    /// The values that count of each dimension given.
    pub filters: Vec<(Dimension, Vec<String>)>,
    /// Restricts the report to usage of batches, or to other usage.
    pub batch: Option<bool>,
}

/// The usage of a group in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageResult {
    /// The dimensions grouped by, in the query's order, with the values of the group; `batch` is `true` or `false`.
    pub dimensions: Vec<(Dimension, Option<String>)>,
    /// The quantities.
    pub quantities: Quantities,
}

impl Reports {
    /// Starts a usage report. Its columns are the [`columns`] of its kind.
    #[must_use]
    pub fn usage(&self, query: &UsageQuery) -> ReportStream {
        let batch = query
            .batch
            .map(|batch| (Dimension::Batch, vec![batch.to_string()]));
        let selection = ReportQuery {
            organization: query.organization_id.clone(),
            kind: SeriesKind::Usage(query.kind),
            group_by: query.group_by.clone(),
            filters: query.filters.iter().cloned().chain(batch).collect(),
            columns: columns(query.kind).map(column_of).collect(),
        };
        let page = Page::new(query.start, query.end, query.width, query.limit);
        self.report(selection, page, query.width)
    }
}

/// Returns the metrics of a report, in the order of the columns of a [`ReportPart`].
pub fn columns(kind: UsageKind) -> impl Iterator<Item = Metric> {
    let all = [kind.required_metrics(), kind.optional_metrics()];
    all.into_iter().flatten().copied()
}

/// Returns a whole usage report.
///
/// # Errors
/// The database failed.
pub async fn usage(reports: &Reports, query: &UsageQuery) -> Result<Buckets<UsageResult>> {
    let result = |part: &ReportPart, group: usize, numbers: GroupSums<'_>| {
        let values = part.group(group).iter();
        let values = values.map(|value| value.as_deref().map(str::to_owned));
        let mut quantities = Quantities::default();
        for (column, metric) in columns(query.kind).enumerate() {
            if let Some(amount) = numbers.get(column) {
                quantities.set(metric, amount);
            }
        }
        UsageResult {
            dimensions: query.group_by.iter().copied().zip(values).collect(),
            quantities,
        }
    };
    reports.usage(query).collect(result).await
}
