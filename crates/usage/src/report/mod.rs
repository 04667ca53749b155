//! Reports: what was consumed, or what it cost, by bucket and group.
//!
//! Whole buckets come from the sums of their width that tell no more apart than is asked for; what is clipped at the ends
//! from finer ones, and at last from the ledger itself. An answer comes in parts of bounded size, whatever is asked.

mod catalog;
mod costs;
mod question;
mod sheet;
mod usage;

use std::sync::Arc;

use base::UnixTime;
use base::time::DAY;
use store::{Database, Error, Read, Result, Row, USAGE_EVENTS, sql};

pub use costs::{CostDimension, CostQuery, CostResult, costs};
pub use usage::{UsageQuery, UsageResult, columns, usage};

use crate::cover::{Page, Segment, cover};
use crate::ledger::{packed, partition};
use crate::series::About;
use crate::sums::{Amounts, Block, Mask, Shape, blocks};
use crate::{Bucket, Buckets, Charge, Width};
use catalog::{Catalog, Names};
use question::{Groups, Question};
use sheet::Sheet;

/// How many numbers a part has in memory at the most, unless one bucket alone has more.
const MOST_CELLS: usize = 2_000_000;
/// How often is looked again for series that came meanwhile.
const MOST_TRIES: usize = 5;

/// Answers reports. Clones share what they know.
#[derive(Clone)]
pub struct Reports {
    database: Database,
    catalog: Catalog,
}

/// An answer that is being made.
pub struct Report {
    reports: Reports,
    question: Arc<Question>,
    page: Page,
    width: Width,
    /// The first second of the next bucket.
    at: UnixTime,
}

/// Some consecutive buckets of an answer.
pub struct Part {
    start: UnixTime,
    width: i64,
    buckets: usize,
    groups: Arc<Groups>,
    /// The groups that have anything, in the order of their values.
    order: Vec<usize>,
    columns: usize,
    masks: Vec<Mask>,
    cells: Vec<i64>,
    shows_zero: bool,
}

/// The sums of one group in one bucket, in the order of the report's columns.
#[derive(Clone, Copy)]
pub struct Numbers<'a> {
    mask: Mask,
    values: &'a [i64],
}

impl Numbers<'_> {
    /// The number of a column; none when it was never reported.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<i64> {
        let is_there = self.mask & 1 << column != 0;
        is_there.then(|| self.values[column])
    }
}

impl Part {
    /// How many groups have anything in any of the buckets.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.order.len()
    }

    /// The values of one of these groups, in the order of the question's dimensions. Groups are in the order of their
    /// values.
    #[must_use]
    pub fn group(&self, place: usize) -> &[Option<Arc<str>>] {
        &self.groups.values[self.order[place]]
    }

    /// The first second of each bucket, and that after its last one.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (UnixTime, UnixTime)> {
        let start = |bucket: usize| {
            self.start
                .plus(self.width * i64::try_from(bucket).unwrap_or(0))
        };
        (0..self.buckets).map(move |bucket| (start(bucket), start(bucket + 1)))
    }

    /// What there is in a bucket: the place of a group, and its sums.
    pub fn results(&self, bucket: usize) -> impl Iterator<Item = (usize, Numbers<'_>)> {
        let first = bucket * self.groups.values.len();
        let numbers = move |(place, group): (usize, &usize)| {
            let sum = first + group;
            let values = &self.cells[sum * self.columns..][..self.columns];
            let mask = self.masks[sum];
            (place, Numbers { mask, values })
        };
        let counts = |(_, numbers): &(usize, Numbers<'_>)| {
            numbers.mask != 0 && (self.shows_zero || numbers.values.iter().any(|value| *value != 0))
        };
        self.order.iter().enumerate().map(numbers).filter(counts)
    }
}

impl Reports {
    /// Reports of the usage in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            catalog: Catalog::default(),
        }
    }

    fn report(&self, question: Question, page: Page, width: Width) -> Report {
        Report {
            reports: self.clone(),
            question: Arc::new(question),
            at: page.start,
            page,
            width,
        }
    }
}

impl Report {
    /// The first second of the bucket with which the next page begins; none after the last one.
    #[must_use]
    pub fn next_page(&self) -> Option<UnixTime> {
        self.page.next
    }

    /// The next buckets; none at the end.
    ///
    /// # Errors
    /// What the database said.
    pub async fn next(&mut self) -> Result<Option<Part>> {
        if self.at >= self.page.end {
            return Ok(None);
        }
        let database = &self.reports.database;
        let mut read = database.read().await?;
        let catalog = &self.reports.catalog;
        let Some(names) = catalog.of(&mut read, &self.question.organization).await? else {
            let groups = Groups::none();
            let (segments, buckets) = self.window(0);
            let sheet = self.sheet(Arc::new(groups), segments, buckets);
            self.at = self.page.end;
            return Ok(Some(self.part(sheet)));
        };
        for _ in 0..MOST_TRIES {
            let groups = groups(&self.question, &names).await?;
            let (segments, buckets) = self.window(groups.values.len());
            let mut sheet = self.sheet(groups, Arc::clone(&segments), buckets);
            (read, sheet) =
                add_blocks(read, sheet, &self.question, names.organization, &segments).await?;
            for edge in segments.iter().filter(|segment| segment.source.is_none()) {
                (read, sheet) = add_rows(read, sheet, &self.question, &names, *edge).await?;
            }
            if !sheet.met_unknown {
                let end = segments.last().map_or(self.page.end, |last| last.end);
                self.at = end;
                return Ok(Some(self.part(sheet)));
            }
            names.start_over(&mut read).await?;
        }
        Err(Error::Busy)
    }

