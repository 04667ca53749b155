//! Reports of usage and costs, by bucket and group.
//!
//! Full buckets are read from the coarsest rollup that has the requested dimensions; partial buckets at the edges from
//! finer rollups, then the ledger. The answer is produced in parts of bounded size.

mod accumulator;
mod catalog;
mod costs;
mod id_set;
mod page;
mod query;
mod usage;

use std::sync::Arc;

use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use rollup::{Mask, Rollup, Segment, Width, segments};
use store::{Database, Error, Read, Result, Row, USAGE_EVENTS, sql};

pub use costs::{CostDimension, CostQuery, CostResult, costs};
pub use page::{Bucket, Buckets};
pub use usage::{UsageQuery, UsageResult, columns, usage};

use crate::ledger::{packed, partition};
use crate::rollups::{BlockRange, amounts_of, amounts_of_charge, select_blocks};
use crate::series::SeriesKind;
use accumulator::Accumulator;
use catalog::{OrganizationSeries, SeriesCatalog};
use page::Page;
use query::{Groups, ReportQuery};

/// The most numbers of a part, unless one bucket alone has more.
const MAX_CELLS: usize = 2_000_000;
/// The number of attempts to meet no unknown series. All but the first see the same state of the database: the second
/// knows the series of the first, the third those that were added in between, and the fourth the series of charges.
const MAX_ATTEMPTS_COUNT: usize = 5;

/// Produces reports. Clones share a cache of series.
#[derive(Clone)]
pub struct Reports {
    database: Database,
    catalog: SeriesCatalog,
}

/// A report that is produced part by part.
pub struct ReportStream {
    reports: Reports,
    query: Arc<ReportQuery>,
    page: Page,
    width: Width,
    /// The start of the next bucket to be produced.
    at: UnixTime,
}

/// Consecutive buckets of a report.
pub struct ReportPart {
    start: UnixTime,
    width: i64,
    buckets: usize,
    groups: Arc<Groups>,
    /// The groups that have any sums, ordered by their values.
    order: Vec<usize>,
    columns: usize,
    masks: Vec<Mask>,
    cells: Vec<i64>,
    shows_zero: bool,
}

/// The sums of one group in one bucket, in the order of the report's columns.
#[derive(Clone, Copy)]
pub struct GroupSums<'a> {
    mask: Mask,
    values: &'a [i64],
}

impl GroupSums<'_> {
    /// Returns the sum of a column; `None` if it was never reported.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<i64> {
        let is_there = self.mask & 1 << column != 0;
        is_there.then(|| self.values[column])
    }
}

impl ReportPart {
    /// Returns the number of groups that have sums in any of the buckets.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.order.len()
    }

    /// Returns the values of a group, in the order of the query's dimensions. `place` is the group's index in the order
    /// of values.
    #[must_use]
    pub fn group(&self, place: usize) -> &[Option<Arc<str>>] {
        &self.groups.values[self.order[place]]
    }

    /// Returns the first second of each bucket, and the second after its last.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (UnixTime, UnixTime)> {
        let start = |bucket: usize| {
            self.start
                .plus(self.width * i64::try_from(bucket).unwrap_or(0))
        };
        (0..self.buckets).map(move |bucket| (start(bucket), start(bucket + 1)))
    }

    /// Returns the groups of a bucket that have sums: the index of the group, and its sums.
    pub fn results(&self, bucket: usize) -> impl Iterator<Item = (usize, GroupSums<'_>)> {
        let first = bucket * self.groups.values.len();
        let numbers = move |(place, group): (usize, &usize)| {
            let sum = first + group;
            let values = &self.cells[sum * self.columns..][..self.columns];
            let mask = self.masks[sum];
            (place, GroupSums { mask, values })
        };
        let counts = |(_, numbers): &(usize, GroupSums<'_>)| {
            numbers.mask != 0 && (self.shows_zero || numbers.values.iter().any(|value| *value != 0))
        };
        self.order.iter().enumerate().map(numbers).filter(counts)
    }
}

