//! `orgplane usage`: the ledger, its sums, and usage from files.

mod bookmark;
mod import;
mod outcome;
mod rows;

use anyhow::Context;
use clap::Subcommand;
use cli::Progress;

use super::{open, print};
use crate::config::{Config, Overrides};

#[derive(Subcommand)]
pub(super) enum Usage {
    /// Computes the sums anew from the ledger.
    Rebuild(Overrides),
    /// Adds the usage in a file to the ledger, each event once, however often the file is imported.
    Import(import::Import),
}

pub(super) async fn run(command: Usage) -> anyhow::Result<()> {
    match command {
        Usage::Rebuild(overrides) => rebuild(&Config::load(&overrides)?).await,
        Usage::Import(import) => import::run(import).await,
    }
}

async fn rebuild(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let mut progress = Progress::of("rows of the ledger");
    let rebuilt = ::usage::rebuild(store.usage(), |done| progress.at(done, None)).await;
    drop(progress);
    rebuilt.context("the sums")?;
    print("The sums are those of the ledger.\n")
}
