//! Buckets and pages, and which sums answer for which part of a range of time.

use base::UnixTime;
use base::time::{DAY, HOUR, MINUTE};

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A UTC day.
    Day,
}

impl Width {
    /// The width named `1m`, `1h` or `1d`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "1m" => Some(Self::Minute),
            "1h" => Some(Self::Hour),
            "1d" => Some(Self::Day),
            _ => None,
        }
    }

    /// How many seconds it has.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }
}

/// A page of buckets, oldest first, empty ones included.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets<T> {
    /// The buckets.
    pub buckets: Vec<Bucket<T>>,
    /// The start of the first bucket that is not here; `None` at the end.
    pub next: Option<UnixTime>,
}

/// A span of time and what was counted in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket<T> {
    /// The start, aligned to the width in UTC also where the query begins later.
    pub start: UnixTime,
    /// The start of the following bucket.
    pub end: UnixTime,
    /// One result for each group that has anything, in the order of the groups' values.
    pub results: Vec<T>,
}

/// The part of a query that one answer has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// The first second that counts.
    pub(crate) start: UnixTime,
    /// The second after the last one that counts.
    pub(crate) end: UnixTime,
    /// The start of the bucket after the last one; none at the end.
    pub(crate) next: Option<UnixTime>,
}

impl Page {
    /// The first `limit` buckets of `start..end`, at least one.
    pub(crate) fn new(start: UnixTime, end: UnixTime, width: Width, limit: i64) -> Self {
        let length = width.seconds().saturating_mul(limit.max(1));
        let next = start.floor(width.seconds()).plus(length);
        Self {
            start,
            end: end.min(next),
            next: (next < end).then_some(next),
        }
    }
}

/// A part of a range, and what answers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The rollup of this width; the ledger itself when there is none.
    pub(crate) source: Option<Width>,
    /// The first second.
    pub(crate) start: UnixTime,
    /// The second after the last.
    pub(crate) end: UnixTime,
}

/// Divides `start..end` among the rollups of `widths`, coarsest first, and the ledger: whole buckets come from the
/// coarsest rollup that has them, what is left at the edges from finer ones. In order, without gap or overlap; a segment
/// that is finer than the coarsest width lies in one bucket of that width.
pub(crate) fn cover(start: UnixTime, end: UnixTime, widths: &[Width]) -> Vec<Segment> {
    if start >= end {
        return Vec::new();
    }
    let Some((&width, finer)) = widths.split_first() else {
        return vec![Segment {
            source: None,
            start,
            end,
        }];
    };
    let first = start.plus(width.seconds() - 1).floor(width.seconds());
    let last = end.floor(width.seconds());
    if first > last {
        return cover(start, end, finer);
    }
    let mut segments = cover(start, first, finer);
    if first < last {
        segments.push(Segment {
            source: Some(width),
            start: first,
            end: last,
        });
    }
    segments.extend(cover(last, end, finer));
    segments
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: &[Width] = &[Width::Day, Width::Hour, Width::Minute];

    proptest! {
        #[test]
        fn segments_are_aligned_and_leave_no_gap(start in 0..4 * DAY, length in 0..3 * DAY) {
            let (start, end) = (UnixTime(start), UnixTime(start + length));
            let segments = cover(start, end, ALL);
            let mut at = start;
            for segment in &segments {
                prop_assert_eq!(segment.start, at);
                prop_assert!(segment.start < segment.end);
                let width = segment.source.map_or(1, Width::seconds);
                prop_assert_eq!(segment.start.floor(width), segment.start);
                prop_assert_eq!(segment.end.floor(width), segment.end);
                if segment.source != Some(Width::Day) {
                    prop_assert_eq!(segment.start.floor(DAY), segment.end.plus(-1).floor(DAY));
                }
                at = segment.end;
            }
            prop_assert_eq!(at, end.max(start));
            // Two edges of a minute, an hour and a day, and what is between.
            prop_assert!(segments.len() <= 7);
            let of_ledger = segments.iter().filter(|segment| segment.source.is_none());
            let of_ledger: i64 = of_ledger.map(|segment| segment.end.0 - segment.start.0).sum();
            prop_assert!(of_ledger < 2 * MINUTE);
        }
    }

    #[test]
    fn a_page_begins_and_ends_at_buckets() {
        let page = Page::new(UnixTime(90), UnixTime(400), Width::Minute, 2);
        assert_eq!((page.start, page.end), (UnixTime(90), UnixTime(180)));
        assert_eq!(page.next, Some(UnixTime(180)));
        let last = Page::new(UnixTime(360), UnixTime(400), Width::Minute, 0);
        assert_eq!((last.end, last.next), (UnixTime(400), None));
        let nothing = Page::new(UnixTime(400), UnixTime(400), Width::Day, 7);
        assert_eq!((nothing.end, nothing.next), (UnixTime(400), None));
    }
}
