//! `orgplane prices`: usage without a price, price changes, and the charges of a request.

mod explain;

use admin::organization;
use anyhow::bail;
use base::ids::OrganizationId;
use base::time::SECONDS_PER_DAY;
use base::{Clock, UnixTime};
use clap::Subcommand;
use jiff::tz::TimeZone;
use usage::{PriceBook, PriceChange, Reports, Unpriced, UnpricedKey, unpriced};

use super::deployment::open;
use super::output::{escape_control, print};
use crate::config::{Config, Overrides};

#[derive(Subcommand)]
pub(super) enum Prices {
    /// Lists recent usage without a price, and recent and upcoming price changes.
    Check {
        /// Number of days to look back, and ahead for price changes.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
        days: u16,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Shows how the charges of a request come about: rows of the price book, quantities, factors and amounts.
    Explain {
        /// Id of the request (`x-request-id`), of a batch or of a reported event.
        #[arg(value_name = "REQUEST_ID")]
        id: String,
        #[command(flatten)]
        overrides: Overrides,
    },
}

pub(super) async fn run(command: Prices) -> anyhow::Result<()> {
    match command {
        Prices::Check { days, overrides } => check(days, &Config::load(&overrides)?).await,
        Prices::Explain { id, overrides } => explain::run(&id, &Config::load(&overrides)?).await,
    }
}

async fn check(days: u16, config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let now = Clock::system().now();
    let span = i64::from(days) * SECONDS_PER_DAY;
    print(&changes(&config.prices, now, span))?;
    let mut count = 0;
    let reports = Reports::new(store.usage().clone());
    for organization in organization::all(&store).await? {
        // Timestamps of events may be slightly ahead of the local clock.
        let range = (now.plus(-span), now.plus(SECONDS_PER_DAY));
        let found = unpriced(&reports, &config.prices, &organization, range).await?;
        for (seen, unpriced) in &found {
            print(&escape_control(&line(&organization, seen, unpriced)))?;
        }
        count += found.len();
    }
    match count {
        0 => print(&format!(
            "Everything that was consumed in the last {days} days has a price.\n"
        )),
        _ => bail!("what was consumed in the last {days} days and has no price is charged as 0"),
    }
}

fn changes(prices: &PriceBook, now: UnixTime, span: i64) -> String {
    let changes = prices.changes(now.plus(-span), now.plus(span));
    let line = |change: &PriceChange| {
        let what = if change.effective > now {
            "changes"
        } else {
            "changed"
        };
        let keys = change.keys.iter().map(|(key, was, is)| {
            let shown = |price: &Option<String>| price.clone().unwrap_or_else(|| "none".to_owned());
            match was {
                None if change.is_first => format!("{key} {}", shown(is)),
                _ => format!("{key} {} → {}", shown(was), shown(is)),
            }
        });
        let keys: Vec<_> = keys.collect();
        let (day, model) = (day(change.effective), &change.model);
        escape_control(&format!("{what} on {day}: {model}: {}", keys.join(", "))) + "\n"
    };
    changes.iter().map(line).collect()
}

fn line(organization: &OrganizationId, (kind, model): &UnpricedKey, unpriced: &Unpriced) -> String {
    let items = unpriced.items.iter();
    let items: Vec<_> = items
        .map(|(item, quantity)| format!("{quantity} {}", item.as_str()))
        .collect();
    let requests = match unpriced.requests {
        0 => String::new(),
        1 => "1 request, ".to_owned(),
        requests => format!("{requests} requests, "),
    };
    format!(
        "no price: {organization} {}, {}: {requests}{}, the last on {}\n",
        kind.as_str(),
        model.as_deref().unwrap_or("without a model"),
        items.join(", "),
        day(unpriced.last_day)
    )
}

/// Formats the UTC day of a time.
fn day(time: UnixTime) -> String {
    let timestamp = jiff::Timestamp::from_second(time.0).unwrap_or_default();
    timestamp.to_zoned(TimeZone::UTC).date().to_string()
}
