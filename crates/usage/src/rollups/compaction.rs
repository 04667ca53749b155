//! Compaction of the blocks in the database.

use std::collections::BTreeSet;
use std::time::Duration;

use base::time::{SECONDS_PER_MINUTE, Stopwatch};
use rollup::{
    Backlog, DUE_BLOCKS_COUNT, MAX_COMPACTED_BLOCKS, OldestRows, Parents, Rollup, Rows, derive,
    merge_candidates,
};
use store::{Database, Result, Transaction, cooperative};

use super::{corrupt, table, yielding_rows};
use crate::series::SeriesInterner;

/// The interval at which blocks are counted that no process may know of any more, since the one that added them has ended.
const COUNT_INTERVAL: Duration = Duration::from_secs(60);

/// Appends new rows to the rollups, and compacts them when an organization has enough.
#[derive(Default)]
pub(crate) struct Compaction {
    backlog: Backlog,
    /// The time since blocks in the database were counted; `None` before the first time.
    counted: Option<Stopwatch>,
}

impl Compaction {
    /// Appends new rows of an organization, in the transaction that writes the ledger's.
    pub(crate) async fn append(
        &mut self,
        transaction: &mut Transaction,
        organization: i64,
        rows: Rows,
    ) -> Result<()> {
        self.backlog.add(organization, rows.len());
        let place = (Rollup::New, Rollup::New.period(0), 0);
        table::insert(
            transaction,
            organization,
            place,
            rows.block(SECONDS_PER_MINUTE),
        )
        .await
    }

    /// Must be called when a transaction begins: rows of an earlier one that did not commit are forgotten.
    pub(crate) fn begin(&mut self) {
        self.backlog.begin();
    }

    /// Must be called when the transaction has committed.
    pub(crate) fn committed(&mut self) {
        self.backlog.committed();
    }

    /// Compacts the new rows of the organizations that are due. An organization that another node is compacting is left
    /// to that node.
    ///
    /// # Errors
    /// The database failed; what was not compacted stays due.
    pub(crate) async fn run(
        &mut self,
        database: &Database,
        interner: &mut SeriesInterner,
    ) -> Result<()> {
        let is_counted = |since: Stopwatch| since.elapsed() < COUNT_INTERVAL;
        if !self.counted.is_some_and(is_counted) {
            self.counted = Some(Stopwatch::start());
            let mut read = database.read().await?;
            for (organization, blocks) in table::waiting(&mut read, DUE_BLOCKS_COUNT).await? {
                self.backlog.found(organization, blocks);
            }
        }
        for organization in self.backlog.due() {
            let mut transaction = database.begin().await?;
            interner.begin();
            let mut is_done = true;
            if transaction.try_advisory_lock(organization).await? {
                is_done = compact(&mut transaction, interner, organization).await?;
                transaction.commit().await?;
                interner.committed();
            }
            // Blocks that are left are compacted after the next transaction.
            if is_done {
                self.backlog.compacted(organization);
            }
        }
        Ok(())
    }
}

/// Compacts the oldest new rows of an organization. True if no blocks that were looked at are left.
async fn compact(
    transaction: &mut Transaction,
    interner: &mut SeriesInterner,
    organization: i64,
) -> Result<bool> {
    let new = (Rollup::New, Rollup::New.period(0));
    let blocks = table::oldest(transaction, organization, new, MAX_COMPACTED_BLOCKS).await?;
    let oldest = OldestRows::read(&blocks, cooperative::yield_now_if_due).map_err(corrupt)?;
    table::delete(transaction, &oldest.ids).await?;
    add_to_all(transaction, interner, organization, oldest.rows).await?;
    Ok(oldest.ids.len() == blocks.len())
}

/// Adds rows by the minute to all rollups but [`Rollup::New`].
pub(crate) async fn add_to_all(
    transaction: &mut Transaction,
    interner: &mut SeriesInterner,
    organization: i64,
    rows: Rows,
) -> Result<()> {
    interner.find_parents(transaction, rows.series()).await?;
    let parents = |series| -> Option<Parents> { interner.parents(series) };
    let mut touched = BTreeSet::new();
    for block in derive(rows, parents) {
        let place = (block.rollup, block.period, 1);
        table::insert(transaction, organization, place, block.data).await?;
        touched.insert((block.rollup, block.period));
    }
    for place in touched {
        merge(transaction, organization, place).await?;
    }
    Ok(())
}

/// Merges the blocks of a rollup and period, tier by tier, as long as there are enough of a tier.
async fn merge(
    transaction: &mut Transaction,
    organization: i64,
    (rollup, period): (Rollup, i64),
) -> Result<()> {
    let width = rollup.width().seconds();
    for tier in 1.. {
        let blocks = table::tiers(transaction, organization, (rollup, period)).await?;
        let Some(same) = merge_candidates(&blocks, tier) else {
            break;
        };
        let mut rows = yielding_rows();
        for data in table::take(transaction, &same).await? {
            rows.push_block(&data).map_err(corrupt)?;
        }
        let place = (rollup, period, tier + 1);
        table::insert(transaction, organization, place, rows.block(width)).await?;
    }
    Ok(())
}
