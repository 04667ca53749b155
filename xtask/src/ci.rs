//! `cargo xtask ci`: the checks beside the tests, which compare generated files such as `openapi.json`. A check that passes is one
//! line; one that fails shows its output.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::environment::{cargo, root};
use crate::step::{instant, output, say};
use crate::{contract, deny, tidy};

/// A check; returns a note for its line if it passes.
type Check = fn(&Path) -> Result<Option<String>>;

const CHECKS: &[(&str, Check)] = &[
    ("fmt", fmt),
    ("clippy", clippy),
    ("doc", doc),
    ("deny", deny::check),
    ("tidy", tidy::check),
    ("contract", contract::check),
    ("commands", contract::check_commands),
    ("dependency budget", dependency_budget),
];

/// Maximum number of packages in `Cargo.lock`. A commit that raises the number says what the new packages are for: each
/// is compiled by everybody who follows the README, and is code that this project answers for.
const MAX_PACKAGES: usize = 464;

/// Runs all checks, those after a failed one included.
pub fn run() -> Result<()> {
    let root = root()?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        let started = instant();
        let outcome = check(&root);
        let seconds = started.elapsed().as_secs_f32();
        match outcome {
            Ok(None) => say(&format!("{name}: ok ({seconds:.1} s)")),
            Ok(Some(note)) => say(&format!("{name}: ok ({seconds:.1} s); {note}")),
            Err(error) => {
                say(&format!("{name}: FAILED ({seconds:.1} s)\n{error:#}"));
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join(", "));
    }
    Ok(())
}

fn fmt(root: &Path) -> Result<Option<String>> {
    output(cargo(root).args(["fmt", "--all", "--check"])).map(|_| None)
}

fn clippy(root: &Path) -> Result<Option<String>> {
    let words = [
        "clippy",
        "--quiet",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    output(cargo(root).args(words)).map(|_| None)
}

fn doc(root: &Path) -> Result<Option<String>> {
    let words = ["doc", "--quiet", "--locked", "--workspace", "--no-deps"];
    output(cargo(root).args(words).env("RUSTDOCFLAGS", "-D warnings")).map(|_| None)
}

fn dependency_budget(root: &Path) -> Result<Option<String>> {
    let count = packages(&fs::read_to_string(root.join("Cargo.lock"))?);
    if count > MAX_PACKAGES {
        bail!("Cargo.lock holds {count} packages, the budget in xtask/src/ci.rs is {MAX_PACKAGES}");
    }
    Ok(Some(format!("{count} packages of {MAX_PACKAGES}")))
}

fn packages(lock: &str) -> usize {
    lock.lines().filter(|line| *line == "[[package]]").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted() {
        assert_eq!(
            packages("[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n"),
            2
        );
    }
}
