//! `cargo xtask slices`: the simulation of nodes that share limits, with many seeds.

use anyhow::Result;
use clap::Args;

use crate::environment::{cargo, root};
use crate::step::run as run_command;

/// The tests of the simulation that take seeds.
const WORDS: [&str; 6] = [
    "test",
    "--package=slices",
    "--test=simulation",
    "--",
    "--nocapture",
    "never_exceed",
];

/// The seeds to run.
#[derive(Args)]
pub struct SlicesOptions {
    /// The number of seeds of each of the 15 scenarios.
    #[arg(long, value_name = "N", default_value_t = 700)]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs the simulation. Fails at the first interval that holds more than its limit, and names the seed.
pub fn run(options: &SlicesOptions) -> Result<()> {
    run_command(cargo(&root()?).args(WORDS).envs([
        ("ORGPLANE_TEST_SLICES_SEEDS", options.seeds.to_string()),
        ("ORGPLANE_TEST_SLICES_SEED", options.seed.to_string()),
    ]))
}
