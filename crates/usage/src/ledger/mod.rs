//! The ledger: one row for each metered request, never changed, and its sums in the same transaction. It has one table for
//! each day.

pub(crate) mod packed;
pub(crate) mod partition;
pub mod read;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base::ids::{OrganizationId, ProjectId};
use base::time::DAY;
use base::{Clock, NanoDollars, UnixTime};
use store::{Database, Result, Transaction, USAGE_EVENTS, Value, courteous, sql};

use crate::dictionary::{Dictionary, Known};
use crate::spend::{self, Release, Reserved, Total};
use crate::sums::{Amounts, Fold, Rows, minute_of};
use crate::{Charge, Month, PriceBook, Quantities, UsageEvent};
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
pub(crate) struct Written {
    /// Of each event, whether it was new.
    pub(crate) new: Vec<bool>,
    /// What was spent then, where the new ones cost something.
    pub(crate) spent: Vec<Total>,
    /// What is reserved then, where something was released.
    pub(crate) reserved: Vec<Reserved>,
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
        }
    }

    /// Appends events in one transaction, and says of each whether it was new: an event whose id its organization has
    /// used before on that day, in the ledger or in `events`, is the same event and leaves no trace. In the same
    /// transaction `releases` are released.
    pub(crate) async fn append(
        &mut self,
        events: &[&UsageEvent],
        releases: &[Release],
    ) -> Result<Written> {
        let entries = self.entries(events);
        let mut transaction = self.begin().await?;
        let (inserted, spent) = self.write(&mut transaction, entries).await?;
        let reserved = spend::release(&mut transaction, releases).await?;
        self.commit(transaction).await?;
        let mut new = vec![false; events.len()];
        for index in inserted {
            new[index] = true;
        }
        Ok(Written {
            new,
            spent,
            reserved,
        })
    }

    /// Begins a transaction of the ledger.
    pub(crate) async fn begin(&mut self) -> Result<Transaction> {
        self.dictionary.begin();
        self.partitions.begin();
        self.fold.begin();
        self.database.begin().await
    }

    /// Adds rows with bills that are given, in the order of days, organizations and ids, each id once.
    pub(crate) async fn write_bills(
        &mut self,
        transaction: &mut Transaction,
        bills: Vec<(UsageEvent, Vec<Charge>)>,
    ) -> Result<()> {
        let entry = |(index, (event, lines))| Entry {
            event: Cow::Owned(event),
            index,
            lines,
            unpriced: false,
        };
        let entries = bills.into_iter().enumerate().map(entry).collect();
        self.write(transaction, entries).await.map(|_| ())
    }

    /// Makes what was written last.
    pub(crate) async fn commit(&mut self, transaction: Transaction) -> Result<()> {
        transaction.commit().await?;
        self.dictionary.committed();
        self.partitions.committed();
        self.fold.committed();
        Ok(())
    }

    /// Writes rows and what they add to the sums: the indexes of those that are new, and what was spent then.
    async fn write(
        &mut self,
        transaction: &mut Transaction,
        entries: Vec<Entry<'_>>,
    ) -> Result<(Vec<usize>, Vec<Total>)> {
        let bills = entries.iter().map(|entry| (&*entry.event, &*entry.lines));
        let numbers = self.dictionary.look_up(transaction, bills).await?;
        let entries: Vec<_> = entries.into_iter().zip(numbers).collect();
        let mut new = Vec::with_capacity(entries.len());
        let mut added = Added::default();
        for of_day in entries.chunk_by(|a, b| a.0.day() == b.0.day()) {
            let day = of_day[0].0.day();
            let made = self.partitions.make(transaction, &self.database, day);
            made.await?;
            let inserted = self.insert(transaction, day, of_day).await?;
            let inserted = courteous(of_day.iter().zip(inserted));
            for ((entry, numbers), _) in inserted.filter(|(_, is_new)| *is_new) {
                new.push(entry.index);
                added.add(&entry.event, &entry.lines, numbers);
            }
        }
        let spent = added.write(transaction, &mut self.fold).await?;
        Ok((new, spent))
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
        let key = |index: &usize| {
            let event = events[*index];
            (
                event.timestamp.floor(DAY),
                &event.organization_id,
                event.id.as_str(),
            )
        };
        let mut first: Vec<usize> = (0..events.len()).collect();
        first.sort_by(|a, b| key(a).cmp(&key(b)));
        first.dedup_by(|later, first| key(later) == key(first));
        let first = courteous(first);
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

    /// Inserts the entries of a day that are not there yet; of each, whether it was not.
    async fn insert(
        &self,
        transaction: &mut Transaction,
        day: UnixTime,
        entries: &[(Entry<'_>, Known)],
    ) -> Result<Vec<bool>> {
        let mut head = sql!("INSERT INTO ");
        head.push_partition(USAGE_EVENTS, day).push(
            " (organization, id, timestamp, recorded_at, series, estimated, unpriced, outcome, amounts, amount) VALUES ",
        );
        let tail = sql!(" ON CONFLICT (organization, id) DO NOTHING");
        let now = self.clock.now();
        let mut new = Vec::with_capacity(entries.len());
        for entries in entries.chunk_by(|a, b| a.1.organization == b.1.organization) {
            let rows = courteous(entries).map(|(entry, numbers)| entry.row(now, numbers));
            let inserted = transaction.insert_new(&head, rows.collect(), &tail, (1, "id"));
            new.extend(inserted.await?);
        }
        Ok(new)
    }
}

/// The event with texts that both databases can keep and index: bounded, and without NUL.
fn fitting(event: &UsageEvent) -> Cow<'_, UsageEvent> {
    let mut event = Cow::Borrowed(event);
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
            event.id.as_str().into(),
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
