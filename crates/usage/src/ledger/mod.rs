//! The ledger: one row for each metered request, never changed, in one table for each UTC day. Its sums are written in
//! the same transaction.

mod insert;
pub(crate) mod key;
pub(crate) mod packed;
pub mod page;
pub(crate) mod partition;
pub mod read;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base::ids::{OrganizationId, ProjectId};
use base::time::SECONDS_PER_DAY;
use base::{Clock, NanoDollars, UnixTime};
use rollup::Rows;
use store::{Database, Result, Transaction, Value, cooperative};

use crate::allowance::Allowance;
use crate::rollups::{Compaction, amounts_of, amounts_of_charge, minute_of, yielding_rows};
use crate::series::{EventSeries, SeriesInterner};
use crate::spend::{
    self, CountedSpend, ReservationKey, ReservedTotal, SliceSettlement, SliceTotal, SpendTotal,
};
use crate::{Charge, Month, PriceBook, Quantities, UsageEvent, under_way};
use key::{Source, key_of};
use partition::Partitions;

/// The longest dimension in bytes. Longer ones are truncated, since PostgreSQL indexes no more than 2,700 bytes a row.
const MAX_DIMENSION_BYTES: usize = 128;
/// The most models without a price that are remembered, so that each is logged once.
const MAX_WARNED_MODELS: usize = 1_000;

/// Appends events to the ledger.
pub(crate) struct Ledger {
    database: Database,
    prices: Arc<PriceBook>,
    clock: Clock,
    interner: SeriesInterner,
    partitions: Partitions,
    compaction: Compaction,
    warned: HashSet<Option<String>>,
    /// The events of the gateway in the current transaction whose keys are taken by other rows.
    conflicts: Vec<UsageEvent>,
}

/// An event to be written, with everything that is derived from it.
struct NewRow<'a> {
    event: Cow<'a, UsageEvent>,
    /// The index of the event among those to be appended.
    index: usize,
    charges: Vec<Charge>,
    unpriced: bool,
}

/// The result of an append.
#[derive(Default)]
pub(crate) struct Written {
    /// For each event, whether it was new.
    pub(crate) new: Vec<bool>,
    /// The spend after the append, for the months and projects in which new events cost something.
    pub(crate) spent: Vec<SpendTotal>,
    /// The reserved sums after the append, for the projects in which a reservation was released.
    pub(crate) reserved: Vec<ReservedTotal>,
    /// The slices after the append of which something was taken.
    pub(crate) slices: Vec<SliceTotal>,
    /// The number of events of the gateway that were not written, since their keys are taken by other rows.
    pub(crate) conflicts: usize,
    /// The refusal of all events; nothing was written then.
    pub(crate) refusal: Option<base::Error>,
}

impl Written {
    /// Returns the money that the append has changed.
    pub(crate) fn counted(&self) -> CountedSpend<'_> {
        CountedSpend {
            totals: &self.spent,
            reserved: &self.reserved,
            slices: &self.slices,
        }
    }
}

/// The properties of events to append, and what the transaction changes beside their rows.
#[derive(Clone, Copy)]
pub(crate) struct Append<'a> {
    pub(crate) source: Source,
    /// The allowance of the key that reports the events.
    pub(crate) allowance: Option<&'a Allowance>,
    /// The reservations to release.
    pub(crate) releases: &'a [ReservationKey],
    /// The ids of requests to delete from those under way.
    pub(crate) ended: &'a [String],
    /// The costs to take of slices of spend limits.
    pub(crate) settlements: &'a [SliceSettlement],
}

impl From<Source> for Append<'_> {
    fn from(source: Source) -> Self {
        Self {
            source,
            allowance: None,
            releases: &[],
            ended: &[],
            settlements: &[],
        }
    }
}

/// The rows that a transaction has inserted.
struct Inserted {
    /// The indexes of the new events.
    indexes: Vec<usize>,
    /// The cost of the new events.
    amount: NanoDollars,
    /// The spend after the transaction.
    spent: Vec<SpendTotal>,
}

impl Ledger {
    pub(crate) fn new(database: Database, prices: Arc<PriceBook>, clock: Clock) -> Self {
        Self {
            database,
            prices,
            clock,
            interner: SeriesInterner::default(),
            partitions: Partitions::default(),
            compaction: Compaction::default(),
            warned: HashSet::new(),
            conflicts: Vec::new(),
        }
    }

