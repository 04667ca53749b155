//! The encoding of a block: the rows of a rollup in one value of the database.
//!
//! Rows are ordered by series, then by bucket. The rows of a series follow their length in bytes, so that a reader skips
//! the series that it does not want. Numbers are written as differences where possible, all with
//! [`varint`](crate::varint).
//!
//! ```text
//! block  = version, seconds of a bucket, number of the first bucket, series…
//! series = difference from the number of the series before, bytes of its rows, row…
//! row    = 2 × (difference from the bucket before) + (0: the columns of the row before, 1: a mask follows),
//!          (1: mask of the columns), number…
//! ```

use crate::varint;
use crate::{MAX_COLUMNS, Mask, columns};

const FORMAT_VERSION: u64 = 1;

/// A byte string that is not a block, or a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a block of sums")]
pub struct CorruptBlock;

/// Writes a block, row by row.
pub(crate) struct BlockWriter {
    out: Vec<u8>,
    width: i64,
    first: i64,
    /// The series whose rows are in `run`.
    series: i64,
    run: Vec<u8>,
    bucket: i64,
    mask: Mask,
    last_series: i64,
}

impl BlockWriter {
    /// Returns the writer of a block of buckets of `width` seconds, none of which starts before `first`.
    pub(crate) fn new(width: i64, first: i64) -> Self {
        let mut out = Vec::new();
        varint::push(&mut out, FORMAT_VERSION);
        varint::push(&mut out, width.cast_unsigned());
        varint::push(&mut out, first / width);
        Self {
            out,
            width,
            first: first / width,
            series: 0,
            run: Vec::new(),
            bucket: first / width,
            mask: 0,
            last_series: 0,
        }
    }

    /// Appends a row. Rows must come in the order of series, and of buckets within a series.
    pub(crate) fn push(&mut self, series: i64, bucket: i64, mask: Mask, values: &[i64]) {
        if series != self.series {
            self.end_series();
            (self.series, self.bucket, self.mask) = (series, self.first, 0);
        }
        let bucket = bucket / self.width;
        let ahead = (bucket - self.bucket).cast_unsigned();
        varint::push(&mut self.run, ahead * 2 + u64::from(mask != self.mask));
        if mask != self.mask {
            varint::push(&mut self.run, u64::from(mask));
        }
        for value in values {
            varint::push(&mut self.run, *value);
        }
        (self.bucket, self.mask) = (bucket, mask);
    }

    fn end_series(&mut self) {
        if !self.run.is_empty() {
            let ahead = (self.series - self.last_series).cast_unsigned();
            varint::push(&mut self.out, ahead);
            varint::push(&mut self.out, self.run.len() as u64);
            self.out.append(&mut self.run);
            self.last_series = self.series;
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.end_series();
        self.out
    }
}

/// Reads a block. For each series, `select` returns the value under which `row` receives its rows, or `None` to skip the
/// series. `row` receives that value, the first second of the bucket, the mask of the columns, and their numbers in order.
///
/// # Errors
/// `data` is not a block. Rows before the damage have been handed to `row`.
pub fn read_block<T: Copy>(
    data: &[u8],
    select: impl FnMut(i64) -> Option<T>,
    row: impl FnMut(T, i64, Mask, &[i64]),
) -> Result<(), CorruptBlock> {
    try_read(data, select, row).ok_or(CorruptBlock)
}

fn try_read<T: Copy>(
    mut data: &[u8],
    mut select: impl FnMut(i64) -> Option<T>,
    mut row: impl FnMut(T, i64, Mask, &[i64]),
) -> Option<()> {
    if varint::take::<u64>(&mut data)? != FORMAT_VERSION {
        return None;
    }
    let width = i64::try_from(varint::take::<u64>(&mut data)?).ok()?;
    let first: i64 = varint::take(&mut data)?;
    let mut series = 0_i64;
    let mut values = [0; MAX_COLUMNS];
    while !data.is_empty() {
        series = series.checked_add_unsigned(varint::take(&mut data)?)?;
        let length = usize::try_from(varint::take::<u64>(&mut data)?).ok()?;
        let (mut run, rest) = data.split_at_checked(length)?;
        data = rest;
        let Some(selected) = select(series) else {
            continue;
        };
        let (mut bucket, mut mask, mut count) = (first, 0, 0);
        while !run.is_empty() {
            let head: u64 = varint::take(&mut run)?;
            bucket = bucket.checked_add_unsigned(head / 2)?;
            if head % 2 == 1 {
                mask = Mask::try_from(varint::take::<u64>(&mut run)?).ok()?;
                count = columns(mask).count();
            }
            let values = values.get_mut(..count)?;
            for value in &mut *values {
                *value = varint::take(&mut run)?;
            }
            row(selected, bucket.checked_mul(width)?, mask, values);
        }
    }
    Some(())
}
