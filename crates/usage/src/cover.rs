//! Which sums answer for which part of a range of time.

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
/// coarsest rollup that has them, what is left at the edges from finer ones. In order, without gap or overlap.
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
    if first >= last {
        return cover(start, end, finer);
    }
    let mut segments = cover(start, first, finer);
    segments.push(Segment {
        source: Some(width),
        start: first,
        end: last,
    });
    segments.extend(cover(last, end, finer));
    segments
}
