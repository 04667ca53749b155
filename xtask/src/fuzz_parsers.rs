//! `cargo xtask fuzz-parsers`: libFuzzer looks for bytes that a parser of the gateway reads wrongly.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::environment::root;
use crate::step::{run as step, say};

/// The fuzz targets, each a file in `fuzz`.
const FUZZ_TARGETS: [&str; 6] = [
    "event_stream",
    "answer",
    "multipart",
    "request_json",
    "certificate_header",
    "content_type",
];
/// The platform, which is named so that the flags are for the targets alone and not for build scripts.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// The flags that make the compiler count the branches that an input takes; libFuzzer looks for inputs that take new ones.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The targets to run, and for how long.
#[derive(Args)]
pub struct ParserOptions {
    /// A fuzz target; all of them by default.
    #[arg(long)]
    target: Option<String>,
    /// The seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Builds the targets and runs them. Fails at the first finding, which is then in a file `crash-…` under `target/fuzz`.
pub fn run(options: &ParserOptions) -> Result<()> {
    let chosen = |name: &&str| {
        options
            .target
            .as_deref()
            .is_none_or(|target| target == *name)
    };
    let targets: Vec<&str> = FUZZ_TARGETS.into_iter().filter(chosen).collect();
    if targets.is_empty() {
        bail!("--target must be one of {}", FUZZ_TARGETS.join(", "));
    }
    let root = root()?;
    let folder = root.join("target/fuzz");
    say("building the fuzz targets");
    let mut build = Command::new("cargo");
    build
        .args([
            "build",
            "--release",
            "--target",
            PLATFORM,
            "--manifest-path",
        ])
        .arg(root.join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", FLAGS);
    step(&mut build)?;
    for target in targets {
        fuzz(&root, &folder, target, options)?;
    }
    Ok(())
}

fn fuzz(root: &Path, folder: &Path, target: &str, options: &ParserOptions) -> Result<()> {
    say(&format!("fuzzing {target}"));
    let corpus = folder.join(target);
    std::fs::create_dir_all(&corpus)?;
    let mut fuzz = Command::new(folder.join(PLATFORM).join("release").join(target));
    fuzz.arg(&corpus)
        .arg(root.join("fuzz/seeds").join(target))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-seed={}", options.seed))
        .arg("-max_len=4096")
        .arg(format!("-artifact_prefix={}/", folder.display()))
        .arg("-print_final_stats=1");
    step(&mut fuzz)
}
