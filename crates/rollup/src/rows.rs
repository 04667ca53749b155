//! Rows of sums on their way into and out of blocks.

use std::collections::BTreeMap;

use base::UnixTime;

use crate::block::{BlockWriter, CorruptBlock, read_block};
use crate::{Amounts, Mask};

/// The number of rows between two calls of the pause of [`Rows::with_pause`].
const PAUSE_INTERVAL: usize = 16;

/// Rows in any order, with any number of rows for one series and bucket.
pub struct Rows {
    keys: Vec<Key>,
    values: Vec<i64>,
    pause: fn(),
}

#[derive(Clone, Copy)]
struct Key {
    series: i64,
    /// The first second of the bucket.
    bucket: i64,
    mask: Mask,
    /// The index of the first of its numbers.
    at: usize,
}

impl Default for Rows {
    fn default() -> Self {
        Self::with_pause(|| {})
    }
}

impl Rows {
    /// Returns no rows. `pause` is called every few rows of a long computation, so that a thread that shares its core with
    /// requests can yield.
    #[must_use]
    pub fn with_pause(pause: fn()) -> Self {
        Self {
            keys: Vec::new(),
            values: Vec::new(),
            pause,
        }
    }

    /// True if there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the series of the rows, some of them several times.
    pub fn series(&self) -> impl Iterator<Item = i64> {
        self.keys.iter().map(|key| key.series)
    }

    /// Adds a row.
    pub fn push(&mut self, series: i64, bucket: UnixTime, amounts: &Amounts) {
        let at = self.values.len();
        amounts.push_to(&mut self.values);
        self.keys.push(Key {
            series,
            bucket: bucket.0,
            mask: amounts.mask(),
            at,
        });
    }

    /// Adds the rows of a block.
    ///
    /// # Errors
    /// `data` is not a block. Rows before the damage have been added.
    pub fn push_block(&mut self, data: &[u8]) -> Result<(), CorruptBlock> {
        read_block(data, Some, |series, bucket, mask, values| {
            let key = Key {
                series,
                bucket,
                mask,
                at: 0,
            };
            self.push_values(key, values);
        })
    }

    /// Returns the sums of the rows by series and bucket, in order, each series and bucket once. `place` returns the series
    /// and bucket under which a row counts, or `None` to leave the row out.
    #[must_use]
    pub fn merged(&self, mut place: impl FnMut(i64, i64) -> Option<(i64, i64)>) -> Self {
        let place = |key: &Key| {
            let (series, bucket) = place(key.series, key.bucket)?;
            Some(Key {
                series,
                bucket,
                ..*key
            })
        };
        let mut keys: Vec<Key> = self.keys.iter().filter_map(place).collect();
        keys.sort_unstable_by_key(|key| (key.series, key.bucket));
        let mut merged = Self::with_pause(self.pause);
        let same = keys.chunk_by(|a, b| (a.series, a.bucket) == (b.series, b.bucket));
        for same in self.pausing(same) {
            match same {
                [one] => merged.push_values(*one, self.values(one)),
                several => {
                    let mut sum = Amounts::default();
                    for key in several {
                        sum.add(key.mask, self.values(key));
                    }
                    merged.push(several[0].series, UnixTime(several[0].bucket), &sum);
                }
            }
        }
        merged
    }

    /// Returns the rows with each series and bucket once, in order.
    #[must_use]
    pub fn summed(&self) -> Self {
        self.merged(|series, bucket| Some((series, bucket)))
    }

    /// Adds a row with these numbers in place of those of `key`.
    fn push_values(&mut self, key: Key, values: &[i64]) {
        let at = self.values.len();
        self.values.extend_from_slice(values);
        self.keys.push(Key { at, ..key });
    }

    fn values(&self, key: &Key) -> &[i64] {
        &self.values[key.at..][..key.mask.count_ones() as usize]
    }

    /// Wraps an iterator, calling `pause` every [`PAUSE_INTERVAL`] items.
    fn pausing<I: IntoIterator>(&self, items: I) -> impl Iterator<Item = I::Item> {
        let pause = self.pause;
        let items = items.into_iter().enumerate();
        items.map(move |(index, item)| {
            if index % PAUSE_INTERVAL == PAUSE_INTERVAL - 1 {
                pause();
            }
            item
        })
    }

