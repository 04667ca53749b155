//! Sums by bucket and group, as they are being added up.

use std::sync::Arc;

use base::UnixTime;

use super::Part;
use super::question::{Groups, Place};
use crate::cover::Segment;
use crate::sums::{Amounts, COLUMNS, Mask, columns};

/// Where a column is not wanted.
const UNWANTED: usize = usize::MAX;

/// The sums of some consecutive buckets.
pub(crate) struct Sheet {
    groups: Arc<Groups>,
    /// Of which each row counts in the one that it lies in.
    segments: Arc<[Segment]>,
    /// The first second of the first bucket.
    start: i64,
    /// How many seconds a bucket has.
    width: i64,
    /// Where each column of the sums is among those wanted.
    wanted: [usize; COLUMNS],
    count: usize,
    buckets: usize,
    /// For each bucket and group which columns there are, and their numbers.
    masks: Vec<Mask>,
    cells: Vec<i64>,
    /// A series was met that is not known.
    pub(crate) met_unknown: bool,
}

impl Sheet {
    pub(crate) fn new(
        groups: Arc<Groups>,
        segments: Arc<[Segment]>,
        (start, buckets, width): (UnixTime, usize, i64),
        columns: &[usize],
    ) -> Self {
        let mut wanted = [UNWANTED; COLUMNS];
        for (place, column) in columns.iter().enumerate() {
            wanted[*column] = place;
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
            met_unknown: false,
        }
    }

    /// Adds the rows of a block: of the sums of one segment, or of new ones, which may lie in any that sums answer for.
    pub(crate) fn add_block(&mut self, data: &[u8], segment: Option<usize>) -> store::Result<()> {
        let groups = Arc::clone(&self.groups);
        let segments = Arc::clone(&self.segments);
        let mut met_unknown = false;
        let wants = |series| match groups.place(series) {
            Some(Place::Group(group)) => Some(group),
            Some(Place::Out) => None,
            None => {
                met_unknown = true;
                None
            }
        };
        let of_sums = |segment: &&Segment| segment.source.is_some();
        let has = |segment: &Segment, bucket| (segment.start.0..segment.end.0).contains(&bucket);
        crate::sums::read(data, wants, |group, bucket, mask, values| {
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
        })?;
        self.met_unknown |= met_unknown;
        Ok(())
    }

    /// Adds numbers to the sums of a series, at a moment that lies in one of the buckets.
    pub(crate) fn add_amounts(&mut self, series: i64, time: i64, amounts: &Amounts) {
        match self.groups.place(series) {
            Some(Place::Group(group)) => {
                let mut values = Vec::with_capacity(COLUMNS);
                amounts.push_to(&mut values);
                self.add(group, time, amounts.mask, &values);
            }
            Some(Place::Out) => {}
            None => self.met_unknown = true,
        }
    }

    fn add(&mut self, group: u32, time: i64, mask: Mask, values: &[i64]) {
        let bucket = usize::try_from((time - self.start) / self.width).unwrap_or(usize::MAX);
        let sum = bucket * self.groups.values.len() + group as usize;
        let cells = &mut self.cells[sum * self.count..][..self.count];
        for (column, value) in columns(mask).zip(values) {
            let place = self.wanted[column];
            if place != UNWANTED {
                cells[place] = cells[place].saturating_add(*value);
                self.masks[sum] |= 1 << place;
            }
        }
    }

    /// What was added up, with or without sums of which every number is 0.
    pub(crate) fn finish(self, shows_zero: bool) -> Part {
        let groups = self.groups.values.len();
        let mut has_any = vec![false; groups];
        for (sum, mask) in self.masks.iter().enumerate() {
            has_any[sum % groups.max(1)] |= *mask != 0;
        }
        let mut order: Vec<usize> = (0..groups).filter(|group| has_any[*group]).collect();
        order.sort_by(|a, b| self.groups.values[*a].cmp(&self.groups.values[*b]));
        Part {
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
