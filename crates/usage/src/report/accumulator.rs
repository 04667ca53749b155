//! The accumulator of a report: sums by bucket and group.

use std::sync::Arc;

use base::UnixTime;
use rollup::{Amounts, MAX_COLUMNS, Mask, Segment, columns, read_block};

use super::ReportPart;
use super::catalog::UnknownSeries;
use super::query::{Groups, SeriesGroup};
use crate::rollups::corrupt;

/// The sums of consecutive buckets.
pub(crate) struct Accumulator {
    groups: Arc<Groups>,
    /// The segments of the buckets; a row counts only in the segment that it is read for.
    segments: Arc<[Segment]>,
    /// The first second of the first bucket.
    start: i64,
    /// The width of a bucket in seconds.
    width: i64,
    /// The index of each column among the wanted ones; `None` for the others.
    wanted: [Option<usize>; MAX_COLUMNS],
    count: usize,
    buckets: usize,
    /// The columns that each bucket and group has; `cells` has their numbers.
    masks: Vec<Mask>,
    cells: Vec<i64>,
    /// The unknown series that were met.
    pub(crate) unknown: UnknownSeries,
}

impl Accumulator {
    pub(crate) fn new(
        groups: Arc<Groups>,
        segments: Arc<[Segment]>,
        (start, buckets, width): (UnixTime, usize, i64),
        columns: &[usize],
    ) -> Self {
        let mut wanted = [None; MAX_COLUMNS];
        for (place, column) in columns.iter().enumerate() {
            wanted[*column] = Some(place);
        }
        let sums = buckets * groups.values.len();
        Self {
            groups,
            segments,
            start: start.0,
            width,
            wanted,
            count: columns.len(),
            buckets,
            masks: vec![0; sums],
            cells: vec![0; sums * columns.len()],
            unknown: UnknownSeries::default(),
        }
    }

    /// Adds the rows of a block. A block of a rollup is read for one segment; a block of new rows, for which `segment`
    /// is `None`, for all segments that rollups answer for.
    pub(crate) fn add_block(&mut self, data: &[u8], segment: Option<usize>) -> store::Result<()> {
        let groups = Arc::clone(&self.groups);
        let segments = Arc::clone(&self.segments);
        let mut unknown = std::mem::take(&mut self.unknown);
        let select = |series| match groups.of_series(series) {
            Some(SeriesGroup::Group(group)) => Some(group),
            Some(SeriesGroup::Excluded) => None,
            None => {
                unknown.ids.insert(series);
                None
            }
        };
        let of_sums = |segment: &&Segment| segment.source.is_some();
        let has = |segment: &Segment, bucket| (segment.start.0..segment.end.0).contains(&bucket);
        let read = read_block(data, select, |group, bucket, mask, values| {
            let counts = match segment {
                Some(index) => has(&segments[index], bucket),
                None => segments
                    .iter()
                    .filter(of_sums)
                    .any(|segment| has(segment, bucket)),
            };
            if counts {
                self.add(group, bucket, mask, values);
            }
        });
        self.unknown = unknown;
        read.map_err(corrupt)
    }

    /// Adds numbers of a series, at a time within one of the buckets.
    pub(crate) fn add_amounts(&mut self, series: i64, time: i64, amounts: &Amounts) {
        match self.groups.of_series(series) {
            Some(SeriesGroup::Group(group)) => {
                let mut values = Vec::with_capacity(MAX_COLUMNS);
                amounts.push_to(&mut values);
                self.add(group, time, amounts.mask(), &values);
            }
            Some(SeriesGroup::Excluded) => {}
            None => self.unknown.ids.insert(series),
        }
    }

    fn add(&mut self, group: u32, time: i64, mask: Mask, values: &[i64]) {
        let bucket = usize::try_from((time - self.start) / self.width).unwrap_or(usize::MAX);
        let sum = bucket * self.groups.values.len() + group as usize;
        let cells = &mut self.cells[sum * self.count..][..self.count];
        for (column, value) in columns(mask).zip(values) {
            if let Some(place) = self.wanted[column] {
                cells[place] = cells[place].saturating_add(*value);
                self.masks[sum] |= 1 << place;
            }
        }
    }

    /// Returns the part. Sums whose numbers are all 0 are left out unless `shows_zero`.
    pub(crate) fn finish(self, shows_zero: bool) -> ReportPart {
        let groups = self.groups.values.len();
        let mut has_any = vec![false; groups];
        for (sum, mask) in self.masks.iter().enumerate() {
            has_any[sum % groups.max(1)] |= *mask != 0;
        }
        let mut order: Vec<usize> = (0..groups).filter(|group| has_any[*group]).collect();
        order.sort_by(|a, b| self.groups.values[*a].cmp(&self.groups.values[*b]));
        ReportPart {
            start: UnixTime(self.start),
            width: self.width,
            buckets: self.buckets,
            groups: self.groups,
            order,
            columns: self.count,
            masks: self.masks,
            cells: self.cells,
            shows_zero,
        }
    }
}
