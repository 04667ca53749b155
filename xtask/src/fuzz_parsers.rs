//! `cargo xtask fuzz-parsers`: libFuzzer looks for bytes that a parser of the gateway reads wrongly.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::environment::root;
use crate::step::{run as step, say};

/// The folder of the fuzz targets, each a file.
const FUZZ_FOLDER: &str = "fuzz";
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
    let root = root()?;
    let targets = select(fuzz_targets(&root)?, options.target.as_deref())?;
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
        .arg(root.join(FUZZ_FOLDER).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", FLAGS);
    step(&mut build)?;
    for target in targets {
        fuzz(&root, &folder, &target, options)?;
    }
    Ok(())
}

/// Returns the fuzz targets in order of their names.
fn fuzz_targets(root: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(root.join(FUZZ_FOLDER))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().and_then(|name| name.to_str());
            targets.push(name.context("a fuzz target is not UTF-8")?.to_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// Returns the chosen fuzz target, or all of them if none is chosen.
fn select(targets: Vec<String>, chosen: Option<&str>) -> Result<Vec<String>> {
    let Some(chosen) = chosen else {
        return Ok(targets);
    };
    if !targets.iter().any(|target| target == chosen) {
        bail!("--target must be one of {}", targets.join(", "));
    }
    Ok(vec![chosen.to_owned()])
}

fn fuzz(root: &Path, folder: &Path, target: &str, options: &ParserOptions) -> Result<()> {
    say(&format!("fuzzing {target}"));
    let corpus = folder.join(target);
    std::fs::create_dir_all(&corpus)?;
    let mut fuzz = Command::new(folder.join(PLATFORM).join("release").join(target));
    fuzz.arg(&corpus)
        .arg(root.join(FUZZ_FOLDER).join("seeds").join(target))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-seed={}", options.seed))
        .arg("-max_len=4096")
        .arg(format!("-artifact_prefix={}/", folder.display()))
        .arg("-print_final_stats=1");
    step(&mut fuzz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_target_with_seeds() {
        let root = root().expect("the repository");
        let targets = fuzz_targets(&root).expect("targets");
        let manifest = root.join(FUZZ_FOLDER).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("a manifest");
        assert!(targets.len() > 1);
        for target in &targets {
            assert!(
                manifest.contains(&format!("path = \"{target}.rs\"")),
                "{target}"
            );
            let seeds = root.join(FUZZ_FOLDER).join("seeds").join(target);
            assert!(seeds.is_dir(), "{target}");
        }
        let blocks = select(targets.clone(), Some("blocks")).expect("a target");
        assert_eq!(blocks, ["blocks"]);
        let error = select(targets, Some("block")).expect_err("no such target");
        assert!(error.to_string().contains("blocks, "), "{error}");
    }
}
