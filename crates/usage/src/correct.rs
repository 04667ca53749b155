//! Corrections: a row that reverses a reported event, since the ledger is never changed.

use std::sync::Arc;

use base::ids::OrganizationId;
use base::time::DAY;
use base::{Clock, UnixTime};
use store::{Database, Result};

use crate::ledger::key::correction_of;
use crate::ledger::partition::days;
use crate::ledger::{Ledger, read};
use crate::{Charge, Entry, Outcome, PriceBook, UsageEvent};

/// The outcome of a correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// The event counts no more.
    Reversed(Box<Entry>),
    /// The event was corrected before.
    Already,
    /// No event with the id was reported.
    Unknown,
    /// Events with the id were reported on these days (UTC), each by its first second.
    Ambiguous(Vec<UnixTime>),
}

/// Reverses a reported event: a row of the same time, dimensions and bill, with all numbers below zero. Usage, costs and
/// spend follow. `day` tells events with the same id apart; an event is reversed once.
///
/// # Errors
/// The database's; then nothing has changed.
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
            Some(day) => (day.floor(DAY), day.floor(DAY).plus(1)),
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
    let bills = vec![(event, reversed(&entry.charges))];
    let mut ledger = Ledger::new(database.clone(), Arc::new(PriceBook::default()), clock);
    let mut transaction = ledger.begin().await?;
    let rows = ledger.write_bills(&mut transaction, bills).await?;
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

/// Returns the lines of a bill with the opposite sign.
pub(crate) fn reversed(lines: &[Charge]) -> Vec<Charge> {
    let reversed = |line: &Charge| Charge {
        quantity: line.quantity.saturating_neg(),
        amount: base::NanoDollars::default() - line.amount,
        ..*line
    };
    lines.iter().map(reversed).collect()
}
