//! The blob that a store keeps for a name: the part of each node, in a compact encoding.
//!
//! Integers are LEB128. A blob is the format, the number of quantities, the number of parts, and the parts; a part is its
//! epoch, the end of its slice, and for each quantity the slice, the number of buckets, and the buckets: the number of the
//! first one, of a later one the distance to the one before, each followed by its amount.

use integer_encoding::VarInt;

use crate::window::Window;

/// The format that this version writes, and the only one that it reads.
const FORMAT_VERSION: u64 = 1;
/// The most bytes of a blob.
pub const MAX_BLOB_BYTES: usize = 1 << 20;
/// The most parts in a blob.
const MAX_PARTS: usize = 4_096;
/// The largest amount of a bucket or slice.
const MAX_BUCKET_AMOUNT: i64 = 1 << 50;
/// The longest encoding of an integer.
const MAX_INTEGER_BYTES: usize = 10;
/// The epoch of the common entry, which has the use of nodes that are over. No node has it.
pub(crate) const COMMON_EPOCH_ID: u64 = 0;

/// The use of a name by one node, and what that node may still use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodePart<const N: usize> {
    pub(crate) epoch: u64,
    /// The end of the slice, in milliseconds.
    pub(crate) until: u64,
    /// The amount of each quantity that the node may still use.
    pub(crate) slice: [i64; N],
    /// The number and the amount of each bucket, oldest first.
    pub(crate) used: [Vec<(u64, i64)>; N],
}

