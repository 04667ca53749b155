//! Usage by bucket: widths, groups, filters, pages.

use base::UnixTime;
use base::ids::OrganizationId;
use store::{Database, Error};

pub use crate::cover::Width;
use crate::{Dimension, Kind, Quantities};

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

/// A page of buckets, oldest first, empty ones included.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets<T> {
    /// The buckets.
    pub buckets: Vec<Bucket<T>>,
    /// The start of the first bucket that is not here; `None` at the end.
    pub next: Option<UnixTime>,
}

/// A span of time and what was counted in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket<T> {
    /// The start, aligned to the width in UTC also where the query begins later.
    pub start: UnixTime,
    /// The start of the following bucket.
    pub end: UnixTime,
    /// One result for each group that has anything, in the order of the groups' values.
    pub results: Vec<T>,
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
/// # Errors
/// What the database said.
pub async fn usage(
    database: &Database,
    query: &UsageQuery,
) -> Result<Buckets<UsageResult>, Error> {
    let _ = (database, query);
    unimplemented!()
}
