//! The ledger: one row for each metered request, never changed, and its sums in the same transaction. It has one table for
//! each day.

mod insert;
pub(crate) mod key;
pub(crate) mod packed;
pub(crate) mod partition;
pub mod read;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base::ids::{OrganizationId, ProjectId};
use base::time::DAY;
use base::{Clock, NanoDollars, UnixTime};
use store::{Database, Result, Transaction, Value, cooperative};

use crate::allowance::Allowance;
use crate::dictionary::{Dictionary, Known};
use crate::spend::{self, Release, Reserved, Total};
use crate::sums::{Amounts, Fold, Rows, minute_of};
use crate::{Charge, Month, PriceBook, Quantities, UsageEvent};
use key::{Source, key_of};
use partition::Partitions;

/// The longest dimension in bytes; longer ones are cut, since PostgreSQL indexes no more than 2,700 bytes a row.
const LONGEST_TEXT: usize = 128;
/// How many models without a price are remembered, so that each is logged once.
const MOST_WARNED: usize = 1_000;

/// Appends events.
pub(crate) struct Ledger {
    database: Database,
    prices: Arc<PriceBook>,
    clock: Clock,
    dictionary: Dictionary,
    partitions: Partitions,
    fold: Fold,
    warned: HashSet<Option<String>>,
    /// The gateway's own events of this transaction whose keys other rows have.
    conflicts: Vec<UsageEvent>,
}

/// An event with all that is derived from it.
struct Entry<'a> {
    event: Cow<'a, UsageEvent>,
    /// Where it was among those to be appended.
    index: usize,
    lines: Vec<Charge>,
    unpriced: bool,
}

/// What an append has done.
#[derive(Default)]
pub(crate) struct Written {
    /// Of each event, whether it was new.
    pub(crate) new: Vec<bool>,
    /// What was spent then, where the new ones cost something.
    pub(crate) spent: Vec<Total>,
    /// The reservations after the append, where something was released.
    pub(crate) reserved: Vec<Reserved>,
    /// The number of the gateway's own events that are in no row, since their keys are those of other rows.
    pub(crate) conflicts: usize,
    /// The refusal of all of them.
    pub(crate) refusal: Option<base::Error>,
}

/// The rows that a transaction has inserted.
struct Inserted {
    /// The indexes of the new events.
    indexes: Vec<usize>,
    /// The cost of the new events.
    amount: NanoDollars,
    /// The spend after the transaction.
    spent: Vec<Total>,
}

impl Ledger {
    pub(crate) fn new(database: Database, prices: Arc<PriceBook>, clock: Clock) -> Self {
        Self {
            database,
            prices,
            clock,
            dictionary: Dictionary::default(),
            partitions: Partitions::default(),
            fold: Fold::default(),
            warned: HashSet::new(),
            conflicts: Vec::new(),
        }
    }

    /// Returns the same ledger with nothing known of it.
    pub(crate) fn anew(&self) -> Self {
        let (prices, clock) = (Arc::clone(&self.prices), self.clock.clone());
        Self::new(self.database.clone(), prices, clock)
    }

    /// Appends events of one source in one transaction, and says of each whether it was new: an event whose id its
    /// organization has used before on that day, in the ledger or in `events`, is the same event and leaves no trace.
    /// More than `allowance` has room for is refused as a whole. In the same transaction `releases` are released.
    pub(crate) async fn append(
        &mut self,
        events: &[&UsageEvent],
        source: Source,
        allowance: Option<&Allowance>,
        releases: &[Release],
    ) -> Result<Written> {
        let entries = self.entries(events);
        let mut transaction = self.begin().await?;
        let Inserted {
            indexes,
            amount,
            spent,
        } = self.write(&mut transaction, entries, source).await?;
        if let Some(allowance) = allowance {
            let count = i64::try_from(indexes.len()).unwrap_or(i64::MAX);
            let now = self.clock.now();
            let taken = allowance.take(&mut transaction, now, (count, amount), &spent);
            if let Some(refusal) = taken.await? {
                return Ok(Written {
                    refusal: Some(refusal),
                    ..Written::default()
                });
            }
        }
        let reserved = spend::release(&mut transaction, releases).await?;
        self.commit(transaction).await?;
        let mut new = vec![false; events.len()];
        for index in indexes {
            new[index] = true;
        }
        let conflicts = std::mem::take(&mut self.conflicts);
        for event in &conflicts {
            let (organization, id) = (&event.organization_id, event.id.as_str());
            tracing::error!(%organization, id, "ledger row conflict: another row has this id");
        }
        Ok(Written {
            new,
            spent,
            reserved,
            conflicts: conflicts.len(),
            refusal: None,
        })
    }