    /// Encodes rows that were [`merged`](Self::merged), with buckets of `width` seconds: one block for each period that
    /// `period_of` returns for a bucket.
    pub fn blocks(&self, width: i64, period_of: impl Fn(i64) -> i64) -> BTreeMap<i64, Vec<u8>> {
        let mut first: BTreeMap<i64, i64> = BTreeMap::new();
        for key in &self.keys {
            let first = first.entry(period_of(key.bucket)).or_insert(key.bucket);
            *first = key.bucket.min(*first);
        }
        let writer = |(period, first)| (period, BlockWriter::new(width, first));
        let mut writers: BTreeMap<i64, BlockWriter> = first.into_iter().map(writer).collect();
        for key in self.pausing(&self.keys) {
            if let Some(writer) = writers.get_mut(&period_of(key.bucket)) {
                writer.push(key.series, key.bucket, key.mask, self.values(key));
            }
        }
        let finished = writers.into_iter();
        finished
            .map(|(period, writer)| (period, writer.finish()))
            .collect()
    }

    /// Encodes all rows as one block of buckets of `width` seconds; no bytes if there are no rows.
    #[must_use]
    pub fn block(&self, width: i64) -> Vec<u8> {
        let block = self.summed().blocks(width, |_| 0).pop_first();
        block.map(|(_, block)| block).unwrap_or_default()
    }

    /// Adds the rows of another.
    pub fn append(&mut self, other: &Self) {
        for key in &other.keys {
            self.push_values(*key, other.values(key));
        }
    }