    /// The whole answer, of results that `make` makes of the place of a group in a part, and its sums.
    async fn collect<T>(
        mut self,
        make: impl Fn(&Part, usize, Numbers<'_>) -> T,
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

    /// What answers for the next buckets, as many as may be in memory at once, and their number.
    fn window(&self, groups: usize) -> (Arc<[Segment]>, usize) {
        let seconds = self.width.seconds();
        let sums = MOST_CELLS / self.question.columns.len().max(1);
        let most = (sums / groups.max(1)).max(1);
        let first = self.at.floor(seconds);
        let whole = seconds.saturating_mul(i64::try_from(most).unwrap_or(i64::MAX));
        let end = self.page.end.min(first.plus(whole));
        let widths: &[Width] = match self.width {
            Width::Day => &[Width::Day, Width::Hour, Width::Minute],
            Width::Hour => &[Width::Hour, Width::Minute],
            Width::Minute => &[Width::Minute],
        };
        let buckets = (end.0 - first.0 + seconds - 1) / seconds;
        let segments = cover(self.at, end, widths).into();
        (segments, usize::try_from(buckets).unwrap_or(0))
    }

    fn sheet(&self, groups: Arc<Groups>, segments: Arc<[Segment]>, buckets: usize) -> Sheet {
        let seconds = self.width.seconds();
        let span = (self.at.floor(seconds), buckets, seconds);
        Sheet::new(groups, segments, span, &self.question.columns)
    }

    fn part(&self, sheet: Sheet) -> Part {
        sheet.finish(self.question.about == About::Costs)
    }
}

/// Sorts the series into groups, on a thread of its own: there may be many.
async fn groups(question: &Arc<Question>, names: &Arc<Names>) -> Result<Arc<Groups>> {
    let (question, names) = (Arc::clone(question), Arc::clone(names));
    let groups = tokio::task::spawn_blocking(move || question.groups(&names.known()));
    Ok(Arc::new(groups.await.map_err(|_| Error::Busy)?))
}

/// Adds what sums say about the segments that have some.
async fn add_blocks(
    read: Read,
    sheet: Sheet,
    question: &Question,
    organization: i64,
    segments: &[Segment],
) -> Result<(Read, Sheet)> {
    let (detail, costs) = (question.detail(), question.about == About::Costs);
    let mut parts = Vec::new();
    let mut segment_of = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        if let Some(width) = segment.source {
            let shape = Shape::that_has(width, detail, costs);
            parts.push(Block {
                shape,
                first_period: shape.period(segment.start.0),
                last_period: shape.period(segment.end.0 - 1),
            });
            segment_of.push(Some(index));
        }
    }
    if parts.is_empty() {
        return Ok((read, sheet));
    }
    let new = Shape::New.period(0);
    parts.push(Block {
        shape: Shape::New,
        first_period: new,
        last_period: new,
    });
    segment_of.push(None);
    let add = move |sheet: &mut Sheet, row: &Row<'_>| {
        let part = usize::try_from(row.get::<i64>("part")?).unwrap_or_default();
        let data: Vec<u8> = row.get("data")?;
        sheet.add_block(&data, segment_of[part])
    };
    read.fold_blocking(blocks(organization, &parts), sheet, add)
        .await
}

/// Adds the rows of the ledger in a segment: less than a minute.
async fn add_rows(
    mut read: Read,
    sheet: Sheet,
    question: &Question,
    names: &Arc<Names>,
    segment: Segment,
) -> Result<(Read, Sheet)> {
    if partition::days(&mut read, segment.start, segment.end)
        .await?
        .is_empty()
    {
        return Ok((read, sheet));
    }
    let mut rows = sql!("SELECT series, timestamp, amounts FROM ");
    rows.push_partition(USAGE_EVENTS, segment.start.floor(DAY));
    rows.push(" WHERE timestamp >= ").bind(segment.start);
    rows.push(" AND timestamp < ").bind(segment.end);
    rows.push(" AND organization = ").bind(names.organization);
    let about = question.about;
    let names = Arc::clone(names);
    let add = move |sheet: &mut Sheet, row: &Row<'_>| {
        let (series, time): (i64, i64) = (row.get("series")?, row.get("timestamp")?);
        let (quantities, lines) = packed::read(row)?;
        match about {
            About::Usage(_) => sheet.add_amounts(series, time, &Amounts::from(&quantities)),
            About::Costs => lines.iter().for_each(|line: &Charge| {
                let amounts = Amounts::of_line(line.quantity, line.amount);
                match names.known().line(series, line.name) {
                    Some(of_line) => sheet.add_amounts(of_line, time, &amounts),
                    None => sheet.met_unknown = true,
                }
            }),
        }
        Ok(())
    };
    read.fold_blocking(rows, sheet, add).await
}