    /// Begins a transaction of the ledger.
    pub(crate) async fn begin(&mut self) -> Result<Transaction> {
        self.dictionary.begin();
        self.partitions.begin();
        self.fold.begin();
        self.conflicts.clear();
        self.database.begin().await
    }

    /// Adds rows with bills that are given, in the order of days, organizations and ids, each id once; how many are new.
    pub(crate) async fn write_bills(
        &mut self,
        transaction: &mut Transaction,
        bills: Vec<(UsageEvent, Vec<Charge>)>,
    ) -> Result<usize> {
        let entry = |(index, (event, lines))| Entry {
            event: Cow::Owned(event),
            index,
            lines,
            unpriced: false,
        };
        let entries = bills.into_iter().enumerate().map(entry).collect();
        let written = self.write(transaction, entries, Source::Gateway).await;
        Ok(written?.indexes.len())
    }

    /// Makes what was written last.
    pub(crate) async fn commit(&mut self, transaction: Transaction) -> Result<()> {
        transaction.commit().await?;
        self.dictionary.committed();
        self.partitions.committed();
        self.fold.committed();
        Ok(())
    }

    /// Writes rows and what they add to the sums.
    async fn write(
        &mut self,
        transaction: &mut Transaction,
        entries: Vec<Entry<'_>>,
        source: Source,
    ) -> Result<Inserted> {
        let bills = entries.iter().map(|entry| (&*entry.event, &*entry.lines));
        let numbers = self.dictionary.look_up(transaction, bills).await?;
        let entries: Vec<_> = entries.into_iter().zip(numbers).collect();
        let mut indexes = Vec::with_capacity(entries.len());
        let (mut added, mut amount) = (Added::default(), NanoDollars::default());
        for of_day in entries.chunk_by(|a, b| a.0.day() == b.0.day()) {
            let day = of_day[0].0.day();
            let may_remake = (source == Source::Gateway, self.clock.now());
            let table = self
                .partitions
                .make(transaction, &self.database, day, may_remake);
            let table = table.await?;
            let inserted = self.insert(transaction, table, of_day, source).await?;
            let inserted = cooperative::yield_every(of_day.iter().zip(inserted));
            for ((entry, numbers), _) in inserted.filter(|(_, is_new)| *is_new) {
                indexes.push(entry.index);
                amount += total(&entry.lines);
                added.add(&entry.event, &entry.lines, numbers);
            }
        }
        let spent = added.write(transaction, &mut self.fold).await?;
        Ok(Inserted {
            indexes,
            amount,
            spent,
        })
    }

    /// Puts the newest sums where reports find them fast, when there are enough of them.
    ///
    /// # Errors
    /// What the database said; then nothing has changed, and it is tried again after the next append.
    pub(crate) async fn fold(&mut self) -> Result<()> {
        self.fold.run(&self.database, &mut self.dictionary).await
    }