    /// Returns the same ledger with empty caches.
    pub(crate) fn anew(&self) -> Self {
        let (prices, clock) = (Arc::clone(&self.prices), self.clock.clone());
        Self::new(self.database.clone(), prices, clock)
    }

    /// Returns the time by the clock of the ledger.
    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Appends events of one source in one transaction. An event whose id its organization has used before on that day,
    /// in the ledger or in `events`, is a duplicate and leaves no trace. Events that exceed the allowance are refused as
    /// a whole.
    pub(crate) async fn append(
        &mut self,
        events: &[&UsageEvent],
        append: Append<'_>,
    ) -> Result<Written> {
        let entries = self.entries(events);
        let mut transaction = self.begin().await?;
        let Inserted {
            indexes,
            amount,
            spent,
        } = self.write(&mut transaction, entries, append.source).await?;
        if let Some(allowance) = append.allowance {
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
        let mut new = vec![false; events.len()];
        for index in indexes {
            new[index] = true;
        }
        let slices =
            spend::settle(&mut transaction, append.settlements, |event| new[event]).await?;
        let reserved = spend::release(&mut transaction, append.releases).await?;
        under_way::delete(&mut transaction, append.ended).await?;
        self.commit(transaction).await?;
        let conflicts = std::mem::take(&mut self.conflicts);
        for event in &conflicts {
            let (organization, id) = (&event.organization_id, event.id.as_str());
            tracing::error!(%organization, id, "ledger row conflict: another row has this id");
        }
        Ok(Written {
            new,
            spent,
            reserved,
            slices,
            conflicts: conflicts.len(),
            refusal: None,
        })
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<Transaction> {
        self.interner.begin();
        self.partitions.begin();
        self.compaction.begin();
        self.conflicts.clear();
        self.database.begin().await
    }

    /// Writes events with the given charges, which must be ordered by day, organization and id, each id once. Returns
    /// how many are new.
    pub(crate) async fn write_charged(
        &mut self,
        transaction: &mut Transaction,
        events: Vec<(UsageEvent, Vec<Charge>)>,
    ) -> Result<usize> {
        let entry = |(index, (event, charges))| NewRow {
            event: Cow::Owned(event),
            index,
            charges,
            unpriced: false,
        };
        let entries = events.into_iter().enumerate().map(entry).collect();
        let written = self.write(transaction, entries, Source::Gateway).await;
        Ok(written?.indexes.len())
    }

    /// Commits a transaction of [`Self::begin`].
    pub(crate) async fn commit(&mut self, transaction: Transaction) -> Result<()> {
        transaction.commit().await?;
        self.interner.committed();
        self.partitions.committed();
        self.compaction.committed();
        Ok(())
    }

    /// Writes rows, and adds their numbers to the sums.
    async fn write(
        &mut self,
        transaction: &mut Transaction,
        entries: Vec<NewRow<'_>>,
        source: Source,
    ) -> Result<Inserted> {
        let events = entries.iter().map(|entry| (&*entry.event, &*entry.charges));
        let numbers = self.interner.resolve(transaction, events).await?;
        let entries: Vec<_> = entries.into_iter().zip(numbers).collect();
        let mut indexes = Vec::with_capacity(entries.len());
        let (mut increments, mut amount) = (Increments::default(), NanoDollars::default());
        for of_day in entries.chunk_by(|a, b| a.0.day() == b.0.day()) {
            let day = of_day[0].0.day();
            let is_own = matches!(source, Source::Gateway | Source::Lost);
            let may_recreate = (is_own, self.clock.now());
            let table = self
                .partitions
                .ensure(transaction, &self.database, day, may_recreate);
            let table = table.await?;
            let inserted = self.insert(transaction, table, of_day, source).await?;
            let inserted = cooperative::yield_every(of_day.iter().zip(inserted));
            for ((entry, numbers), _) in inserted.filter(|(_, is_new)| *is_new) {
                indexes.push(entry.index);
                amount += total(&entry.charges);
                increments.add(&entry.event, &entry.charges, numbers);
            }
        }
        let spent = increments.write(transaction, &mut self.compaction).await?;
        Ok(Inserted {
            indexes,
            amount,
            spent,
        })
    }

    /// Compacts new rows of the rollups when there are enough of them.
    ///
    /// # Errors
    /// The database failed; nothing has changed then, and it is tried again after the next append.
    pub(crate) async fn compact(&mut self) -> Result<()> {
        self.compaction
            .run(&self.database, &mut self.interner)
            .await
    }

    /// Returns the database of the ledger.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the first event with each id of an organization and day, ordered by day, organization and id. The order
    /// keeps two programs that append the same events at the same time from deadlocks.
    fn entries<'a>(&mut self, events: &[&'a UsageEvent]) -> Vec<NewRow<'a>> {
        let key = |event: &&'a UsageEvent| {
            let day = event.timestamp.floor(SECONDS_PER_DAY);
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

