//! Corrections: rows that reverse a reported event, since rows of the ledger never change.

use std::sync::Arc;

use base::ids::OrganizationId;
use base::time::SECONDS_PER_DAY;
use base::{Clock, UnixTime};
use store::{Database, Result};

use crate::ledger::key::correction_of;
use crate::ledger::partition::days;
use crate::ledger::{Ledger, read};
use crate::{Charge, LedgerEntry, Outcome, PriceBook, UsageEvent};

/// The outcome of a correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// The event was reversed.
    Reversed(Box<LedgerEntry>),
    /// The event had been reversed before.
    Already,
    /// No event with the id was reported.
    Unknown,
    /// Events with the id were reported on these days (UTC), given by their first seconds.
    Ambiguous(Vec<UnixTime>),
}

/// Reverses a reported event by a row of the same time, dimensions and charges, with all numbers negated. Usage, costs
/// and spend follow. `day` tells events with the same id apart. An event is reversed at most once.
///
/// # Errors
/// The database failed; nothing has changed then.
pub async fn correct(
    database: &Database,
    clock: Clock,
    organization: &OrganizationId,
    id: &str,
    day: Option<UnixTime>,
) -> Result<Corrected> {
    let mut found = Vec::new();
    {
        let mut connection = database.read().await?;
        let (start, end) = match day {
            Some(day) => (
                day.floor(SECONDS_PER_DAY),
                day.floor(SECONDS_PER_DAY).plus(1),
            ),
            None => (UnixTime(i64::MIN), UnixTime(i64::MAX)),
        };
        for day in days(&mut connection, start, end).await? {
            let rows = read::reported(&mut connection, organization, day, id).await?;
            found.extend(rows.into_iter().map(|row| (day, row)));
        }
    }
    let (key, entry) = match found.len() {
        0 => return Ok(Corrected::Unknown),
        1 => found.remove(0).1,
        _ => {
            let days = found.into_iter().map(|(day, _)| day);
            return Ok(Corrected::Ambiguous(days.collect()));
        }
    };
    let event = UsageEvent {
        id: correction_of(&key),
        ..reversal(&entry.event)
    };
    let events = vec![(event, reversed(&entry.charges))];
    let mut ledger = Ledger::new(database.clone(), Arc::new(PriceBook::default()), clock);
    let mut transaction = ledger.begin().await?;
    let rows = ledger.write_charged(&mut transaction, events).await?;
    ledger.commit(transaction).await?;
    Ok(match rows {
        0 => Corrected::Already,
        _ => Corrected::Reversed(Box::new(entry)),
    })
}

/// Returns an event whose numbers have the opposite sign.
pub(crate) fn reversal(event: &UsageEvent) -> UsageEvent {
    UsageEvent {
        quantities: event.quantities.negated(),
        outcome: Outcome::Corrected,
        ..event.clone()
    }
}

/// Returns charges with the opposite sign.
pub(crate) fn reversed(lines: &[Charge]) -> Vec<Charge> {
    let reversed = |line: &Charge| Charge {
        quantity: line.quantity.saturating_neg(),
        amount: base::NanoDollars::default() - line.amount,
        ..*line
    };
    lines.iter().map(reversed).collect()
}
