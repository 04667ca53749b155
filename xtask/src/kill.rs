//! `cargo xtask kill`: the tests that kill the server at random moments, at length.

use anyhow::Result;
use clap::Args;

use crate::test::{Database, run_with};

/// Options of `cargo xtask kill`.
#[derive(Args)]
pub struct KillOptions {
    /// Number of kills on each database.
    #[arg(long, default_value_t = 200)]
    cycles: u64,
    /// Seed of the moments; without it they are new for each run, which prints the seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The database to test on.
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
}

/// Runs the tests; fails if a row is lost, doubled or not what the ledger says.
pub fn run(options: &KillOptions) -> Result<()> {
    let words = "-p orgplane --test it cycles:: -- --nocapture";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let mut variables = vec![("ORGPLANE_TEST_KILL_CYCLES", options.cycles.to_string())];
    variables.extend(
        options
            .seed
            .map(|seed| ("ORGPLANE_TEST_SEED", seed.to_string())),
    );
    run_with(options.database, &words, &variables)
}
