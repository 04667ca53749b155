//! Segments: the parts of a range of time, each answered by one width of rollup.

use base::UnixTime;

use crate::Width;

/// A part of a range of time, and the source of its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The width of the rollup that answers for the segment; `None` for the ledger itself.
    pub source: Option<Width>,
    /// The first second.
    pub start: UnixTime,
    /// The second after the last.
    pub end: UnixTime,
}

/// Divides `start..end` among rollups of `widths`, coarsest first, and the ledger: full buckets come from the coarsest
/// width that has them, partial buckets at the edges from finer ones. Segments are in order, without gap or overlap. A
/// segment finer than the coarsest width lies within one bucket of that width.
#[must_use]
pub fn segments(start: UnixTime, end: UnixTime, widths: &[Width]) -> Vec<Segment> {
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
        return segments(start, end, finer);
    }
    let mut all = segments(start, first, finer);
    if first < last {
        all.push(Segment {
            source: Some(width),
            start: first,
            end: last,
        });
    }
    all.extend(segments(last, end, finer));
    all
}

#[cfg(test)]
mod tests {
    use base::time::{SECONDS_PER_DAY, SECONDS_PER_MINUTE};
    use proptest::prelude::*;

    use super::*;

    const ALL: &[Width] = &[Width::Day, Width::Hour, Width::Minute];

    proptest! {
        #[test]
        fn segments_are_aligned_and_leave_no_gap(start in 0..4 * SECONDS_PER_DAY, length in 0..3 * SECONDS_PER_DAY) {
            let (start, end) = (UnixTime(start), UnixTime(start + length));
            let segments = segments(start, end, ALL);
            let mut at = start;
            for segment in &segments {
                prop_assert_eq!(segment.start, at);
                prop_assert!(segment.start < segment.end);
                let width = segment.source.map_or(1, Width::seconds);
                prop_assert_eq!(segment.start.floor(width), segment.start);
                prop_assert_eq!(segment.end.floor(width), segment.end);
                if segment.source != Some(Width::Day) {
                    prop_assert_eq!(segment.start.floor(SECONDS_PER_DAY), segment.end.plus(-1).floor(SECONDS_PER_DAY));
                }
                at = segment.end;
            }
            prop_assert_eq!(at, end.max(start));
            // An edge of a minute, an hour and a day on either side, and the days between.
            prop_assert!(segments.len() <= 7);
            let of_ledger = segments.iter().filter(|segment| segment.source.is_none());
            let of_ledger: i64 = of_ledger.map(|segment| segment.end.0 - segment.start.0).sum();
            prop_assert!(of_ledger < 2 * SECONDS_PER_MINUTE);
        }
    }
}