    /// Where it is written.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The first event with each id of an organization and day, in the order of days, organizations and ids: so two
    /// programs that append the same events at the same time do not wait for each other.
    fn entries<'a>(&mut self, events: &[&'a UsageEvent]) -> Vec<Entry<'a>> {
        let key = |event: &&'a UsageEvent| {
            let day = event.timestamp.floor(DAY);
            (day, &event.organization_id, key_of(event))
        };
        let keys: Vec<_> = events.iter().map(key).collect();
        let mut first: Vec<usize> = (0..events.len()).collect();
        first.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
        first.dedup_by(|later, first| keys[*later] == keys[*first]);
        let first = cooperative::yield_every(first);
        first
            .map(|index| self.entry(index, events[index]))
            .collect()
    }

    fn entry<'a>(&mut self, index: usize, event: &'a UsageEvent) -> Entry<'a> {
        let event = fitting(event);
        let charges = self.prices.charges(&event);
        if charges.unpriced
            && self.warned.len() < MOST_WARNED
            && self.warned.insert(event.model.clone())
        {
            let (model, kind) = (event.model.as_deref(), event.kind.as_str());
            tracing::warn!(model, kind, "no price: counted, and charged as 0");
        }
        Entry {
            index,
            lines: charges.lines,
            unpriced: charges.unpriced,
            event,
        }
    }
}

/// The event with amounts that an event can have, and texts that both databases can keep and index: bounded, and without
/// NUL.
fn fitting(event: &UsageEvent) -> Cow<'_, UsageEvent> {
    let mut event = Cow::Borrowed(event);
    let quantities = event.quantities.bounded();
    if quantities != event.quantities {
        let (organization, id) = (&event.organization_id, event.id.as_str());
        tracing::error!(%organization, id, "usage event has absurd amounts: they are cut");
        event.to_mut().quantities = quantities;
    }
    let fits = |text: &String| text.len() <= LONGEST_TEXT && !text.contains('\0');
    if !event.texts().into_iter().flatten().all(fits) {
        for text in event.to_mut().texts_mut().into_iter().flatten() {
            text.truncate(text.floor_char_boundary(LONGEST_TEXT));
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    event
}

impl Entry<'_> {
    fn day(&self) -> UnixTime {
        self.event.timestamp.floor(DAY)
    }

    fn row(&self, now: UnixTime, numbers: &Known) -> Vec<Value> {
        let event = &self.event;
        vec![
            numbers.organization.into(),
            (*key_of(event)).into(),
            event.timestamp.into(),
            now.into(),
            numbers.series.into(),
            event.estimated.into(),
            self.unpriced.into(),
            event.outcome.as_str().into(),
            packed::pack(&event.quantities, &self.lines).into(),
            total(&self.lines).into(),
        ]
    }
}

/// What the lines of a bill come to.
pub(crate) fn total(lines: &[Charge]) -> NanoDollars {
    lines.iter().map(|line| line.amount).sum()
}

/// What some rows of the ledger add to its sums.
#[derive(Default)]
pub(crate) struct Added {
    /// By organization.
    pub(crate) sums: BTreeMap<i64, Rows>,
    pub(crate) spend: BTreeMap<(UnixTime, OrganizationId, ProjectId), NanoDollars>,
}

impl Added {
    /// Adds what a row adds.
    pub(crate) fn add(&mut self, event: &UsageEvent, lines: &[Charge], numbers: &Known) {
        let rows = self.sums.entry(numbers.organization).or_default();
        let minute = minute_of(event.timestamp);
        if event.quantities != Quantities::default() {
            rows.push(numbers.series, minute, &Amounts::from(&event.quantities));
        }
        for (line, series) in lines.iter().zip(&numbers.lines) {
            rows.push(
                *series,
                minute,
                &Amounts::of_line(line.quantity, line.amount),
            );
        }
        let amount = total(lines);
        if amount != NanoDollars::default() {
            let month = Month::of(event.timestamp).start;
            let key = (
                month,
                event.organization_id.clone(),
                event.project_id.clone(),
            );
            *self.spend.entry(key).or_default() += amount;
        }
    }

    /// Writes all this; what was spent then in the months that it is of.
    async fn write(self, transaction: &mut Transaction, fold: &mut Fold) -> Result<Vec<Total>> {
        for (organization, rows) in self.sums {
            if !rows.is_empty() {
                fold.add(transaction, organization, rows).await?;
            }
        }
        spend::add(transaction, self.spend.into_iter()).await
    }
}
