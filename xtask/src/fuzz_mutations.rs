//! `cargo xtask fuzz-mutations`: the test that alters requests for every route, at length.

use anyhow::Result;
use clap::Args;

use crate::test::{Database, run_with};

/// The number of requests, and the database that they are sent to.
#[derive(Args)]
pub struct Options {
    /// The number of requests on each database.
    #[arg(long, default_value_t = 612_000)]
    requests: u64,
    /// The seed that the requests follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The database to fuzz on.
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
}

/// Runs the test; fails on an answer of 5xx, a panic, a silence, a key that was lost, or too much memory.
pub fn run(options: &Options) -> Result<()> {
    let words = "-p orgplane --test it mutations:: -- --nocapture";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let variables = [
        ("ORGPLANE_TEST_MUTATIONS", options.requests.to_string()),
        ("ORGPLANE_TEST_MUTATIONS_SEED", options.seed.to_string()),
    ];
    run_with(options.database, &words, &variables)
}
