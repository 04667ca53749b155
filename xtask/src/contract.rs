//! `cargo xtask contract FILE`: differences between our OpenAPI document and the published one. Differences that the
//! documents explain are counted, all others are printed.

mod commands;
mod differences;
mod explained;
mod shape;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value as Json;

use crate::environment::root;
use crate::step::say;
pub use commands::check as check_commands;
use differences::differences;

/// Path of the published document if it lies beside the checkout.
const BESIDE: &str = "../shared/contract/admin-openapi.json";

/// ContractOptions of `cargo xtask contract`.
#[derive(clap::Args)]
pub struct ContractOptions {
    /// The published OpenAPI document.
    file: PathBuf,
}

/// Compares the documents; fails if a difference has no explanation.
pub fn run(options: &ContractOptions) -> Result<()> {
    let note = compare(&root()?, &options.file)?;
    say(&format!("contract: {note}"));
    Ok(())
}

/// Compares the documents as a check of `cargo xtask ci`, if the published one is there.
pub fn check(root: &Path) -> Result<Option<String>> {
    let file = root.join(BESIDE);
    if !file.is_file() {
        return Ok(Some(format!("left out: there is no {BESIDE}")));
    }
    compare(root, &file).map(Some)
}

fn compare(root: &Path, published: &Path) -> Result<String> {
    let found = differences(&read(published)?, &read(&root.join("openapi.json"))?);
    explained::check(root, "contract", &found)
}

fn read(file: &Path) -> Result<Json> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}
