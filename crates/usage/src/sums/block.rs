//! A block: rows of sums in one value of the database.
//!
//! Its rows are in the order of their series and buckets, those of a series together behind their length, so that a
//! reader skips the series that it does not want. Numbers are differences where they can be.
//!
//! ```text
//! block  = version, seconds of a bucket, number of the first bucket, series…
//! series = number less that of the series before, bytes of its rows, row…
//! row    = 2 × (bucket less the one before) + (0: the columns are those of the row before),
//!          (1: mask of the columns), number…
//! ```

use store::{Error, Result};

use super::amounts::{COLUMNS, Mask, columns};
use crate::varint;

const VERSION: u64 = 1;

/// Writes a block.
pub(super) struct Writer {
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

impl Writer {
    /// A block of buckets of `width` seconds, of which none is before `first`.
    pub(super) fn new(width: i64, first: i64) -> Self {
        let mut out = Vec::new();
        varint::push(&mut out, VERSION);
        varint::push(&mut out, width.cast_unsigned());
        varint::push_signed(&mut out, first / width);
        Self {
            out,
            width,
            first: first / width,
            series: 0,
            run: Vec::new(),
            bucket: 0,
            mask: 0,
            last_series: 0,
        }
    }

    /// Adds a row: after all rows of lesser series, and of earlier buckets of this one.
    pub(super) fn push(&mut self, series: i64, bucket: i64, mask: Mask, values: &[i64]) {
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
            varint::push_signed(&mut self.run, *value);
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

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end_series();
        self.out
    }
}

/// Reads a block: `wants` says of each series whether, and as what, `row` is to be shown its buckets, each by its first
/// second, and their numbers, which stand for the columns of the mask.
///
/// # Errors
/// This is not a block.
pub(crate) fn read<T: Copy>(
    data: &[u8],
    wants: impl FnMut(i64) -> Option<T>,
    row: impl FnMut(T, i64, Mask, &[i64]),
) -> Result<()> {
    let broken = || Error::Column("data".to_owned(), "is not a block of sums".to_owned());
    try_read(data, wants, row).ok_or_else(broken)
}

fn try_read<T: Copy>(
    mut data: &[u8],
    mut wants: impl FnMut(i64) -> Option<T>,
    mut row: impl FnMut(T, i64, Mask, &[i64]),
) -> Option<()> {
    if varint::take(&mut data)? != VERSION {
        return None;
    }
    let width = i64::try_from(varint::take(&mut data)?).ok()?;
    let first = varint::take_signed(&mut data)?;
    let mut series = 0_i64;
    while !data.is_empty() {
        series = series.checked_add_unsigned(varint::take(&mut data)?)?;
        let length = usize::try_from(varint::take(&mut data)?).ok()?;
        let (mut run, rest) = data.split_at_checked(length)?;
        data = rest;
        let Some(wanted) = wants(series) else {
            continue;
        };
        let (mut bucket, mut mask) = (first, 0);
        let mut values = [0; COLUMNS];
        let mut count = 0;
        while !run.is_empty() {
            let head = varint::take(&mut run)?;
            bucket = bucket.checked_add_unsigned(head / 2)?;
            if head % 2 == 1 {
                mask = Mask::try_from(varint::take(&mut run)?).ok()?;
                count = columns(mask).count();
            }
            let values = values.get_mut(..count)?;
            for value in &mut *values {
                *value = varint::take_signed(&mut run)?;
            }
            row(wanted, bucket.checked_mul(width)?, mask, values);
        }
    }
    Some(())
}
