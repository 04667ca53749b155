//! `orgplane usage reprice`: corrects charges after a price change.

use anyhow::{Context, bail};
use base::{Clock, NanoDollars, UnixTime};
use cli::Progress;
use usage::Repriced;

use super::import::whose;
use crate::commands::deployment::open;
use crate::commands::output::{escape_control, print};
use crate::commands::timestamp::timestamp;
use crate::config::{Config, Overrides};

#[derive(clap::Args)]
pub(crate) struct Reprice {
    /// Start: 2026-11-22, 2026-11-22T08:30:00Z or seconds since 1970; rounded down to a whole hour.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    from: UnixTime,
    /// End, exclusive.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    to: UnixTime,
    /// Organization to reprice [default: all].
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Only print the corrections.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) async fn run(command: Reprice) -> anyhow::Result<()> {
    if command.from >= command.to {
        bail!("--to must be after --from");
    }
    let config = Config::load(&command.overrides)?;
    let store = open(&config).await?;
    let organization = match &command.organization {
        Some(id) => Some(whose(&store, Some(id)).await?),
        None => None,
    };
    let what = usage::Reprice {
        organization,
        start: command.from,
        end: command.to,
        is_trial: command.dry_run,
    };
    let (prices, clock) = (config.prices.clone(), Clock::system());
    let progress = Progress::new("rows of the ledger");
    let done = |rows| progress.update(rows, None);
    let repriced = usage::reprice(store.usage(), prices, clock, &what, done).await;
    drop(progress);
    let repriced =
        repriced.context("what was consumed could not be priced again; the hours before are")?;
    print(&shown(&repriced, command.dry_run))
}

/// Formats the change of cost per model and in total.
fn shown(repriced: &Repriced, is_trial: bool) -> String {
    let mut text = String::new();
    for (model, amount) in &repriced.by_model {
        let model = model.as_deref().unwrap_or("(no model)");
        text += &format!("{}  {}\n", signed(*amount), escape_control(model));
    }
    let all: NanoDollars = repriced.by_model.values().copied().sum();
    let (rows, corrections) = (repriced.rows, repriced.corrections);
    let verb = if is_trial { "would correct" } else { "correct" };
    if corrections == 0 {
        text += &format!("{rows} rows cost what the prices say.\n");
    } else {
        text += &format!(
            "{corrections} new rows {verb} {rows} rows, by {}.\n",
            signed(all)
        );
    }
    text
}

fn signed(amount: NanoDollars) -> String {
    if amount.0 < 0 {
        format!("-{}", NanoDollars(-amount.0))
    } else {
        format!("+{amount}")
    }
}
