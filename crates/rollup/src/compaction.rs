//! Compaction: moving rows from [`Rollup::New`] to the other rollups, and merging small blocks into larger ones.
//!
//! Appending is cheap: a block of new rows for each transaction of the ledger. Once an organization has enough of them,
//! its rows are added to the other rollups as blocks of tier 1; [`MERGE_COUNT`] blocks of one tier, rollup and period are
//! merged into one of the next tier. So each row is rewritten a few times, and a report reads few blocks.

use std::collections::{HashMap, HashSet};

use base::UnixTime;
use base::time::SECONDS_PER_DAY;

use crate::{CorruptBlock, Granularity, Rollup, Rows};

/// The number of blocks of new rows from which on an organization is due for compaction.
pub const DUE_BLOCKS_COUNT: usize = 16;
/// The number of new rows from which on an organization is due for compaction.
const DUE_ROWS_COUNT: usize = 65_536;
/// The most blocks of new rows that are compacted at once.
pub const MAX_COMPACTED_BLOCKS: i64 = 64;
/// The most days whose rows are compacted at once, unless one block alone has more: each day costs blocks of its own.
const MAX_COMPACTED_DAYS: usize = 32;
/// The number of blocks of one tier, rollup and period that are merged into one of the next tier.
const MERGE_COUNT: usize = 8;

/// The new rows of each organization that wait for compaction, as far as this process has added them.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: HashMap<i64, Waiting>,
    added: HashMap<i64, Waiting>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    blocks: usize,
    rows: usize,
}

impl Waiting {
    fn is_due(self) -> bool {
        self.blocks >= DUE_BLOCKS_COUNT || self.rows >= DUE_ROWS_COUNT
    }
}

impl Backlog {
    /// Counts a block of new rows that the current transaction adds.
    pub fn add(&mut self, organization: i64, rows: usize) {
        let added = self.added.entry(organization).or_default();
        added.blocks += 1;
        added.rows += rows;
    }

    /// Starts a transaction: forgets the blocks that the one before has added without committing.
    pub fn begin(&mut self) {
        self.added.clear();
    }

    /// Keeps the blocks that the transaction has added, which was committed.
    pub fn committed(&mut self) {
        for (organization, added) in self.added.drain() {
            let waiting = self.waiting.entry(organization).or_default();
            waiting.blocks += added.blocks;
            waiting.rows += added.rows;
        }
    }

    /// Counts blocks of an organization that are in the database, whoever has added them.
    pub fn found(&mut self, organization: i64, blocks: usize) {
        let waiting = self.waiting.entry(organization).or_default();
        waiting.blocks = waiting.blocks.max(blocks);
    }

    /// Returns the organizations that are due for compaction.
    #[must_use]
    pub fn due(&self) -> Vec<i64> {
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.is_due());
        due.map(|(organization, _)| *organization).collect()
    }

    /// Forgets the rows of an organization, which were compacted.
    pub fn compacted(&mut self, organization: i64) {
        self.waiting.remove(&organization);
    }
}

/// The rows of the oldest blocks of an organization, as many as are compacted at once.
pub struct OldestRows {
    /// The rows.
    pub rows: Rows,
    /// The ids of the blocks that have the rows.
    pub ids: Vec<i64>,
}

impl OldestRows {
    /// Reads `blocks`, oldest first, until they have rows of more than `MAX_COMPACTED_DAYS` days. `pause` as in
    /// [`Rows::with_pause`].
    ///
    /// # Errors
    /// A value of `blocks` is not a block.
    pub fn read(blocks: &[(i64, Vec<u8>)], pause: fn()) -> Result<Self, CorruptBlock> {
        let mut oldest = Self {
            rows: Rows::with_pause(pause),
            ids: Vec::new(),
        };
        let mut days = HashSet::new();
        for (id, data) in blocks {
            let mut more = Rows::default();
            more.push_block(data)?;
            days.extend(
                more.iter()
                    .map(|((_, at), _)| UnixTime(at).floor(SECONDS_PER_DAY)),
            );
            if !oldest.ids.is_empty() && days.len() > MAX_COMPACTED_DAYS {
                break;
            }
            oldest.rows.append(&more);
            oldest.ids.push(*id);
        }
        Ok(oldest)
    }
}

