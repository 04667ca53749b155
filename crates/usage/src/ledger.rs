//! The ledger: one row for each metered request, never changed, and its sums in the same transaction.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::ids::Id;
use base::{Clock, UnixTime};
use store::{Database, Result, Row, Transaction, Value, sql};

use crate::columns::{metric_values, push_metrics};
use crate::rollup::{Addend, Line, Rollups, total};
use crate::series::{Dictionary, Series};
use crate::spend::Total;
use crate::{Metric, PriceBook, UsageEvent};

/// The longest dimension in bytes; longer ones are cut, since PostgreSQL indexes no more than 2,700 bytes a row.
const LONGEST_TEXT: usize = 128;
/// How many events are worked on before requests that wait for this core go first.
const AT_ONCE: usize = 32;
/// How many models without a price are remembered, so that each is logged once.
const MOST_WARNED: usize = 1_000;

/// Appends events.
pub(crate) struct Ledger {
    database: Database,
    prices: Arc<PriceBook>,
    clock: Clock,
    dictionary: Dictionary,
    warned: HashSet<Option<String>>,
}

/// An event with all that is derived from it.
struct Entry<'a> {
    event: Cow<'a, UsageEvent>,
    series: Series,
    lines: Vec<Line>,
    unpriced: bool,
}

/// What an append has done.
pub(crate) struct Written {
    /// Of each event, whether it was new.
    pub(crate) new: Vec<bool>,
    /// What was spent then, where the new ones cost something.
    pub(crate) spent: Vec<Total>,
}

impl Ledger {
    pub(crate) fn new(database: Database, prices: Arc<PriceBook>, clock: Clock) -> Self {
        Self {
            database,
            prices,
            clock,
            dictionary: Dictionary::default(),
            warned: HashSet::new(),
        }
    }

    /// Appends events in one transaction, and says of each whether it was new: an event whose id its organization has
    /// used before, in the ledger or in `events`, is the same event and leaves no trace.
    pub(crate) async fn append(&mut self, events: &[&UsageEvent]) -> Result<Written> {
        let first = first_of_each(events);
        let mut entries = Vec::with_capacity(first.len());
        for some in first.chunks(AT_ONCE) {
            entries.extend(some.iter().map(|&index| self.entry(events[index])));
            // As between statements: requests may wait for this core.
            std::thread::yield_now();
        }
        let mut transaction = self.database.begin().await?;
        let series = || entries.iter().map(|entry| &entry.series);
        let found = self.dictionary.look_up(&mut transaction, series());
        let found = found.await?;
        let series_id = |series| {
            let id = self
                .dictionary
                .id(series)
                .or_else(|| found.get(series).copied());
            id.ok_or(store::Error::NoRow)
        };
        let ids: Vec<i64> = series().map(series_id).collect::<Result<_>>()?;
        let new = insert(&mut transaction, self.clock.now(), &entries, &ids).await?;
        let mut rollups = Rollups::default();
        let mut appended = vec![false; events.len()];
        for ((entry, series_id), index) in entries.iter().zip(ids).zip(&first) {
            let event = &entry.event;
            if new.has(event) {
                rollups.add(&Addend {
                    organization_id: &event.organization_id,
                    project_id: &event.project_id,
                    time: event.timestamp,
                    series: series_id,
                    quantities: &event.quantities,
                    lines: &entry.lines,
                });
                appended[*index] = true;
            }
        }
        let spent = rollups.write(&mut transaction).await?;
        transaction.commit().await?;
        self.dictionary.learn(found);
        Ok(Written {
            new: appended,
            spent,
        })
    }

    /// Where it is written.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    fn entry<'a>(&mut self, event: &'a UsageEvent) -> Entry<'a> {
        let event = fitting(event);
        let charges = self.prices.charges(&event);
        if charges.unpriced
            && self.warned.len() < MOST_WARNED
            && self.warned.insert(event.model.clone())
        {
            let (model, kind) = (event.model.as_deref(), event.kind.as_str());
            tracing::warn!(model, kind, "no price: counted, and charged as 0");
        }
        let lines = charges.lines.into_iter();
        Entry {
            series: Series::of(&event),
            lines: lines
                .map(|line| (line.item.to_string(), line.quantity, line.amount))
                .collect(),
            unpriced: charges.unpriced,
            event,
        }
    }
}

/// The index of the first event with each id, in the order of the ids: so two programs that append the same events at
/// the same time do not wait for each other.
fn first_of_each(events: &[&UsageEvent]) -> Vec<usize> {
    let mut first = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        let key = (event.organization_id.as_str(), event.id.as_str());
        first.entry(key).or_insert(index);
    }
    let mut first: Vec<_> = first.into_iter().collect();
    first.sort_unstable();
    first.into_iter().map(|(_, index)| index).collect()
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

/// Which entries were not there yet.
enum New {
    All,
    /// The organizations and ids of these.
    Some(HashSet<(String, String)>),
}

impl New {
    fn has(&self, event: &UsageEvent) -> bool {
        match self {
            Self::All => true,
            Self::Some(new) => new.contains(&(event.organization_id.to_string(), event.id.clone())),
        }
    }
}

/// Inserts the entries that are not there yet.
async fn insert(
    transaction: &mut Transaction,
    now: UnixTime,
    entries: &[Entry<'_>],
    series_ids: &[i64],
) -> Result<New> {
    let mut head = sql!(
        "INSERT INTO usage_events (organization_id, id, timestamp, recorded_at, series_id, estimated, outcome, \
         unpriced, charges, amount"
    );
    push_metrics(&mut head, Metric::ALL);
    head.push(") VALUES ");
    let tail = sql!(" ON CONFLICT (organization_id, id) DO NOTHING RETURNING organization_id, id");
    let rows = entries.iter().zip(series_ids);
    let rows = rows
        .map(|(entry, series_id)| entry.row(now, *series_id))
        .collect();
    let key = |row: &Row<'_>| Ok((row.get("organization_id")?, row.get("id")?));
    let new = transaction.write_rows(&head, rows, &tail, key).await?;
    Ok(if new.len() == entries.len() {
        New::All
    } else {
        New::Some(new.into_iter().collect())
    })
}

impl Entry<'_> {
    fn row(&self, now: UnixTime, series_id: i64) -> Vec<Value> {
        let event = &self.event;
        let charges = serde_json::to_string(&self.lines).unwrap_or_default();
        let own = [
            (&event.organization_id).into(),
            event.id.as_str().into(),
            event.timestamp.into(),
            now.into(),
            series_id.into(),
            event.estimated.into(),
            event.outcome.as_str().into(),
            self.unpriced.into(),
            charges.into(),
            total(&self.lines).into(),
        ];
        own.into_iter()
            .chain(metric_values(&event.quantities))
            .collect()
    }
}
