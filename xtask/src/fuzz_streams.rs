//! `cargo xtask fuzz-streams`: looks for an event stream that reads differently when its bytes are cut differently.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::environment::root;
use crate::step::{run as step, say};

/// The platform is named so that the flags are for the target alone, not for what builds it.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Flags that make the compiler count the branches of an input; libFuzzer looks for inputs that take new ones.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Options of `cargo xtask fuzz-streams`.
#[derive(Args)]
pub struct StreamOptions {
    /// Seconds to look.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Builds the target and runs it; fails when there is a finding, which is then in a file `crash-…` under `target/fuzz`.
pub fn run(options: &StreamOptions) -> Result<()> {
    let root = root()?;
    let target = root.join("target/fuzz");
    let found = target.join("streams/");
    std::fs::create_dir_all(&found)?;
    say("building the fuzz target");
    let mut build = Command::new("cargo");
    build
        .args(["build", "--release", "--target", TARGET, "--manifest-path"])
        .arg(root.join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", FLAGS);
    step(&mut build)?;
    say("looking for a stream that reads differently when it is cut differently");
    let mut fuzz = Command::new(target.join(TARGET).join("release/streams"));
    fuzz.arg(&found)
        .arg(root.join("fuzz/seeds"))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-seed={}", options.seed))
        .arg("-max_len=4096")
        .arg(format!("-artifact_prefix={}/", target.display()))
        .arg("-print_final_stats=1");
    step(&mut fuzz)
}
