//! Inserting the rows of a day: each event once, and no row in place of another.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use store::{Result, Row, Statement, Transaction, USAGE_EVENTS, cooperative, sql};

use super::key::{Source, key_of, own_key};
use super::partition::DayTable;
use super::{Ledger, NewRow, packed};
use crate::series::EventSeries;
use crate::{Outcome, Quantities};

/// The most keys that one statement looks up.
const MAX_LOOKUP_KEYS: usize = 500;

/// The content by which a row with the key of an event is recognized as that event's own. Charges are left out: prices
/// may change between two attempts.
#[derive(PartialEq, Eq)]
struct Content {
    series: i64,
    estimated: bool,
    outcome: Outcome,
    quantities: Quantities,
}

impl Content {
    fn read(row: &Row<'_>) -> Result<(String, Self)> {
        let content = Self {
            series: row.get("series")?,
            estimated: row.get("estimated")?,
            outcome: row.word("outcome", Outcome::parse)?,
            quantities: packed::read(row)?.0,
        };
        Ok((row.get("id")?, content))
    }

    fn of((entry, numbers): &(NewRow<'_>, EventSeries)) -> Self {
        Self {
            series: numbers.series,
            estimated: entry.event.estimated,
            outcome: entry.event.outcome,
            quantities: entry.event.quantities,
        }
    }
}

impl Ledger {
    /// Inserts the rows of a day that are not there yet. Returns for each row whether it is new.
    pub(super) async fn insert(
        &mut self,
        transaction: &mut Transaction,
        table: DayTable,
        entries: &[(NewRow<'_>, EventSeries)],
        source: Source,
    ) -> Result<Vec<bool>> {
        let mut head = sql!("INSERT INTO ");
        head.push_partition(USAGE_EVENTS, table.day).push(
            " (organization, id, timestamp, recorded_at, series, estimated, unpriced, outcome, amounts, amount) VALUES ",
        );
        let tail = sql!(" ON CONFLICT (organization, id) DO NOTHING");
        let now = self.clock.now();
        let mut new = Vec::with_capacity(entries.len());
        for entries in entries.chunk_by(|a, b| a.1.organization == b.1.organization) {
            let known = known(transaction, table, entries, source).await?;
            let is_known = |(entry, _): &&(NewRow<'_>, EventSeries)| {
                known.contains(&*other_key(&entry.event.id, source))
            };
            let fresh = cooperative::yield_every(entries).filter(|entry| !is_known(entry));
            let rows: Vec<_> = fresh.map(|(entry, of)| entry.row(now, of)).collect();
            let mut inserted = Vec::new().into_iter();
            if !rows.is_empty() {
                let insert = transaction.insert_new(&head, rows, &tail, (1, "id"));
                inserted = insert.await?.into_iter();
            }
            let first = new.len();
            let is_new = |entry| !is_known(&entry) && inserted.next().unwrap_or_default();
            new.extend(entries.iter().map(is_new));
            if source == Source::Gateway {
                let there = entries.iter().zip(&new[first..]);
                let there = there.filter(|(_, is_new)| !**is_new);
                let there: Vec<_> = there.map(|(entry, _)| entry).collect();
                self.compare(transaction, table, &there).await?;
            }
        }
        Ok(new)
    }

    /// Adds to `conflicts` the events whose keys are taken by rows of other content.
    async fn compare(
        &mut self,
        transaction: &mut Transaction,
        table: DayTable,
        entries: &[&(NewRow<'_>, EventSeries)],
    ) -> Result<()> {
        for some in entries.chunks(MAX_LOOKUP_KEYS) {
            let mut rows = sql!("SELECT id, series, estimated, outcome, amounts FROM ");
            let keys = some.iter().map(|(entry, _)| key_of(&entry.event));
            push_where(&mut rows, table, some[0].1.organization, keys);
            let rows = transaction.fetch_all(rows, Content::read).await?;
            let rows: HashMap<String, Content> = rows.into_iter().collect();
            for entry in some {
                let event = &entry.0.event;
                if rows.get(&*key_of(event)) != Some(&Content::of(entry)) {
                    self.conflicts.push((**event).clone());
                }
            }
        }
        Ok(())
    }
}

/// Returns the key under which the same event may have been written by another source.
fn other_key(id: &str, source: Source) -> Cow<'_, str> {
    match source {
        Source::Import | Source::Lost => own_key(id),
        Source::Gateway | Source::Report => id.into(),
    }
}

/// Finds the events that are in the ledger under another key than that of their row: reported ones from before such
/// keys had a prefix, and imported and lost ones that the gateway wrote.
async fn known(
    transaction: &mut Transaction,
    table: DayTable,
    entries: &[(NewRow<'_>, EventSeries)],
    source: Source,
) -> Result<HashSet<String>> {
    let mut known = HashSet::new();
    let can_be = match source {
        Source::Gateway => false,
        Source::Report => table.has_bare_ids,
        Source::Import | Source::Lost => true,
    };
    if can_be {
        for some in entries.chunks(MAX_LOOKUP_KEYS) {
            let mut rows = sql!("SELECT id FROM ");
            let keys = some.iter().map(|(entry, _)| &entry.event.id);
            let keys = keys.map(|id| other_key(id, source));
            push_where(&mut rows, table, some[0].1.organization, keys);
            if source == Source::Report {
                rows.push(" AND outcome = 'reported'");
            }
            let read = |row: &Row<'_>| row.get::<String>("id");
            known.extend(transaction.fetch_all(rows, read).await?);
        }
    }
    Ok(known)
}

fn push_where<'a>(
    select: &mut Statement,
    table: DayTable,
    organization: i64,
    keys: impl Iterator<Item = Cow<'a, str>>,
) {
    select.push_partition(USAGE_EVENTS, table.day);
    select.push(" WHERE organization = ").bind(organization);
    select
        .push(" AND id IN ")
        .bind_list(keys.map(Cow::into_owned));
}