    /// Returns the rows, each with its series and the first second of its bucket.
    pub fn iter(&self) -> impl Iterator<Item = ((i64, i64), Amounts)> {
        self.keys.iter().map(|key| {
            let mut amounts = Amounts::default();
            amounts.add(key.mask, self.values(key));
            ((key.series, key.bucket), amounts)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
    use proptest::prelude::*;

    use super::*;

    /// Generates rows as `(series, bucket, mask, numbers)`.
    fn some_rows() -> impl Strategy<Value = Vec<(i64, i64, Mask, Vec<i64>)>> {
        let mask = prop_oneof![Just(0b111), any::<Mask>()];
        let row = (1..9i64, -3..3_000i64, mask).prop_flat_map(|(series, minute, mask)| {
            let count = mask.count_ones() as usize;
            let number = prop_oneof![0..300i64, any::<i32>().prop_map(i64::from)];
            let values = prop::collection::vec(number, count);
            (
                Just(series),
                Just(minute * SECONDS_PER_MINUTE),
                Just(mask),
                values,
            )
        });
        prop::collection::vec(row, 0..60)
    }

    fn amounts(mask: Mask, values: &[i64]) -> Amounts {
        let mut amounts = Amounts::default();
        amounts.add(mask, values);
        amounts
    }

    fn rows(all: &[(i64, i64, Mask, Vec<i64>)]) -> Rows {
        let mut rows = Rows::default();
        for (series, bucket, mask, values) in all {
            rows.push(*series, UnixTime(*bucket), &amounts(*mask, values));
        }
        rows
    }

    /// Returns the sums of each series and bucket, in order.
    fn sums(rows: &Rows) -> Vec<(i64, i64, Amounts)> {
        let rows = rows.summed();
        let sums = rows.iter();
        sums.map(|((series, bucket), sum)| (series, bucket, sum))
            .collect()
    }

    /// Returns the sums as a plain map adds them up.
    fn expected(
        all: &[(i64, i64, Mask, Vec<i64>)],
        place: impl Fn(i64, i64) -> Option<(i64, i64)>,
    ) -> Vec<(i64, i64, Amounts)> {
        let mut sums: BTreeMap<(i64, i64), Amounts> = BTreeMap::new();
        for (series, bucket, mask, values) in all {
            if let Some(key) = place(*series, *bucket) {
                sums.entry(key).or_default().add(*mask, values);
            }
        }
        sums.into_iter()
            .map(|((series, bucket), sum)| (series, bucket, sum))
            .collect()
    }

    proptest! {
        #[test]
        fn rows_are_read_from_blocks_as_they_were_written(all in some_rows(), cut in 0..60usize) {
            let (one, two) = all.split_at(cut.min(all.len()));
            let mut merged = Rows::default();
            for part in [one, two] {
                let part = rows(part);
                if !part.is_empty() {
                    merged.push_block(&part.block(SECONDS_PER_MINUTE)).expect("a block");
                }
            }
            prop_assert_eq!(sums(&merged), expected(&all, |series, bucket| Some((series, bucket))));
        }

        #[test]
        fn rows_are_added_up_by_wider_buckets_and_other_series(all in some_rows()) {
            let place = |series: i64, bucket: i64| {
                let bucket = UnixTime(bucket).floor(SECONDS_PER_HOUR).0;
                (series != 5).then_some((series % 3 + 1, bucket))
            };
            let blocks = rows(&all).merged(place).blocks(SECONDS_PER_HOUR, |bucket| UnixTime(bucket).floor(SECONDS_PER_DAY).0);
            let mut found = Vec::new();
            for (period, block) in blocks {
                let mut rows = Rows::default();
                rows.push_block(&block).expect("a block");
                for (series, bucket, sum) in sums(&rows) {
                    prop_assert_eq!(UnixTime(bucket).floor(SECONDS_PER_DAY).0, period);
                    found.push((series, bucket, sum));
                }
            }
            found.sort_by_key(|(series, bucket, _)| (*series, *bucket));
            prop_assert_eq!(found, expected(&all, place));
        }

        #[test]
        fn a_reader_gets_only_the_series_that_it_selects(all in some_rows()) {
            prop_assume!(!all.is_empty());
            let mut found = Vec::new();
            let select = |series| (series % 2 == 0).then_some(series);
            read_block(&rows(&all).block(SECONDS_PER_MINUTE), select, |series, bucket, mask, values| {
                found.push((series, bucket, amounts(mask, values)));
            }).expect("a block");
            let even = |series, bucket| (series % 2 == 0).then_some((series, bucket));
            prop_assert_eq!(found, expected(&all, even));
        }

        #[test]
        fn damaged_bytes_are_an_error_or_rows_that_can_be_encoded_again(bytes: Vec<u8>, good in some_rows(), at: usize, bit in 0..8u32) {
            check(&bytes);
            let mut bytes = rows(&good).block(SECONDS_PER_MINUTE);
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] ^= 1u8 << bit;
                check(&bytes);
                check(&bytes[..at]);
            }
        }
    }

    /// Asserts that bytes are no block, or that its rows survive being encoded again, if their buckets are not so far apart
    /// that the difference overflows.
    fn check(bytes: &[u8]) {
        let mut read = Rows::default();
        let is_block = read.push_block(bytes).is_ok();
        let bounds = -(1 << 61)..1 << 61;
        let is_bounded = read.iter().all(|((_, bucket), _)| bounds.contains(&bucket));
        if is_block && is_bounded && !read.is_empty() {
            let mut again = Rows::default();
            again.push_block(&read.block(1)).expect("a block");
            assert_eq!(sums(&again), sums(&read));
        }
    }

    /// The bytes of a block that is stored in databases: its encoding must not change.
    const STORED: &[u8] = &[
        1, 60, 160, 253, 141, 28, 3, 29, 1, 5, 208, 15, 13, 2, 0, 128, 128, 128, 128, 128, 64, 179,
        1, 128, 128, 128, 2, 254, 255, 255, 255, 255, 255, 255, 255, 255, 1, 197, 1, 13, 3, 3, 2,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 1,
    ];

    #[test]
    fn a_stored_block_is_read_and_written_byte_for_byte() {
        let mut stored = Rows::default();
        stored.push_block(STORED).expect("a block");
        let minute = 29_474_640 * SECONDS_PER_MINUTE;
        let expected = [
            (3, minute, amounts(0b101, &[1_000, -7])),
            (
                3,
                minute + SECONDS_PER_MINUTE,
                amounts(0b101, &[0, 1 << 40]),
            ),
            (
                3,
                minute + 90 * SECONDS_PER_MINUTE,
                amounts(1 << 22, &[i64::MAX]),
            ),
            (
                200,
                minute + SECONDS_PER_MINUTE,
                amounts(0b11, &[1, i64::MIN]),
            ),
        ];
        assert_eq!(sums(&stored), expected);
        assert_eq!(stored.block(SECONDS_PER_MINUTE), STORED);
    }
}