    fn entry<'a>(&mut self, index: usize, event: &'a UsageEvent) -> NewRow<'a> {
        let event = fitting(event);
        let charges = self.prices.charges(&event);
        if charges.unpriced
            && self.warned.len() < MAX_WARNED_MODELS
            && self.warned.insert(event.model.clone())
        {
            let (model, kind) = (event.model.as_deref(), event.kind.as_str());
            tracing::warn!(model, kind, "price missing; usage charged as 0");
        }
        NewRow {
            index,
            charges: charges.charges,
            unpriced: charges.unpriced,
            event,
        }
    }
}

/// Returns the event with amounts within their bounds, and with texts that both databases can store and index:
/// truncated, and without NUL.
fn fitting(event: &UsageEvent) -> Cow<'_, UsageEvent> {
    let mut event = Cow::Borrowed(event);
    let quantities = event.quantities.bounded();
    if quantities != event.quantities {
        let (organization, id) = (&event.organization_id, event.id.as_str());
        tracing::error!(%organization, id, "usage event amounts out of range; capped");
        event.to_mut().quantities = quantities;
    }
    let fits = |text: &String| text.len() <= MAX_DIMENSION_BYTES && !text.contains('\0');
    if !event.texts().into_iter().flatten().all(fits) {
        for text in event.to_mut().texts_mut().into_iter().flatten() {
            text.truncate(text.floor_char_boundary(MAX_DIMENSION_BYTES));
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    event
}

impl NewRow<'_> {
    fn day(&self) -> UnixTime {
        self.event.timestamp.floor(SECONDS_PER_DAY)
    }

    fn row(&self, now: UnixTime, numbers: &EventSeries) -> Vec<Value> {
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
            packed::pack(&event.quantities, &self.charges).into(),
            total(&self.charges).into(),
        ]
    }
}

/// Returns the sum of charges.
pub(crate) fn total(charges: &[Charge]) -> NanoDollars {
    charges.iter().map(|charge| charge.amount).sum()
}

/// The numbers by which rows of the ledger raise its sums.
#[derive(Default)]
pub(crate) struct Increments {
    /// The rows of the rollups, by organization.
    pub(crate) rollups: BTreeMap<i64, Rows>,
    pub(crate) spend: BTreeMap<(UnixTime, OrganizationId, ProjectId), NanoDollars>,
}

impl Increments {
    /// Adds the numbers of a row of the ledger.
    pub(crate) fn add(&mut self, event: &UsageEvent, charges: &[Charge], numbers: &EventSeries) {
        let rows = self.rollups.entry(numbers.organization);
        let rows = rows.or_insert_with(yielding_rows);
        let minute = minute_of(event.timestamp);
        if event.quantities != Quantities::default() {
            rows.push(numbers.series, minute, &amounts_of(&event.quantities));
        }
        for (charge, series) in charges.iter().zip(&numbers.charges) {
            rows.push(*series, minute, &amounts_of_charge(charge));
        }
        let amount = total(charges);
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

    /// Writes the increments. Returns the spend afterwards of the months and projects that they are of.
    async fn write(
        self,
        transaction: &mut Transaction,
        compaction: &mut Compaction,
    ) -> Result<Vec<SpendTotal>> {
        for (organization, rows) in self.rollups {
            if !rows.is_empty() {
                compaction.append(transaction, organization, rows).await?;
            }
        }
        spend::add(transaction, self.spend.into_iter()).await
    }
}