impl<const N: usize> NodePart<N> {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            until: 0,
            slice: [0; N],
            used: std::array::from_fn(|_| Vec::new()),
        }
    }

    /// Moves what is dated after `latest` to that time: only a clock that was set back leaves such dates.
    fn clamp(&mut self, windows: &[Window; N], latest: u64) {
        self.until = self.until.min(latest);
        for (buckets, window) in self.used.iter_mut().zip(windows) {
            let latest = window.bucket_at(latest);
            let is_later = |bucket: &&(u64, i64)| bucket.0 > latest;
            let late = buckets.iter().rev().take_while(is_later).count();
            if late > 0 {
                let late = buckets.split_off(buckets.len() - late);
                let amount = late.iter().map(|(_, amount)| amount).sum();
                push_bucket(buckets, latest, amount);
            }
        }
    }

    /// Removes what has left its window at `lo`.
    fn expire(&mut self, windows: &[Window; N], lo: u64) {
        let quantities = self.used.iter_mut().zip(&mut self.slice).zip(windows);
        for ((buckets, slice), window) in quantities {
            buckets.retain(|(number, amount)| window.expiry(*number) > lo && *amount > 0);
            if window.expiry(window.bucket_at(self.until)) <= lo {
                *slice = 0;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.slice.iter().all(|slice| *slice == 0) && self.used.iter().all(Vec::is_empty)
    }

    /// Adds the use of a node that is over. Its slice counts as used when it ended.
    fn absorb(&mut self, windows: &[Window; N], part: &Self) {
        for (quantity, window) in windows.iter().enumerate() {
            let buckets = &mut self.used[quantity];
            for (number, amount) in &part.used[quantity] {
                insert_bucket(buckets, *number, *amount);
            }
            if part.slice[quantity] > 0 {
                insert_bucket(buckets, window.bucket_at(part.until), part.slice[quantity]);
            }
        }
    }
}

/// Adds an amount to the last bucket, or to a new one behind it.
fn push_bucket(buckets: &mut Vec<(u64, i64)>, number: u64, amount: i64) {
    match buckets.last_mut() {
        Some(last) if last.0 == number => last.1 = (last.1 + amount).min(MAX_BUCKET_AMOUNT),
        _ => buckets.push((number, amount.min(MAX_BUCKET_AMOUNT))),
    }
}

/// Adds an amount to the bucket with this number.
fn insert_bucket(buckets: &mut Vec<(u64, i64)>, number: u64, amount: i64) {
    match buckets.binary_search_by_key(&number, |bucket| bucket.0) {
        Ok(index) => buckets[index].1 = (buckets[index].1 + amount).min(MAX_BUCKET_AMOUNT),
        Err(index) => buckets.insert(index, (number, amount)),
    }
}

/// The parts of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts<const N: usize>(pub(crate) Vec<NodePart<N>>);

impl<const N: usize> Parts<N> {
    /// Reads a blob that a store has kept. An empty blob has no parts.
    ///
    /// Returns `None` for bytes that are no blob of a format that this version knows, or beyond a bound.
    #[must_use]
    pub fn decode(mut bytes: &[u8], windows: &[Window; N]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        if bytes.len() > MAX_BLOB_BYTES || take(&mut bytes)? != FORMAT_VERSION {
            return None;
        }
        let quantities = usize::try_from(take(&mut bytes)?).ok()?;
        let count = usize::try_from(take(&mut bytes)?).ok()?;
        if quantities > N || count > MAX_PARTS {
            return None;
        }
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(take_part(&mut bytes, &windows[..quantities])?);
        }
        bytes.is_empty().then_some(Self(parts))
    }

    /// Returns the blob of these parts.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 * self.0.len());
        push(&mut out, FORMAT_VERSION);
        push(&mut out, N as u64);
        push(&mut out, self.0.len() as u64);
        for part in &self.0 {
            push(&mut out, part.epoch);
            push(&mut out, part.until);
            for (slice, buckets) in part.slice.iter().zip(&part.used) {
                push(&mut out, slice.unsigned_abs());
                push(&mut out, buckets.len() as u64);
                let mut last = 0;
                for (number, amount) in buckets {
                    push(&mut out, number - last);
                    push(&mut out, amount.unsigned_abs());
                    last = *number;
                }
            }
        }
        out
    }

    /// Moves dates after `latest` to that time.
    pub(crate) fn clamp(&mut self, windows: &[Window; N], latest: u64) {
        for part in &mut self.0 {
            part.clamp(windows, latest);
        }
    }

    /// Removes what has left its window at `lo`, and parts without anything.
    pub(crate) fn expire(&mut self, windows: &[Window; N], lo: u64) {
        self.0.retain_mut(|part| {
            part.expire(windows, lo);
            !part.is_empty()
        });
    }

    /// Moves the parts of nodes that are over to the common entry.
    pub(crate) fn fold(&mut self, windows: &[Window; N], is_over: impl Fn(u64) -> bool) {
        let (dead, living): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|part| part.epoch == COMMON_EPOCH_ID || is_over(part.epoch));
        self.0 = living;
        if !dead.is_empty() {
            let mut common = NodePart::new(COMMON_EPOCH_ID);
            for part in &dead {
                common.absorb(windows, part);
            }
            self.0.push(common);
        }
    }

    /// Returns what all parts have used of a quantity, and may still use.
    pub(crate) fn total(&self, quantity: usize) -> i64 {
        let amounts = self.0.iter().map(|part| {
            let used = part.used[quantity].iter().map(|(_, amount)| amount);
            used.fold(part.slice[quantity], |sum, amount| {
                sum.saturating_add(*amount)
            })
        });
        amounts.fold(0, i64::saturating_add)
    }

    /// Returns the time at which nothing of this is within a window any more.
    #[must_use]
    pub fn expiry(&self, windows: &[Window; N]) -> u64 {
        let mut end = 0;
        for part in &self.0 {
            for (quantity, window) in windows.iter().enumerate() {
                if let Some((number, _)) = part.used[quantity].last() {
                    end = end.max(window.expiry(*number));
                }
                if part.slice[quantity] > 0 {
                    end = end.max(window.expiry(window.bucket_at(part.until)));
                }
            }
        }
        end
    }
}

fn take_part<const N: usize>(bytes: &mut &[u8], windows: &[Window]) -> Option<NodePart<N>> {
    let mut part = NodePart::new(take(bytes)?);
    part.until = take(bytes)?;
    for (quantity, window) in windows.iter().enumerate() {
        part.slice[quantity] = take_amount(bytes)?;
        let count = usize::try_from(take(bytes)?).ok()?;
        // Nodes whose clocks differ, and the end of a slice, add a few buckets to a window.
        if count > 2 * window.max_buckets() {
            return None;
        }
        let mut last: Option<u64> = None;
        for _ in 0..count {
            let ahead = take(bytes)?;
            let number = match last {
                Some(_) if ahead == 0 => return None,
                Some(last) => last.checked_add(ahead)?,
                None => ahead,
            };
            part.used[quantity].push((number, take_amount(bytes)?));
            last = Some(number);
        }
    }
    Some(part)
}

fn push(out: &mut Vec<u8>, number: u64) {
    let mut encoded = [0; MAX_INTEGER_BYTES];
    let length = number.encode_var(&mut encoded);
    out.extend_from_slice(&encoded[..length]);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (number, length) = u64::decode_var(bytes)?;
    *bytes = bytes.get(length..)?;
    Some(number)
}

