//! `cargo xtask record-upgrade`: stores databases of today's program for the tests of later ones.

use anyhow::Result;
use clap::Args;

use crate::test::{Database, run_with};

/// Options of `cargo xtask record-upgrade`.
#[derive(Args)]
pub struct RecordOptions {
    /// The name of the folder in crates/server/tests/upgrades: the version, or its newest migration.
    version: String,
}

/// Fills an installation on each database and stores its content.
pub fn run(options: &RecordOptions) -> Result<()> {
    let words = "-p orgplane --test it upgrades::every_table_of_this_version";
    let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
    let variables = [("ORGPLANE_TEST_RECORD_UPGRADE", options.version.clone())];
    run_with(Database::Both, &words, &variables)
}
