//! `cargo xtask fuzz-answers`: the test that reads what model servers may answer, at length.

use anyhow::Result;
use clap::Args;

use crate::environment::{cargo, root};
use crate::step::run as step;

/// The number of answers.
#[derive(Args)]
pub struct Options {
    /// The number of answers.
    #[arg(long, default_value_t = 1_000_000)]
    answers: u64,
    /// The seed of the first answer; each of the others has the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the test; fails when the usage of an answer is read otherwise than it is, or what is hidden of it is shown.
pub fn run(options: &Options) -> Result<()> {
    let mut command = cargo(&root()?);
    command
        .args(["test", "-p", "gateway", "--lib", "any_truth"])
        .env("ORGPLANE_TEST_ANSWERS", options.answers.to_string())
        .env("ORGPLANE_TEST_ANSWERS_SEED", options.seed.to_string());
    step(&mut command)
}
