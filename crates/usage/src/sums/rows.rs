//! Rows of sums on their way into blocks.

use std::collections::BTreeMap;

use base::UnixTime;
use store::{Result, cooperative};

use super::amounts::{Amounts, Mask};
use super::block::{Writer, read};

/// Rows in any order, those of one series and bucket any number of times.
#[derive(Default)]
pub(crate) struct Rows {
    keys: Vec<Key>,
    values: Vec<i64>,
}

#[derive(Clone, Copy)]
struct Key {
    series: i64,
    /// Its first second.
    bucket: i64,
    mask: Mask,
    /// Where its numbers begin.
    at: usize,
}

impl Rows {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The series that there are, some of them several times.
    pub(crate) fn series(&self) -> impl Iterator<Item = i64> {
        self.keys.iter().map(|key| key.series)
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, series: i64, bucket: UnixTime, amounts: &Amounts) {
        let at = self.values.len();
        amounts.push_to(&mut self.values);
        self.keys.push(Key {
            series,
            bucket: bucket.0,
            mask: amounts.mask,
            at,
        });
    }

    /// Adds the rows of a block.
    pub(crate) fn push_block(&mut self, data: &[u8]) -> Result<()> {
        read(data, Some, |series, bucket, mask, values| {
            let key = Key {
                series,
                bucket,
                mask,
                at: 0,
            };
            self.push_values(key, values);
        })
    }

    /// Each series and bucket once, in order, with its sums: of other series and by wider buckets, as `place` says of the
    /// series and bucket given; or left out.
    pub(crate) fn merged(&self, mut place: impl FnMut(i64, i64) -> Option<(i64, i64)>) -> Self {
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
        let mut merged = Self::default();
        let same = keys.chunk_by(|a, b| (a.series, a.bucket) == (b.series, b.bucket));
        for same in cooperative::yield_every(same) {
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

    /// Adds a row whose numbers are these, wherever those of `key` were.
    fn push_values(&mut self, key: Key, values: &[i64]) {
        let at = self.values.len();
        self.values.extend_from_slice(values);
        self.keys.push(Key { at, ..key });
    }

    fn values(&self, key: &Key) -> &[i64] {
        &self.values[key.at..][..key.mask.count_ones() as usize]
    }

    /// Rows that were [`merged`](Self::merged), as blocks of buckets of `width` seconds: one for each period that `period_of`
    /// gives for a bucket.
    pub(crate) fn blocks(
        &self,
        width: i64,
        period_of: impl Fn(i64) -> i64,
    ) -> BTreeMap<i64, Vec<u8>> {
        let mut first: BTreeMap<i64, i64> = BTreeMap::new();
        for key in &self.keys {
            let first = first.entry(period_of(key.bucket)).or_insert(key.bucket);
            *first = key.bucket.min(*first);
        }
        let writer = |(period, first)| (period, Writer::new(width, first));
        let mut writers: BTreeMap<i64, Writer> = first.into_iter().map(writer).collect();
        for key in cooperative::yield_every(&self.keys) {
            if let Some(writer) = writers.get_mut(&period_of(key.bucket)) {
                writer.push(key.series, key.bucket, key.mask, self.values(key));
            }
        }
        let finished = writers.into_iter();
        finished
            .map(|(period, writer)| (period, writer.finish()))
            .collect()
    }

    /// All of them as one block of buckets of `width` seconds.
    pub(crate) fn block(&self, width: i64) -> Vec<u8> {
        let merged = self.merged(|series, bucket| Some((series, bucket)));
        let block = merged.blocks(width, |_| 0).pop_first();
        block.map(|(_, block)| block).unwrap_or_default()
    }

    /// Adds the rows of others.
    pub(crate) fn append(&mut self, other: &Self) {
        for key in &other.keys {
            self.push_values(*key, other.values(key));
        }
    }

    /// The rows, each with its series and bucket.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((i64, i64), Amounts)> {
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

    use base::time::{DAY, HOUR, MINUTE};
    use proptest::prelude::*;

    use super::*;
    use crate::sums::amounts::COLUMNS;

    /// Rows as `(series, bucket, mask, numbers)`.
    fn some_rows() -> impl Strategy<Value = Vec<(i64, i64, Mask, Vec<i64>)>> {
        let mask = prop_oneof![Just(0b111), 0..1u32 << COLUMNS];
        let row = (1..9i64, -3..3_000i64, mask).prop_flat_map(|(series, minute, mask)| {
            let count = mask.count_ones() as usize;
            let number = prop_oneof![0..300i64, any::<i32>().prop_map(i64::from)];
            let values = prop::collection::vec(number, count);
            (Just(series), Just(minute * MINUTE), Just(mask), values)
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

    /// Each series and bucket once, in order, with its sums.
    fn sums(rows: &Rows) -> Vec<(i64, i64, Amounts)> {
        let rows = rows.merged(|series, bucket| Some((series, bucket)));
        let sums = rows.iter();
        sums.map(|((series, bucket), sum)| (series, bucket, sum))
            .collect()
    }

    /// What a plain model makes of the rows.
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
        fn rows_come_out_of_blocks_as_they_went_in(all in some_rows(), cut in 0..60usize) {
            let (one, two) = all.split_at(cut.min(all.len()));
            let mut merged = Rows::default();
            for part in [one, two] {
                let part = rows(part);
                if !part.is_empty() {
                    merged.push_block(&part.block(MINUTE)).expect("a block");
                }
            }
            prop_assert_eq!(sums(&merged), expected(&all, |series, bucket| Some((series, bucket))));
        }

        #[test]
        fn rows_move_to_wider_buckets_and_other_series(all in some_rows()) {
            let place = |series: i64, bucket: i64| {
                let bucket = UnixTime(bucket).floor(HOUR).0;
                (series != 5).then_some((series % 3 + 1, bucket))
            };
            let blocks = rows(&all).merged(place).blocks(HOUR, |bucket| UnixTime(bucket).floor(DAY).0);
            let mut found = Vec::new();
            for (period, block) in blocks {
                let mut rows = Rows::default();
                rows.push_block(&block).expect("a block");
                for (series, bucket, sum) in sums(&rows) {
                    prop_assert_eq!(UnixTime(bucket).floor(DAY).0, period);
                    found.push((series, bucket, sum));
                }
            }
            found.sort_by_key(|(series, bucket, _)| (*series, *bucket));
            prop_assert_eq!(found, expected(&all, place));
        }

        #[test]
        fn a_reader_gets_only_what_it_wants(all in some_rows()) {
            prop_assume!(!all.is_empty());
            let mut found = Vec::new();
            let wants = |series| (series % 2 == 0).then_some(series);
            read(&rows(&all).block(MINUTE), wants, |series, bucket, mask, values| {
                found.push((series, bucket, amounts(mask, values)));
            }).expect("a block");
            let even = |series, bucket| (series % 2 == 0).then_some((series, bucket));
            prop_assert_eq!(found, expected(&all, even));
        }

        #[test]
        fn no_bytes_are_more_than_an_error(mut bytes: Vec<u8>, good in some_rows(), at: usize, bit in 0..8u32) {
            let _ = read(&bytes, Some, |_, _, _, _| {});
            bytes = rows(&good).block(MINUTE);
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] ^= 1u8 << bit;
                let _ = read(&bytes, Some, |_, _, _, _| {});
                let _ = read(&bytes[..at], Some, |_, _, _, _| {});
            }
        }
    }
}
