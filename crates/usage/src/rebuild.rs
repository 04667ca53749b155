//! Rebuilding all sums from the ledger.

use std::collections::HashSet;

use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use store::{Database, Error, Transaction};

use crate::ledger::Increments;
use crate::ledger::partition;
use crate::ledger::read::LedgerReader;
use crate::series::SeriesInterner;
use crate::{LedgerEntry, Month, rollups, spend};

/// The number of rows of the ledger that are added up in memory before the sums are written.
const BATCH_ROWS_COUNT: usize = 50_000;

/// Recomputes every sum from the ledger in one transaction, which keeps other writers of the ledger waiting. The sums
/// of days whose ledger was dropped, and the spend of their months, stay as they are. `progress` is called with the
/// number of rows that are done.
///
/// # Errors
/// The database failed; nothing has changed then.
pub async fn rebuild(database: &Database, mut progress: impl FnMut(u64)) -> Result<(), Error> {
    let mut transaction = database.begin().await?;
    transaction.lock_table("usage_sums").await?;
    let (first, last) = (UnixTime(i64::MIN), UnixTime(i64::MAX));
    let gone = partition::dropped(&mut transaction, first, last).await?;
    let kept: HashSet<UnixTime> = gone.iter().copied().collect();
    rollups::clear(&mut transaction, &kept).await?;
    let since = gone.last().map_or(first, |day| Month::of(*day).end);
    transaction.execute(spend::clear(since)).await?;
    let mut interner = SeriesInterner::default();
    let mut entries = LedgerReader::of(&mut transaction, None, first, last).await?;
    let (mut increments, mut waiting, mut done) = (Increments::default(), 0, 0);
    loop {
        let page = entries.next(&mut transaction).await?;
        // The sums of a day that was dropped stay, and include the rows of its new table.
        let adds =
            |entry: &&LedgerEntry| !kept.contains(&entry.event.timestamp.floor(SECONDS_PER_DAY));
        let entries = page.iter().filter(adds);
        let events = entries.map(|entry| (&entry.event, &*entry.charges));
        let numbers = interner.resolve(&mut transaction, events.clone()).await?;
        for ((event, charges), numbers) in events.zip(&numbers) {
            increments.add(event, charges, numbers);
        }
        waiting += page.len();
        if waiting >= BATCH_ROWS_COUNT || page.is_empty() {
            increments.spend.retain(|(month, ..), _| *month >= since);
            write(
                &mut transaction,
                &mut interner,
                std::mem::take(&mut increments),
            )
            .await?;
            waiting = 0;
        }
        if page.is_empty() {
            return transaction.commit().await;
        }
        done += page.len() as u64;
        progress(done);
    }
}

/// Adds increments to the sums.
async fn write(
    transaction: &mut Transaction,
    interner: &mut SeriesInterner,
    increments: Increments,
) -> Result<(), Error> {
    for (organization, rows) in increments.rollups {
        rollups::add_to_all(transaction, interner, organization, rows).await?;
    }
    spend::add(transaction, increments.spend.into_iter()).await?;
    // Numbers found so far stay valid within this transaction.
    interner.committed();
    interner.begin();
    Ok(())
}
