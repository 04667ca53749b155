//! A sliding window: the sum of what was taken during the last minute, or day.

use std::collections::VecDeque;

/// The length of a window, divided into buckets. A bucket leaves the window as a whole, one window's length after its own
/// end: so no interval of that length, wherever it begins, holds more than was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The length of a bucket, in milliseconds.
    bucket: u64,
    /// The number of buckets in a window.
    buckets: u64,
}

impl Window {
    /// A minute, in buckets of a second.
    pub const MINUTE: Self = Self::new(1_000, 60);
    /// A day, in buckets of a quarter of an hour.
    pub const DAY: Self = Self::new(15 * 60 * 1_000, 96);

    /// Returns a window of `buckets` buckets of `bucket` milliseconds each. Neither may be 0.
    #[must_use]
    pub const fn new(bucket: u64, buckets: u64) -> Self {
        Self { bucket, buckets }
    }

    /// Returns the number of the bucket that has this time.
    pub(crate) fn bucket_at(self, time: u64) -> u64 {
        time / self.bucket
    }

    /// Returns the time at which the bucket with this number leaves the window.
    pub(crate) fn expiry(self, bucket: u64) -> u64 {
        bucket
            .saturating_add(self.buckets + 1)
            .saturating_mul(self.bucket)
    }

    /// Returns the most buckets that a window can have at once.
    pub(crate) fn max_buckets(self) -> usize {
        usize::try_from(self.buckets).map_or(usize::MAX, |buckets| buckets + 2)
    }
}

/// The amounts in a window, by bucket. Times never run backwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    /// The buckets in which anything was taken, oldest first.
    buckets: VecDeque<Bucket>,
    sum: i64,
}

/// A piece of a window.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    number: u64,
    amount: i64,
    /// The share of the amount that is reserved, and may still change.
    reserved: i64,
}

impl Counter {
    /// Returns the sum of the window that ends at `now`, and removes the buckets that have left it.
    pub(crate) fn sum(&mut self, window: Window, now: u64) -> i64 {
        while let Some(bucket) = self.buckets.front().copied()
            && window.expiry(bucket.number) <= now
        {
            self.buckets.pop_front();
            self.sum -= bucket.amount;
        }
        self.sum
    }

    /// Returns the share of the sum that is reserved. Must be called after [`Counter::sum`].
    pub(crate) fn reserved(&self) -> i64 {
        self.buckets.iter().map(|bucket| bucket.reserved).sum()
    }

    /// Adds a consumed amount at `now`.
    pub(crate) fn add(&mut self, window: Window, now: u64, amount: i64) {
        self.insert(window, now, amount, 0);
    }

    /// Adds a reserved amount at `now`.
    pub(crate) fn reserve(&mut self, window: Window, now: u64, amount: i64) {
        self.insert(window, now, amount, amount);
    }

    fn insert(&mut self, window: Window, now: u64, amount: i64, reserved: i64) {
        let number = window.bucket_at(now);
        match self.buckets.back_mut() {
            // A clock that was set back, and buckets that were moved with it, may differ by a bucket.
            Some(bucket) if bucket.number >= number => {
                bucket.amount += amount;
                bucket.reserved += reserved;
            }
            _ => self.buckets.push_back(Bucket {
                number,
                amount,
                reserved,
            }),
        }
        self.sum += amount;
    }

    /// Adds an amount of another node to the bucket with this number, wherever that is among the others.
    pub(crate) fn merge(&mut self, number: u64, amount: i64) {
        let found = self
            .buckets
            .binary_search_by_key(&number, |bucket| bucket.number);
        match found {
            Ok(index) => {
                let merged = &mut self.buckets[index].amount;
                *merged = merged.saturating_add(amount);
            }
            Err(index) => self.buckets.insert(
                index,
                Bucket {
                    number,
                    amount,
                    reserved: 0,
                },
            ),
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Ends a reservation of the time `at`, and refunds a share of it, unless its bucket has left the window.
    pub(crate) fn release(&mut self, window: Window, at: u64, reserved: i64, refund: i64) {
        let number = window.bucket_at(at);
        let found = self
            .buckets
            .binary_search_by_key(&number, |bucket| bucket.number);
        if let Ok(index) = found {
            let bucket = &mut self.buckets[index];
            bucket.reserved -= reserved;
            bucket.amount -= refund;
            self.sum -= refund;
        }
    }

    /// Returns the milliseconds until the sum is at most `target`, if nothing else is added.
    pub(crate) fn time_until(&self, window: Window, now: u64, target: i64) -> u64 {
        let mut sum = self.sum;
        let mut buckets = self.buckets.iter();
        let mut end = now;
        while sum > target
            && let Some(bucket) = buckets.next()
        {
            sum -= bucket.amount;
            end = window.expiry(bucket.number);
        }
        end.saturating_sub(now)
    }

    /// Returns the number and the amount of each bucket, oldest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, i64)> {
        self.buckets
            .iter()
            .map(|bucket| (bucket.number, bucket.amount))
    }

    /// Moves all buckets by `shift` milliseconds, rounded up to whole buckets, after the clock was set.
    pub(crate) fn shift(&mut self, window: Window, shift: i64) {
        let length = window.bucket.cast_signed();
        let ahead = shift.div_euclid(length) + i64::from(shift.rem_euclid(length) > 0);
        for bucket in &mut self.buckets {
            bucket.number = bucket.number.saturating_add_signed(ahead);
        }
    }

    /// True if the window at `now` holds nothing.
    pub(crate) fn is_idle(&self, window: Window, now: u64) -> bool {
        let newest = self.buckets.back();
        newest.is_none_or(|bucket| window.expiry(bucket.number) <= now)
    }
}
