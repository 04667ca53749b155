//! `orgplane usage`: the ledger, its rollups, imports and exports.

mod bookmark;
mod correct;
mod export;
mod import;
mod outcome;
mod reprice;
mod rows;

use ::usage::SetAside;
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use cli::Progress;
use files::Format;

use super::deployment::open;
use super::output::{escape_control, print};
use crate::config::{Config, Overrides};

/// Maximum number of set-aside events that are listed.
const MAX_SHOWN: i64 = 20;

#[derive(Subcommand)]
pub(super) enum Usage {
    /// Rebuilds the rollups from the ledger.
    Rebuild(Overrides),
    /// Verifies every rollup against the ledger; a server may run meanwhile.
    Verify(Overrides),
    /// Corrects charges by the currently configured prices, with additional rows for the differences.
    Reprice(reprice::Reprice),
    /// Reverses a reported event with a row of negated numbers.
    Correct(correct::Correct),
    /// Imports usage events from a file; each event counts once, however often the file is imported.
    Import(import::Import),
    /// Exports the rows of the ledger; they can be imported again.
    Export(export::Export),
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// A JSON object per line.
    Ndjson,
    /// Comma-separated values with a header row.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Ndjson => Self::Ndjson,
            FormatName::Csv => Self::Csv,
            FormatName::Parquet => Self::Parquet,
        }
    }
}

pub(super) async fn run(command: Usage) -> anyhow::Result<()> {
    match command {
        Usage::Rebuild(overrides) => rebuild(&Config::load(&overrides)?).await,
        Usage::Verify(overrides) => verify(&Config::load(&overrides)?).await,
        Usage::Reprice(command) => reprice::run(command).await,
        Usage::Correct(command) => correct::run(command).await,
        Usage::Import(import) => import::run(import).await,
        Usage::Export(export) => export::run(export).await,
    }
}

async fn rebuild(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let progress = Progress::new("rows of the ledger");
    let rebuilt = ::usage::rebuild(store.usage(), |done| progress.update(done, None)).await;
    drop(progress);
    rebuilt.context("the sums")?;
    print("The sums are those of the ledger.\n")
}

async fn verify(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let progress = Progress::new("rows of the ledger");
    let verified = ::usage::verify(store.usage(), |done| progress.update(done, None)).await;
    drop(progress);
    let verified = verified.context("the sums")?;
    let (rows, days) = (verified.rows, verified.days);
    if verified.dropped > 0 {
        print(&format!(
            "Of {} days the ledger was dropped: their sums cannot be proved, nor the spend of their months.\n",
            verified.dropped
        ))?;
    }
    let aside = ::usage::set_aside(store.usage(), MAX_SHOWN).await;
    let aside = aside.context("the events that are set aside")?;
    for SetAside { event, reason, .. } in &aside {
        let (organization, id) = (&event.organization_id, escape_control(&event.id));
        let reason = escape_control(reason);
        print(&format!(
            "{organization}: event '{id}' is set aside: {reason}\n"
        ))?;
    }
    if verified.is_clean() {
        print(&format!(
            "Every sum is that of the ledger: {rows} rows, {days} days.\n"
        ))?;
        if !aside.is_empty() {
            bail!(
                "events of the gateway are set aside, since the database refused them; the server tries them again \
                 each minute and at its start"
            );
        }
        return Ok(());
    }
    for difference in &verified.differences {
        print(&format!("{difference}\n"))?;
    }
    if verified.suppressed > 0 {
        print(&format!("… and {} more.\n", verified.suppressed))?;
    }
    bail!(
        "the sums are not those of the ledger; `orgplane usage rebuild` computes them anew from it"
    );
}