fn take_amount(bytes: &mut &[u8]) -> Option<i64> {
    let amount = i64::try_from(take(bytes)?).ok()?;
    (amount <= MAX_BUCKET_AMOUNT).then_some(amount)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOWS: [Window; 2] = [Window::MINUTE, Window::DAY];

    fn buckets() -> impl Strategy<Value = Vec<(u64, i64)>> {
        let buckets = prop::collection::btree_map(0..100_000_u64, 1..MAX_BUCKET_AMOUNT, 0..20);
        buckets.prop_map(|buckets| buckets.into_iter().collect())
    }

    fn part() -> impl Strategy<Value = NodePart<2>> {
        let slices = prop::array::uniform2(0..MAX_BUCKET_AMOUNT);
        let used = prop::array::uniform2(buckets());
        (any::<u64>(), any::<u64>(), slices, used).prop_map(|(epoch, until, slice, used)| {
            NodePart {
                epoch,
                until,
                slice,
                used,
            }
        })
    }

    proptest! {
        #[test]
        fn parts_are_read_as_they_were_written(parts in prop::collection::vec(part(), 0..6)) {
            let parts = Parts(parts);
            prop_assert_eq!(Parts::decode(&parts.encode(), &WINDOWS), Some(parts));
        }

        #[test]
        fn arbitrary_bytes_are_parts_or_nothing_and_every_step_bears_them(
            bytes: Vec<u8>,
            times in prop::array::uniform2(any::<u64>()),
        ) {
            let mut with_head = vec![1, 2, 1];
            with_head.extend(&bytes);
            for bytes in [bytes, with_head] {
                if let Some(mut parts) = Parts::decode(&bytes, &WINDOWS) {
                    parts.clamp(&WINDOWS, times[0]);
                    parts.fold(&WINDOWS, |epoch| epoch % 2 == 0);
                    parts.expire(&WINDOWS, times[1]);
                    let again = Parts::decode(&parts.encode(), &WINDOWS);
                    prop_assert_eq!(again.as_ref().map(|parts| parts.total(0)), Some(parts.total(0)));
                    prop_assert!(parts.0.is_empty() || parts.expiry(&WINDOWS) > times[1]);
                }
            }
        }

        #[test]
        fn folding_changes_no_sum(parts in prop::collection::vec(part(), 0..6)) {
            let mut parts = Parts(parts);
            for part in &mut parts.0 {
                part.slice = part.slice.map(|slice| slice >> 10);
                for bucket in part.used.iter_mut().flatten() {
                    bucket.1 = (bucket.1 >> 10).max(1);
                }
            }
            let before = [parts.total(0), parts.total(1)];
            parts.fold(&WINDOWS, |epoch| epoch % 2 == 0);
            prop_assert_eq!([parts.total(0), parts.total(1)], before);
        }
    }

    #[test]
    fn bytes_of_another_format_or_beyond_a_bound_are_refused() {
        let blob = Parts(vec![NodePart::<2>::new(7)]).encode();
        assert_eq!(blob, [1, 2, 1, 7, 0, 0, 0, 0, 0]);
        assert!(Parts::<2>::decode(&blob, &WINDOWS).is_some());
        let other_format = [2, 2, 1, 7, 0, 0, 0, 0, 0];
        let more_quantities = [1, 3, 0];
        let repeated_bucket = [1, 1, 1, 7, 0, 0, 2, 5, 1, 0, 1];
        let surplus = [1, 2, 0, 0];
        for bytes in [
            &other_format[..],
            &more_quantities,
            &repeated_bucket,
            &surplus,
        ] {
            assert_eq!(Parts::<2>::decode(bytes, &WINDOWS), None, "{bytes:?}");
        }
        // A blob of a version that knows fewer quantities is complete.
        let fewer = Parts(vec![NodePart::<1>::new(7)]).encode();
        assert!(Parts::<2>::decode(&fewer, &WINDOWS).is_some());
    }

    #[test]
    fn dates_of_a_clock_that_was_set_back_are_moved_to_the_latest_possible_time() {
        let mut part = NodePart::<2>::new(7);
        part.until = 90_000;
        part.used[0] = vec![(3, 1), (80, 2), (81, 4)];
        part.clamp(&WINDOWS, 10_500);
        assert_eq!(
            (part.until, &part.used[0][..]),
            (10_500, &[(3, 1), (10, 6)][..])
        );
    }
}
