//! Corrects what was charged at prices that were wrong or missing: with new rows, since the ledger is never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::ids::OrganizationId;
use base::time::{DAY, HOUR};
use base::{Clock, NanoDollars, UnixTime};
use store::{Database, Error, Result};

use crate::correct;
use crate::ledger::partition::days;
use crate::ledger::read::Entries;
use crate::ledger::{Ledger, total};
use crate::{Charge, Entry, ItemName, Outcome, PriceBook, Quantities, UsageEvent};

/// The turn of whoever corrects: nobody else does meanwhile.
const TURN: i64 = 7_017_220_832;

/// What is to be priced again.
#[derive(Clone, Debug)]
pub struct Reprice {
    /// Only what this organization has consumed.
    pub organization: Option<OrganizationId>,
    /// The first second, and the second after the last one. Whole hours (UTC) are priced: those that these lie in too.
    pub start: UnixTime,
    /// As `start`.
    pub end: UnixTime,
    /// Whether nothing is written.
    pub is_trial: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repriced {
    /// How many rows of the ledger were looked at.
    pub rows: u64,
    /// How many rows correct them.
    pub corrections: u64,
    /// By how much each model's cost changes, where it does; of what has no model under none.
    pub by_model: BTreeMap<Option<String>, NanoDollars>,
}

/// What tells the corrections of an hour apart: a row of the ledger without its id, time and numbers, by its texts.
type Like = Vec<Option<String>>;

/// How much more than was charged the lines of some rows come to.
#[derive(Default)]
struct Difference {
    like: Option<UsageEvent>,
    lines: BTreeMap<ItemName, (i64, NanoDollars)>,
}

/// Prices what was consumed by `prices`, and adds rows to the ledger with the difference to what was charged before: one
/// for each hour and combination of dimensions in which there is any, at the beginning of the hour. So a second time there is none. Each hour is a transaction of its own; `progress` is told how many rows were looked at.
///
/// # Errors
/// What the database said; the hours before are corrected then. [`Error::Busy`]: somebody else is doing it.
pub async fn reprice(
    database: &Database,
    prices: PriceBook,
    clock: Clock,
    what: &Reprice,
    mut progress: impl FnMut(u64),
) -> Result<Repriced> {
    let mut found = Repriced::default();
    let mut ledger = Ledger::new(database.clone(), Arc::new(prices.clone()), clock.clone());
    let days = days(&mut *database.read().await?, what.start, what.end).await?;
    for day in days {
        let hours = (0..DAY / HOUR).map(|hour| day.plus(hour * HOUR));
        let is_wanted = |hour: &UnixTime| what.start < hour.plus(HOUR) && *hour < what.end;
        for hour in hours.filter(is_wanted) {
            let mut transaction = ledger.begin().await?;
            if !transaction.try_advisory_lock(TURN).await? {
                return Err(Error::Busy);
            }
            let organization = what.organization.clone();
            let mut entries =
                Entries::of(&mut transaction, organization, hour, hour.plus(HOUR)).await?;
            let mut differences = BTreeMap::new();
            loop {
                let page = entries.next(&mut transaction).await?;
                if page.is_empty() {
                    break;
                }
                found.rows += page.len() as u64;
                page.into_iter()
                    .for_each(|entry| add(&mut differences, &prices, entry));
                progress(found.rows);
            }
            let bills = corrections(differences, hour, clock.now());
            for (event, lines) in &bills {
                *found.by_model.entry(event.model.clone()).or_default() += total(lines);
            }
            found.corrections += bills.len() as u64;
            if !what.is_trial && !bills.is_empty() {
                ledger.write_bills(&mut transaction, bills).await?;
            }
            // Also where nothing was written: the turn is given back before the next hour asks for it.
            ledger.commit(transaction).await?;
            ledger.fold().await?;
        }
    }
    found
        .by_model
        .retain(|_, amount| *amount != NanoDollars::default());
    Ok(found)
}

/// Adds the difference of a row: what it comes to now, less what was charged; of a correction, less what it has corrected.
fn add(differences: &mut BTreeMap<Like, Difference>, prices: &PriceBook, entry: Entry) {
    let Entry { event, charges, .. } = entry;
    let text = |dimension: &crate::Dimension| event.dimension(*dimension).map(str::to_owned);
    let mut like: Like = crate::Dimension::ALL.iter().map(text).collect();
    like.push(Some(event.organization_id.to_string()));
    like.push(Some(event.kind.as_str().to_owned()));
    let difference = differences.entry(like).or_default();
    let now = match event.outcome {
        Outcome::Repriced => Vec::new(),
        Outcome::Corrected => correct::reversed(&prices.charges(&correct::reversal(&event)).lines),
        _ => prices.charges(&event).lines,
    };
    for line in now {
        let sum = difference.lines.entry(line.name).or_default();
        *sum = (sum.0.saturating_add(line.quantity), sum.1 + line.amount);
    }
    for line in charges {
        let sum = difference.lines.entry(line.name).or_default();
        *sum = (sum.0.saturating_sub(line.quantity), sum.1 - line.amount);
    }
    difference.like.get_or_insert(event);
}

/// The rows that make up for differences, in the ledger's order.
fn corrections(
    differences: BTreeMap<Like, Difference>,
    at: UnixTime,
    now: UnixTime,
) -> Vec<(UsageEvent, Vec<Charge>)> {
    let mut bills = Vec::new();
    for Difference { like, lines } in differences.into_values() {
        let line = |(name, (quantity, amount))| Charge {
            name,
            quantity,
            amount,
        };
        let lines = lines.into_iter().map(line);
        let lines = lines.filter(|line| line.quantity != 0 || line.amount.0 != 0);
        let lines: Vec<Charge> = lines.collect();
        if let Some(like) = like.filter(|_| !lines.is_empty()) {
            let number = bills.len();
            let event = UsageEvent {
                id: format!("repriced-{}-{}-{number:06}", now.0, at.0),
                timestamp: at,
                quantities: Quantities::default(),
                estimated: false,
                outcome: Outcome::Repriced,
                ..like
            };
            bills.push((event, lines));
        }
    }
    bills.sort_by(|(a, _), (b, _)| (&a.organization_id, &a.id).cmp(&(&b.organization_id, &b.id)));
    bills
}
