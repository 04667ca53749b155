//! `cargo xtask fuzz-requests`: the test that compares the gateway's reading of requests with that of other programs, at length.

use anyhow::Result;
use clap::Args;

use crate::test::{Database, run_with};

/// The number of requests, and the database of the gateway.
#[derive(Args)]
pub struct Options {
    /// The number of requests.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// The seed that the requests follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The database of the gateway.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
}

/// Runs the test; fails when a reader finds in a forwarded request what its project may not do, or a plain one is refused.
pub fn run(options: &Options) -> Result<()> {
    let words = "-p orgplane --test it differential:: -- --nocapture";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let variables = [
        ("ORGPLANE_TEST_DIFFERENTIAL", options.requests.to_string()),
        ("ORGPLANE_TEST_DIFFERENTIAL_SEED", options.seed.to_string()),
    ];
    run_with(options.database, &words, &variables)
}