/// The series to which a series belongs in coarser rollups.
#[derive(Clone, Copy, Debug)]
pub struct Parents {
    /// The series at [`Granularity::Project`].
    pub project: i64,
    /// The series at [`Granularity::Model`].
    pub model: i64,
    /// True if the series is one of costs.
    pub is_costs: bool,
}

impl Parents {
    /// Returns the series that stands for `series` in a rollup; `None` if the rollup does not have it.
    fn series_in(self, rollup: Rollup, series: i64) -> Option<i64> {
        let of_rollup = match rollup.granularity() {
            Granularity::Key => series,
            Granularity::Project => self.project,
            Granularity::Model => self.model,
        };
        (rollup.has_costs() || !self.is_costs).then_some(of_rollup)
    }
}

/// A block of tier 1 that compaction adds.
pub struct DerivedBlock {
    /// The rollup that the block belongs to.
    pub rollup: Rollup,
    /// The first second of the span that the block is of.
    pub period: i64,
    /// The encoded rows.
    pub data: Vec<u8>,
}

/// Derives blocks of all rollups from rows by the minute. Each rollup is added up from its parent, which has fewer rows
/// than there were at first. Rows of a series without `parents` are left out of coarser rollups.
#[must_use]
pub fn derive(rows: Rows, parents: impl Fn(i64) -> Option<Parents>) -> Vec<DerivedBlock> {
    let mut blocks = Vec::new();
    // In the order of `Rollup::ALL`, in which a parent comes first.
    let mut all = vec![rows];
    for rollup in Rollup::derived() {
        let parent = &all[rollup.parent() as usize];
        let width = rollup.width().seconds();
        // Rows of a series follow each other, so its parents are looked up once.
        let mut last = None;
        let rows = parent.merged(|series, bucket| {
            let known = last.filter(|(of, _)| *of == series).or_else(|| {
                let in_rollup = parents(series)?.series_in(rollup, series);
                Some((series, in_rollup))
            })?;
            last = Some(known);
            Some((known.1?, UnixTime(bucket).floor(width).0))
        });
        let of_rollup = rows.blocks(width, |bucket| rollup.period(bucket));
        blocks.extend(of_rollup.into_iter().map(|(period, data)| DerivedBlock {
            rollup,
            period,
            data,
        }));
        all.push(rows);
    }
    blocks
}

/// Returns the blocks of `tier` among the ids and tiers of the blocks of one rollup and period, if there are enough of
/// them to be merged.
#[must_use]
pub fn merge_candidates(blocks: &[(i64, i64)], tier: i64) -> Option<Vec<i64>> {
    let same = blocks.iter().filter(|(_, of)| *of == tier);
    let same: Vec<i64> = same.map(|(id, _)| *id).collect();
    (same.len() >= MERGE_COUNT).then_some(same)
}

#[cfg(test)]
mod tests {
    use base::time::SECONDS_PER_MINUTE;

    use super::*;
    use crate::Amounts;

    fn row(amount: i64) -> Amounts {
        let mut amounts = Amounts::default();
        amounts.set(0, amount);
        amounts
    }

    #[test]
    fn an_organization_is_due_once_enough_of_its_blocks_are_committed() {
        let mut backlog = Backlog::default();
        for _ in 0..DUE_BLOCKS_COUNT {
            backlog.begin();
            backlog.add(1, 1);
        }
        backlog.begin();
        assert!(backlog.due().is_empty(), "nothing was committed");
        for _ in 0..DUE_BLOCKS_COUNT {
            backlog.begin();
            backlog.add(1, 1);
            backlog.committed();
        }
        backlog.begin();
        backlog.add(2, DUE_ROWS_COUNT);
        backlog.committed();
        let mut due = backlog.due();
        due.sort_unstable();
        assert_eq!(due, [1, 2]);
        backlog.compacted(1);
        assert_eq!(backlog.due(), [2]);
        backlog.compacted(2);
        backlog.found(3, DUE_BLOCKS_COUNT - 1);
        assert!(backlog.due().is_empty());
        backlog.found(3, DUE_BLOCKS_COUNT);
        assert_eq!(backlog.due(), [3]);
    }

