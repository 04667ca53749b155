//! Makes the sums anew from the ledger.

use std::collections::HashSet;

use base::UnixTime;
use base::time::DAY;
use store::{Database, Error, Transaction};

use crate::dictionary::Dictionary;
use crate::ledger::Added;
use crate::ledger::partition;
use crate::ledger::read::Entries;
use crate::{Entry, Month};
use crate::{spend, sums};

/// How many rows of the ledger are added up in memory before they go to the sums.
const AT_ONCE: usize = 50_000;

/// Recomputes every sum from the ledger, but for those of days whose ledger is gone, and of their months' spend: in one transaction that keeps other writers of the ledger waiting.
/// `progress` is told now and then how many rows of the ledger are done.
///
/// # Errors
/// What the database said; then nothing has changed.
pub async fn rebuild(database: &Database, mut progress: impl FnMut(u64)) -> Result<(), Error> {
    let mut transaction = database.begin().await?;
    transaction.lock_table("usage_sums").await?;
    let (first, last) = (UnixTime(i64::MIN), UnixTime(i64::MAX));
    let gone = partition::dropped(&mut transaction, first, last).await?;
    let kept: HashSet<UnixTime> = gone.iter().copied().collect();
    sums::clear(&mut transaction, &kept).await?;
    let since = gone.last().map_or(first, |day| Month::of(*day).end);
    transaction.execute(spend::clear(since)).await?;
    let mut dictionary = Dictionary::default();
    let mut entries = Entries::of(&mut transaction, None, first, last).await?;
    let (mut added, mut waiting, mut done) = (Added::default(), 0, 0);
    loop {
        let page = entries.next(&mut transaction).await?;
        // The sums of a day that was dropped stay, and have what its new table has.
        let adds = |entry: &&Entry| !kept.contains(&entry.event.timestamp.floor(DAY));
        let bills = page.iter().filter(adds);
        let bills = bills.map(|entry| (&entry.event, &*entry.charges));
        let numbers = dictionary.look_up(&mut transaction, bills.clone()).await?;
        for ((event, lines), numbers) in bills.zip(&numbers) {
            added.add(event, lines, numbers);
        }
        waiting += page.len();
        if waiting >= AT_ONCE || page.is_empty() {
            added.spend.retain(|(month, ..), _| *month >= since);
            write(
                &mut transaction,
                &mut dictionary,
                std::mem::take(&mut added),
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

/// Adds to the sums.
async fn write(
    transaction: &mut Transaction,
    dictionary: &mut Dictionary,
    added: Added,
) -> Result<(), Error> {
    for (organization, rows) in added.sums {
        sums::place(transaction, dictionary, organization, rows).await?;
    }
    spend::add(transaction, added.spend.into_iter()).await?;
    // What was found stays true within this transaction.
    dictionary.committed();
    dictionary.begin();
    Ok(())
}