impl Reports {
    /// Returns the reports of a database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            catalog: SeriesCatalog::default(),
        }
    }

    fn report(&self, query: ReportQuery, page: Page, width: Width) -> ReportStream {
        ReportStream {
            reports: self.clone(),
            query: Arc::new(query),
            at: page.start,
            page,
            width,
        }
    }
}

impl ReportStream {
    /// Returns the start of the bucket that the next page begins with; `None` after the last page.
    #[must_use]
    pub fn next_page(&self) -> Option<UnixTime> {
        self.page.next
    }

    /// Returns the next part; `None` at the end.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&mut self) -> Result<Option<ReportPart>> {
        if self.at >= self.page.end {
            return Ok(None);
        }
        let database = &self.reports.database;
        let mut read = database.read().await?;
        let catalog = &self.reports.catalog;
        let Some(known_series) = catalog.of(&mut read, &self.query.organization).await? else {
            let groups = Groups::none();
            let (segments, buckets) = self.window(0);
            let accumulator = self.accumulator(Arc::new(groups), segments, buckets);
            self.at = self.page.end;
            return Ok(Some(self.part(accumulator)));
        };
        for attempt in 0..MAX_ATTEMPTS_COUNT {
            let groups = groups(&self.query, &known_series).await?;
            let (segments, buckets) = self.window(groups.values.len());
            let mut accumulator = self.accumulator(groups, Arc::clone(&segments), buckets);
            (read, accumulator) = add_blocks(
                read,
                accumulator,
                &self.query,
                known_series.organization,
                &segments,
            )
            .await?;
            for edge in segments.iter().filter(|segment| segment.source.is_none()) {
                (read, accumulator) =
                    add_rows(read, accumulator, &self.query, &known_series, *edge).await?;
            }
            if accumulator.unknown.is_empty() {
                let end = segments.last().map_or(self.page.end, |last| last.end);
                self.at = end;
                return Ok(Some(self.part(accumulator)));
            }
            if attempt == 0 {
                drop(read);
                read = database.snapshot().await?;
            }
            let filter = self.query.filter();
            read = known_series
                .learn(read, &filter, accumulator.unknown)
                .await?;
        }
        Err(Error::Busy)
    }

    /// Returns the whole report, with results that `make` builds from a part, the index of a group in it, and the
    /// group's sums.
    async fn collect<T>(
        mut self,
        make: impl Fn(&ReportPart, usize, GroupSums<'_>) -> T,
    ) -> Result<Buckets<T>> {
        let mut buckets = Vec::new();
        while let Some(part) = self.next().await? {
            for (index, (start, end)) in part.buckets().enumerate() {
                let results = part.results(index);
                let results = results.map(|(group, numbers)| make(&part, group, numbers));
                let results = results.collect();
                buckets.push(Bucket {
                    start,
                    end,
                    results,
                });
            }
        }
        let next = self.page.next;
        Ok(Buckets { buckets, next })
    }

    /// Returns the segments of the next buckets, as many as fit in memory, and the number of buckets.
    fn window(&self, groups: usize) -> (Arc<[Segment]>, usize) {
        let seconds = self.width.seconds();
        let sums = MAX_CELLS / self.query.columns.len().max(1);
        let limit = (sums / groups.max(1)).max(1);
        let first = self.at.floor(seconds);
        let whole = seconds.saturating_mul(i64::try_from(limit).unwrap_or(i64::MAX));
        let end = self.page.end.min(first.plus(whole));
        let widths: &[Width] = match self.width {
            Width::Day => &[Width::Day, Width::Hour, Width::Minute],
            Width::Hour => &[Width::Hour, Width::Minute],
            Width::Minute => &[Width::Minute],
        };
        let buckets = (end.0 - first.0 + seconds - 1) / seconds;
        let segments = segments(self.at, end, widths).into();
        (segments, usize::try_from(buckets).unwrap_or(0))
    }

    fn accumulator(
        &self,
        groups: Arc<Groups>,
        segments: Arc<[Segment]>,
        buckets: usize,
    ) -> Accumulator {
        let seconds = self.width.seconds();
        let span = (self.at.floor(seconds), buckets, seconds);
        Accumulator::new(groups, segments, span, &self.query.columns)
    }

    fn part(&self, accumulator: Accumulator) -> ReportPart {
        accumulator.finish(self.query.kind == SeriesKind::Costs)
    }
}

