//! Pages of buckets.

use base::UnixTime;
use rollup::Width;

/// A page of buckets, oldest first, empty ones included.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets<T> {
    /// The buckets.
    pub buckets: Vec<Bucket<T>>,
    /// The start of the first bucket that is not here; `None` at the end.
    pub next: Option<UnixTime>,
}

/// A span of time and its results.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket<T> {
    /// The start, aligned to the width in UTC even if the query begins later.
    pub start: UnixTime,
    /// The start of the following bucket.
    pub end: UnixTime,
    /// The results of the groups that have any, ordered by the groups' values.
    pub results: Vec<T>,
}

/// The part of a query that one page covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// The first second.
    pub(crate) start: UnixTime,
    /// The second after the last.
    pub(crate) end: UnixTime,
    /// The start of the bucket after the last one; `None` at the end.
    pub(crate) next: Option<UnixTime>,
}

impl Page {
    /// Returns the page of the first `limit` buckets of `start..end`, at least one.
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

#[cfg(test)]
mod tests {
    use super::*;

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
