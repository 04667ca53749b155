//! `cargo xtask fuzz`: the test that fuzzes the server, at length.

use anyhow::Result;
use clap::Args;

use crate::test::{Database, run_with};

/// How long to fuzz, and on what.
#[derive(Args)]
pub struct Options {
    /// At least how many requests to send.
    #[arg(long, default_value_t = 20_000)]
    requests: u64,
    /// What the requests follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The database to fuzz on.
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
}

/// Runs it, and fails when there is a finding, too few requests or too few operations that succeed.
pub fn run(options: &Options) -> Result<()> {
    let words = "-p orgplane --test it fuzz:: -- --nocapture";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let variables = [
        ("ORGPLANE_TEST_FUZZ_REQUESTS", options.requests.to_string()),
        ("ORGPLANE_TEST_FUZZ_SEED", options.seed.to_string()),
    ];
    run_with(options.database, &words, &variables)
}