/// Assigns series to groups, on a blocking thread, since there may be many.
async fn groups(
    query: &Arc<ReportQuery>,
    known_series: &Arc<OrganizationSeries>,
) -> Result<Arc<Groups>> {
    let (query, known_series) = (Arc::clone(query), Arc::clone(known_series));
    let groups = tokio::task::spawn_blocking(move || query.groups(&known_series.index()));
    Ok(Arc::new(groups.await.map_err(|_| Error::Busy)?))
}

/// Adds the sums of the segments that rollups answer for.
async fn add_blocks(
    read: Read,
    accumulator: Accumulator,
    query: &ReportQuery,
    organization: i64,
    segments: &[Segment],
) -> Result<(Read, Accumulator)> {
    let (granularity, has_costs) = (query.granularity(), query.kind == SeriesKind::Costs);
    let mut parts = Vec::new();
    let mut segment_of = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        if let Some(width) = segment.source {
            let rollup = Rollup::smallest(width, granularity, has_costs);
            parts.push(BlockRange {
                rollup,
                first_period: rollup.period(segment.start.0),
                last_period: rollup.period(segment.end.0 - 1),
            });
            segment_of.push(Some(index));
        }
    }
    if parts.is_empty() {
        return Ok((read, accumulator));
    }
    let new = Rollup::New.period(0);
    parts.push(BlockRange {
        rollup: Rollup::New,
        first_period: new,
        last_period: new,
    });
    segment_of.push(None);
    let add = move |accumulator: &mut Accumulator, row: &Row<'_>| {
        let part = usize::try_from(row.get::<i64>("part")?).unwrap_or_default();
        let data: Vec<u8> = row.get("data")?;
        accumulator.add_block(&data, segment_of[part])
    };
    read.fold_blocking(select_blocks(organization, &parts), accumulator, add)
        .await
}

/// Adds the rows of the ledger in a segment, which is shorter than a minute.
async fn add_rows(
    mut read: Read,
    accumulator: Accumulator,
    query: &ReportQuery,
    known_series: &Arc<OrganizationSeries>,
    segment: Segment,
) -> Result<(Read, Accumulator)> {
    if partition::days(&mut read, segment.start, segment.end)
        .await?
        .is_empty()
    {
        return Ok((read, accumulator));
    }
    let mut rows = sql!("SELECT series, timestamp, amounts FROM ");
    rows.push_partition(USAGE_EVENTS, segment.start.floor(SECONDS_PER_DAY));
    rows.push(" WHERE timestamp >= ").bind(segment.start);
    rows.push(" AND timestamp < ").bind(segment.end);
    rows.push(" AND organization = ")
        .bind(known_series.organization);
    let kind = query.kind;
    let known_series = Arc::clone(known_series);
    let add = move |accumulator: &mut Accumulator, row: &Row<'_>| {
        let (series, time): (i64, i64) = (row.get("series")?, row.get("timestamp")?);
        let (quantities, charges) = packed::read(row)?;
        match kind {
            SeriesKind::Usage(_) => accumulator.add_amounts(series, time, &amounts_of(&quantities)),
            SeriesKind::Costs => charges.iter().for_each(|charge| {
                let amounts = amounts_of_charge(charge);
                let index = known_series.index();
                let of_charge = index.charge(series, charge.name, &mut accumulator.unknown);
                if let Some(of_charge) = of_charge {
                    accumulator.add_amounts(of_charge, time, &amounts);
                }
            }),
        }
        Ok(())
    };
    read.fold_blocking(rows, accumulator, add).await
}
