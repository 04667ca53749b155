//! Usage by bucket: widths, groups, filters, pages.

use base::UnixTime;
use base::ids::OrganizationId;
use store::Result;

use super::question::Question;
use super::{Numbers, Part, Report, Reports};
use crate::cover::Page;
use crate::series::About;
use crate::{Buckets, Dimension, Kind, Metric, Quantities, Width};

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

impl Reports {
    /// Answers a usage report. Its columns are [`columns`] of its kind.
    #[must_use]
    pub fn usage(&self, query: &UsageQuery) -> Report {
        let batch = query
            .batch
            .map(|batch| (Dimension::Batch, vec![batch.to_string()]));
        let question = Question {
            organization: query.organization_id.clone(),
            about: About::Usage(query.kind),
            group_by: query.group_by.clone(),
            filters: query.filters.iter().cloned().chain(batch).collect(),
            columns: columns(query.kind).map(|metric| metric as usize).collect(),
        };
        let page = Page::new(query.start, query.end, query.width, query.limit);
        self.report(question, page, query.width)
    }
}

/// What a report has numbers for, in the order of the columns of a [`Part`].
pub fn columns(kind: Kind) -> impl Iterator<Item = Metric> {
    let all = [kind.required_metrics(), kind.optional_metrics()];
    all.into_iter().flatten().copied()
}

/// Answers a usage report as a whole.
///
/// # Errors
/// What the database said.
pub async fn usage(reports: &Reports, query: &UsageQuery) -> Result<Buckets<UsageResult>> {
    let result = |part: &Part, group: usize, numbers: Numbers<'_>| {
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