    #[test]
    fn rows_of_too_many_days_are_left_for_the_next_compaction() {
        let block = |days: std::ops::Range<i64>| {
            let mut rows = Rows::default();
            days.for_each(|day| rows.push(1, UnixTime(day * SECONDS_PER_DAY), &row(1)));
            rows.block(SECONDS_PER_MINUTE)
        };
        let blocks = [(7, block(0..40)), (8, block(40..41))];
        let oldest = OldestRows::read(&blocks, || {}).expect("blocks");
        assert_eq!((oldest.ids, oldest.rows.len()), (vec![7], 40));
        let blocks = [(7, block(0..20)), (8, block(10..30)), (9, block(20..33))];
        let oldest = OldestRows::read(&blocks, || {}).expect("blocks");
        assert_eq!((oldest.ids, oldest.rows.len()), (vec![7, 8], 40));
    }

    #[test]
    fn each_rollup_has_the_sums_of_its_granularity() {
        let mut rows = Rows::default();
        for series in [1, 2, 3] {
            for minute in [0, 1, 90] {
                rows.push(series, UnixTime(minute * SECONDS_PER_MINUTE), &row(series));
            }
        }
        // Two keys of project 10, and costs of project 12; all of model 20.
        let parents = |series| {
            Some(Parents {
                project: if series == 3 { 12 } else { 10 },
                model: 20,
                is_costs: series == 3,
            })
        };
        let sums = |rollup: Rollup| -> Vec<(i64, i64, i64)> {
            let mut found = Rows::default();
            let mut again = Rows::default();
            again.append(&rows);
            for block in derive(again, parents) {
                if block.rollup == rollup {
                    found.push_block(&block.data).expect("a block");
                }
            }
            let of = |((series, bucket), sum): ((i64, i64), Amounts)| {
                (
                    series,
                    bucket / SECONDS_PER_MINUTE,
                    sum.get(0).unwrap_or_default(),
                )
            };
            found.iter().map(of).collect()
        };
        assert_eq!(sums(Rollup::Minutes).len(), 9);
        let by_model = [(20, 0, 3), (20, 1, 3), (20, 90, 3)];
        assert_eq!(sums(Rollup::MinutesByModel), by_model, "without costs");
        let hours = [
            (1, 0, 2),
            (1, 60, 1),
            (2, 0, 4),
            (2, 60, 2),
            (3, 0, 6),
            (3, 60, 3),
        ];
        assert_eq!(sums(Rollup::Hours), hours);
        let by_project = [(10, 0, 6), (10, 60, 3), (12, 0, 6), (12, 60, 3)];
        assert_eq!(sums(Rollup::HoursByProject), by_project);
        assert_eq!(sums(Rollup::Days), [(1, 0, 3), (2, 0, 6), (3, 0, 9)]);
        assert_eq!(sums(Rollup::DaysByProject), [(10, 0, 9), (12, 0, 9)]);
        assert_eq!(sums(Rollup::DaysByModel), [(20, 0, 18)]);
    }

    #[test]
    fn blocks_are_merged_once_there_are_enough_of_a_tier() {
        let mut blocks: Vec<(i64, i64)> = (1..8).map(|id| (id, 1)).collect();
        blocks.push((8, 2));
        assert_eq!(merge_candidates(&blocks, 1), None);
        blocks.push((9, 1));
        let candidates = vec![1, 2, 3, 4, 5, 6, 7, 9];
        assert_eq!(merge_candidates(&blocks, 1), Some(candidates));
        assert_eq!(merge_candidates(&blocks, 2), None);
    }
}
