//! `cargo xtask test`: every test, on SQLite and then on a PostgreSQL server made for the run.

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::environment::{Environment, cargo, root};
use crate::postgres::Postgres;
use crate::step::{run as run_command, say};

/// Which tests to run, and on what.
#[derive(Args)]
pub struct Options {
    /// The database to test on.
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
    /// Further words for `cargo test`: options, the name of a test, `-- --nocapture`. With `-p` only that package is tested.
    #[arg(last = true)]
    words: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// A file.
    Sqlite,
    /// A server made for the run.
    Postgres,
    /// One after the other.
    Both,
}

/// Prepares what the tests need and runs them. Their output comes last, so that it ends with the runner's own summary.
pub fn run(options: &Options) -> Result<()> {
    run_with(options.database, &options.words, &[])
}

/// Runs the tests that `words` choose, with further variables in their environment.
pub fn run_with(database: Database, words: &[String], variables: &[(&str, String)]) -> Result<()> {
    let root = root()?;
    let environment = Environment::prepare(&root)?;
    let tests = |kinds: &[&str], url: Option<&str>| {
        let mut command = cargo(&root);
        command
            .arg("test")
            .args(scope(words))
            .args(kinds)
            .args(words)
            .envs(variables.iter().map(|(name, value)| (name, value)));
        command.env("ORGPLANE_TEST_FUZZER", &environment.clients.fuzzer);
        command.env("ORGPLANE_TEST_GENERATORS", &environment.clients.generators);
        command.env("ORGPLANE_TEST_PYTHON", &environment.clients.python);
        command.env("ORGPLANE_TEST_NODE", &environment.clients.node);
        command.env(
            "ORGPLANE_TEST_MODEL_SERVER",
            &environment.clients.model_server,
        );
        command.env("ORGPLANE_TEST_READERS", &environment.clients.readers);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.env_remove("ORGPLANE_TEST_DATABASE");
        command.envs(url.map(|url| ("ORGPLANE_TEST_DATABASE", url)));
        run_command(&mut command)
    };
    if database != Database::Postgres {
        if scope(words).is_some() {
            say("interleavings of the rate limiter");
            loom(&root)?;
        }
        say("tests on SQLite");
        tests(&[], None)?;
    }
    if database != Database::Sqlite {
        let server = Postgres::start(&root, &environment.postgres)?;
        say("tests on PostgreSQL");
        tests(&["--tests"], Some(server.url()))?;
    }
    Ok(())
}

/// Tries every interleaving of the rate limiter. The flag changes every crate of the build, so the target directory is another.
fn loom(root: &Path) -> Result<()> {
    let mut command = cargo(root);
    command
        .args([
            "test",
            "--package",
            "limiter",
            "--test",
            "loom",
            "--target-dir",
        ])
        .arg(root.join("target/loom"))
        .env("RUSTFLAGS", "--cfg loom");
    run_command(&mut command)
}

/// All packages, unless some are named.
fn scope(words: &[String]) -> Option<&'static str> {
    let names_a_package = |word: &String| word.starts_with("-p") || word.starts_with("--package");
    (!words
        .iter()
        .take_while(|word| *word != "--")
        .any(names_a_package))
    .then_some("--workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(scope(&[]), Some("--workspace"));
        assert_eq!(
            scope(&words("projects -- --nocapture -p")),
            Some("--workspace")
        );
        assert_eq!(scope(&words("-p admin projects")), None);
        assert_eq!(scope(&words("--package=admin")), None);
    }
}
