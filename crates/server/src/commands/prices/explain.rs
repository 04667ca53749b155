//! `orgplane prices explain`: the charges of a request, with the prices that they come from.

use std::fmt::Write;

use anyhow::bail;
use base::money::Factor;
use base::{NanoDollars, UnixTime};
use usage::{
    Charge, Dimension, ExplainedCharge, ExplainedPrice, LedgerEntry, Outcome, PriceBook,
    UsageEvent, rows_of_request,
};

use super::day;
use crate::commands::deployment::open;
use crate::commands::output::{escape_control, print};
use crate::config::Config;

pub(super) async fn run(id: &str, config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let rows = rows_of_request(&mut *store.usage().read().await?, id).await?;
    if rows.is_empty() {
        bail!("no row of the ledger has the id '{}'", escape_control(id));
    }
    for row in &rows {
        print(&escape_control(&explanation(&config.prices, row)))?;
    }
    if let [_, _, ..] = rows.as_slice() {
        let sum: NanoDollars = rows.iter().map(|row| row.amount).sum();
        print(&format!("All {} rows cost {sum}.\n", rows.len()))?;
    }
    Ok(())
}

/// Returns the lines about a row of the ledger.
fn explanation(prices: &PriceBook, row: &LedgerEntry) -> String {
    let mut text = title(row);
    if matches!(row.event.outcome, Outcome::Corrected | Outcome::Repriced) {
        for charge in &row.charges {
            _ = writeln!(text, "  {}: {}", used(charge), charge.amount);
        }
        _ = writeln!(text, "  sum: {}", row.amount);
        return text;
    }
    let explained = prices.explain(&row.event);
    for charge in &explained {
        _ = writeln!(text, "  {}", line(charge, &row.event));
    }
    let sum: NanoDollars = explained.iter().map(|line| line.charge.amount).sum();
    _ = writeln!(text, "  sum: {sum}");
    let charges: Vec<Charge> = explained.iter().map(|line| line.charge).collect();
    if charges != row.charges {
        _ = writeln!(
            text,
            "  The row was written at other prices, and has {}; 'orgplane usage reprice' corrects such differences by rows of its own.",
            row.amount
        );
        for charge in &row.charges {
            _ = writeln!(text, "    {}: {}", used(charge), charge.amount);
        }
    }
    text
}

/// Returns the line that names a row: what decides on its prices.
fn title(row: &LedgerEntry) -> String {
    let event = &row.event;
    let named = [
        Dimension::Model,
        Dimension::ServiceTier,
        Dimension::Size,
        Dimension::ContextLevel,
    ];
    let named = named
        .into_iter()
        .filter_map(|dimension| event.dimension(dimension));
    let mut words = vec![event.kind.as_str()];
    words.extend(named);
    words.extend(event.batch.then_some("batch"));
    words.push(event.outcome.as_str());
    words.extend(event.estimated.then_some("estimated"));
    let (organization, id) = (&event.organization_id, &event.id);
    let (at, words) = (moment(event.timestamp), words.join(", "));
    format!("{id} of {organization} at {at}: {words}\n")
}

fn line(explained: &ExplainedCharge, event: &UsageEvent) -> String {
    let ExplainedCharge {
        charge,
        price,
        reported,
    } = explained;
    let amount = charge.amount;
    match (price, reported) {
        (_, Some(reported)) if *reported > amount => format!(
            "cost that the upstream reported: {reported}, more than the prices allow: {amount}"
        ),
        (_, Some(_)) => format!("cost that the upstream reported: {amount}"),
        (Some(price), _) => {
            let unit = charge.name.price_unit();
            let (used, factors) = (used(charge), factors(price));
            let (listed, table) = (price.price, table(charge, price));
            format!("{used} at {listed} {unit}{factors} ({table}): {amount}")
        }
        (None, None) => {
            let model = event.model.as_deref().unwrap_or("any model");
            format!("{} have no price for {model}: {amount}", used(charge))
        }
    }
}

fn used(charge: &Charge) -> String {
    format!("{} {}", charge.quantity, charge.name.as_str())
}

/// Returns the factors other than 1.
fn factors(price: &ExplainedPrice) -> String {
    let mut text = String::new();
    for (factor, name) in [(price.factor, ""), (price.uplift, " uplift")] {
        if factor != Factor::ONE {
            _ = write!(text, " × {factor}{name}");
        }
    }
    text
}

/// Returns the table, the row and the variant of a price.
fn table(charge: &Charge, price: &ExplainedPrice) -> String {
    let row = match price.row.as_str() {
        "" => String::new(),
        row => format!(", row {row}"),
    };
    let variant = price.variant.as_ref();
    let key = charge.name.price_key();
    let variant = variant.map_or(String::new(), |variant| format!(", {key}.{variant}"));
    format!(
        "{} from {}{row}{variant}",
        price.model,
        day(price.effective)
    )
}

fn moment(time: UnixTime) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.0).unwrap_or_default()
}
