//! Repricing: corrects charges at prices that were wrong or missing, by new rows, since rows of the ledger never
//! change.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::ids::OrganizationId;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use base::{Clock, NanoDollars, UnixTime};
use store::{Database, Error, Result};

use crate::correct;
use crate::ledger::partition::days;
use crate::ledger::read::LedgerReader;
use crate::ledger::{Ledger, total};
use crate::{Charge, ItemName, LedgerEntry, Outcome, PriceBook, Quantities, UsageEvent};

/// The id of the advisory lock that keeps two repricings from running at once.
const REPRICE_LOCK_ID: i64 = 7_017_220_832;

/// The usage to be repriced.
#[derive(Clone, Debug)]
pub struct Reprice {
    /// The organization whose usage is repriced; `None` for all.
    pub organization: Option<OrganizationId>,
    /// The first second. The whole hour (UTC) that it lies in is repriced.
    pub start: UnixTime,
    /// The second after the last. The whole hour (UTC) before it is repriced.
    pub end: UnixTime,
    /// True if nothing is written.
    pub is_trial: bool,
}

/// The result of a repricing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repriced {
    /// The number of rows of the ledger that were read.
    pub rows: u64,
    /// The number of rows that correct them.
    pub corrections: u64,
    /// The change of the cost of each model, where there is one; usage without a model is under `None`.
    pub by_model: BTreeMap<Option<String>, NanoDollars>,
}

/// The dimensions, organization and kind of rows that one correction of an hour covers.
type GroupKey = Vec<Option<String>>;

/// The difference between the charges at the new prices and those in the ledger, of some rows.
#[derive(Default)]
struct CostDifference {
    example: Option<UsageEvent>,
    lines: BTreeMap<ItemName, (i64, NanoDollars)>,
}

/// Prices usage by `prices`, and adds rows to the ledger with the difference to the charges so far: one at the start of
/// each hour for each combination of dimensions that has any. So a second repricing finds no difference. Each hour is a
/// transaction of its own. `progress` is called with the number of rows that were read.
///
/// # Errors
/// The database failed; earlier hours are corrected then. [`Error::Busy`]: another repricing is running.
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
        let hours =
            (0..SECONDS_PER_DAY / SECONDS_PER_HOUR).map(|hour| day.plus(hour * SECONDS_PER_HOUR));
        let is_wanted =
            |hour: &UnixTime| what.start < hour.plus(SECONDS_PER_HOUR) && *hour < what.end;
        for hour in hours.filter(is_wanted) {
            let mut transaction = ledger.begin().await?;
            if !transaction.try_advisory_lock(REPRICE_LOCK_ID).await? {
                return Err(Error::Busy);
            }
            let organization = what.organization.clone();
            let mut entries = LedgerReader::of(
                &mut transaction,
                organization,
                hour,
                hour.plus(SECONDS_PER_HOUR),
            )
            .await?;
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
            let corrections = corrections(differences, hour, clock.now());
            for (event, lines) in &corrections {
                *found.by_model.entry(event.model.clone()).or_default() += total(lines);
            }
            found.corrections += corrections.len() as u64;
            if !what.is_trial && !corrections.is_empty() {
                ledger.write_charged(&mut transaction, corrections).await?;
            }
            // Also if nothing was written: the lock must be released before the next hour takes it.
            ledger.commit(transaction).await?;
            ledger.compact().await?;
        }
    }
    found
        .by_model
        .retain(|_, amount| *amount != NanoDollars::default());
    Ok(found)
}

/// Adds the difference of a row: its charges at the new prices, less those in the ledger. A correction counts less the
/// charges of the event that it reverses.
fn add(
    differences: &mut BTreeMap<GroupKey, CostDifference>,
    prices: &PriceBook,
    entry: LedgerEntry,
) {
    let LedgerEntry { event, charges, .. } = entry;
    let text = |dimension: &crate::Dimension| event.dimension(*dimension).map(str::to_owned);
    let mut key: GroupKey = crate::Dimension::ALL.iter().map(text).collect();
    key.push(Some(event.organization_id.to_string()));
    key.push(Some(event.kind.as_str().to_owned()));
    let difference = differences.entry(key).or_default();
    let now = match event.outcome {
        Outcome::Repriced => Vec::new(),
        Outcome::Corrected => {
            correct::reversed(&prices.charges(&correct::reversal(&event)).charges)
        }
        _ => prices.charges(&event).charges,
    };
    for line in now {
        let sum = difference.lines.entry(line.name).or_default();
        *sum = (sum.0.saturating_add(line.quantity), sum.1 + line.amount);
    }
    for line in charges {
        let sum = difference.lines.entry(line.name).or_default();
        *sum = (sum.0.saturating_sub(line.quantity), sum.1 - line.amount);
    }
    difference.example.get_or_insert(event);
}

/// Returns the rows that correct differences, in the order of the ledger.
fn corrections(
    differences: BTreeMap<GroupKey, CostDifference>,
    at: UnixTime,
    now: UnixTime,
) -> Vec<(UsageEvent, Vec<Charge>)> {
    let mut all = Vec::new();
    for CostDifference { example, lines } in differences.into_values() {
        let line = |(name, (quantity, amount))| Charge {
            name,
            quantity,
            amount,
        };
        let lines = lines.into_iter().map(line);
        let lines = lines.filter(|line| line.quantity != 0 || line.amount.0 != 0);
        let lines: Vec<Charge> = lines.collect();
        if let Some(example) = example.filter(|_| !lines.is_empty()) {
            let number = all.len();
            let event = UsageEvent {
                id: format!("repriced-{}-{}-{number:06}", now.0, at.0),
                timestamp: at,
                quantities: Quantities::default(),
                estimated: false,
                outcome: Outcome::Repriced,
                ..example
            };
            all.push((event, lines));
        }
    }
    all.sort_by(|(a, _), (b, _)| (&a.organization_id, &a.id).cmp(&(&b.organization_id, &b.id)));
    all
}
