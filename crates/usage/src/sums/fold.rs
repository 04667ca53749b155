//! Moving new rows to where reports find them fast, and merging blocks.

use std::collections::{BTreeSet, HashMap, HashSet};

use base::UnixTime;
use base::time::{DAY, MINUTE};
use store::{Database, Error, Result, Transaction, cooperative};

use super::{Rows, Shape, table};
use crate::dictionary::{Dictionary, Wider};
use crate::sums::Detail;

/// How many blocks of new rows an organization may have before they move on, and how many rows in them.
const BLOCKS: usize = 16;
const ROWS: usize = 65_536;
/// How many of them move at once.
const AT_ONCE: i64 = 64;
/// The most days of the rows that move at once, but for those of one block: each costs blocks of its own.
const MAX_DAYS: usize = 32;
/// How many blocks of one tier, shape and period are merged into one of the next.
const MERGED: usize = 8;

/// What was added since rows moved on.
#[derive(Default)]
pub(crate) struct Fold {
    waiting: HashMap<i64, Waiting>,
    added: HashMap<i64, Waiting>,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    blocks: usize,
    rows: usize,
}

impl Waiting {
    fn is_due(self) -> bool {
        self.blocks >= BLOCKS || self.rows >= ROWS
    }
}

impl Fold {
    /// Adds new rows of an organization, in the transaction of the ledger's.
    pub(crate) async fn add(
        &mut self,
        transaction: &mut Transaction,
        organization: i64,
        rows: Rows,
    ) -> Result<()> {
        let added = self.added.entry(organization).or_default();
        added.blocks += 1;
        added.rows += rows.len();
        let place = (Shape::New, Shape::New.period(0), 0);
        table::insert(transaction, organization, place, rows.block(MINUTE)).await
    }

    /// To be told that a transaction begins: what the one before has added is not there if it was not committed.
    pub(crate) fn begin(&mut self) {
        self.added.clear();
    }

    /// To be told that it was committed.
    pub(crate) fn committed(&mut self) {
        for (organization, added) in self.added.drain() {
            let waiting = self.waiting.entry(organization).or_default();
            waiting.blocks += added.blocks;
            waiting.rows += added.rows;
        }
    }

    /// Moves the new rows of the organizations that have enough of them.
    pub(crate) async fn run(
        &mut self,
        database: &Database,
        dictionary: &mut Dictionary,
    ) -> Result<()> {
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.is_due());
        let due: Vec<i64> = due.map(|(organization, _)| *organization).collect();
        for organization in due {
            let mut transaction = database.begin().await?;
            dictionary.begin();
            // Where another node has the turn, it does this.
            let mut is_done = true;
            if transaction.try_advisory_lock(organization).await? {
                is_done = fold(&mut transaction, dictionary, organization).await?;
                transaction.commit().await?;
                dictionary.committed();
            }
            // What is left moves on after the next transaction.
            if is_done {
                self.waiting.remove(&organization);
            }
        }
        Ok(())
    }
}

/// Moves the oldest new rows of an organization on; whether these were all that it looked at.
async fn fold(
    transaction: &mut Transaction,
    dictionary: &mut Dictionary,
    organization: i64,
) -> Result<bool> {
    let new = (Shape::New, Shape::New.period(0));
    let blocks = table::oldest(transaction, organization, new, AT_ONCE).await?;
    let (mut rows, mut days, mut ids) = (Rows::default(), HashSet::new(), Vec::new());
    for (id, data) in &blocks {
        let mut more = Rows::default();
        more.push_block(data)?;
        days.extend(more.iter().map(|((_, at), _)| UnixTime(at).floor(DAY)));
        if !ids.is_empty() && days.len() > MAX_DAYS {
            break;
        }
        rows.append(&more);
        ids.push(*id);
    }
    table::delete(transaction, &ids).await?;
    place(transaction, dictionary, organization, rows).await?;
    Ok(ids.len() == blocks.len())
}

/// Adds rows by the minute to the sums of all other shapes: each is made of a finer one, which has fewer rows than there
/// were in the beginning.
pub(crate) async fn place(
    transaction: &mut Transaction,
    dictionary: &mut Dictionary,
    organization: i64,
    rows: Rows,
) -> Result<()> {
    dictionary.widen(transaction, rows.series()).await?;
    let mut touched = BTreeSet::new();
    let mut made = vec![(Shape::New, rows)];
    for shape in Shape::derived() {
        let of = made.iter().find(|(of, _)| *of == shape.made_of());
        let (_, finer) = of.ok_or(Error::NoRow)?;
        let width = shape.width().seconds();
        let mut last = None;
        let rows = finer.merged(|series, bucket| {
            let (of, wide) = last.filter(|(of, _)| *of == series).or_else(|| {
                let wider = dictionary.wider(series)?;
                let counts = shape.has_costs() || !wider.is_costs;
                Some((series, counts.then(|| series_in(shape, series, wider))))
            })?;
            last = Some((of, wide));
            Some((wide?, UnixTime(bucket).floor(width).0))
        });
        for (period, block) in rows.blocks(width, |bucket| shape.period(bucket)) {
            table::insert(transaction, organization, (shape, period, 1), block).await?;
            touched.insert((shape, period));
        }
        made.push((shape, rows));
        cooperative::yield_now_if_due();
    }
    for (shape, period) in touched {
        merge(transaction, organization, (shape, period)).await?;
    }
    Ok(())
}

/// The series that stands for `series` in a shape.
fn series_in(shape: Shape, series: i64, wider: Wider) -> i64 {
    match shape.detail() {
        Detail::Key => series,
        Detail::Project => wider.project,
        Detail::Model => wider.model,
    }
}

/// Merges the blocks of a shape and period as long as there are enough of one tier.
async fn merge(
    transaction: &mut Transaction,
    organization: i64,
    (shape, period): (Shape, i64),
) -> Result<()> {
    let width = shape.width().seconds();
    for tier in 1.. {
        let blocks = table::tiers(transaction, organization, (shape, period)).await?;
        let same = blocks.into_iter().filter(|(_, of)| *of == tier);
        let same: Vec<i64> = same.map(|(id, _)| id).collect();
        if same.len() < MERGED {
            break;
        }
        let mut rows = Rows::default();
        for data in table::take(transaction, &same).await? {
            rows.push_block(&data)?;
        }
        let place = (shape, period, tier + 1);
        table::insert(transaction, organization, place, rows.block(width)).await?;
    }
    Ok(())
}
