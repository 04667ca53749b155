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
    pub const MINUTE: Self = Self {
        bucket: 1_000,
        buckets: 60,
    };
    /// A day, in buckets of a quarter of an hour.
    pub const DAY: Self = Self {
        bucket: 15 * 60 * 1_000,
        buckets: 96,
    };

    /// Returns the time at which the bucket with this number leaves the window.
    fn expiry(self, bucket: u64) -> u64 {
        (bucket + self.buckets + 1) * self.bucket
    }
}

/// The amounts in a window, by bucket. Times never run backwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    /// The buckets in which anything was taken, oldest first.
    buckets: VecDeque<Bucket>,
    sum: i64,
}

/// A part of a window.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    number: u64,
    amount: i64,
    /// The part of the amount that is reserved, and may still change.
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

    /// Returns the part of the sum that is reserved. Must be called after [`Counter::sum`].
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
        let number = now / window.bucket;
        // Removing old buckets here bounds their number.
        self.sum(window, now);
        match self.buckets.back_mut() {
            Some(bucket) if bucket.number == number => {
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

    /// Ends a reservation of the time `at`, and refunds a part of it, unless its bucket has left the window.
    pub(crate) fn release(&mut self, window: Window, at: u64, reserved: i64, refund: i64) {
        let number = at / window.bucket;
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

    /// True if the window at `now` holds nothing.
    pub(crate) fn is_idle(&self, window: Window, now: u64) -> bool {
        let newest = self.buckets.back();
        newest.is_none_or(|bucket| window.expiry(bucket.number) <= now)
    }
}
