//! `cargo xtask test`: every test, on SQLite and on a PostgreSQL server made for the run.

mod parallel;
mod selection;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::environment::{Environment, cargo, root};
use crate::postgres::Postgres;
use crate::step::{run as run_command, say};
use selection::System;

/// Options of `cargo xtask test`.
#[derive(Args)]
pub struct TestOptions {
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
    /// SQLite and PostgreSQL.
    Both,
}

/// Prepares the programs that the tests need and runs the tests, whose output comes last.
pub fn run(options: &TestOptions) -> Result<()> {
    run_with(options.database, &options.words, &[])
}

/// Runs the tests that `words` choose, with further variables in their environment.
pub fn run_with(database: Database, words: &[String], variables: &[(&str, String)]) -> Result<()> {
    let root = root()?;
    let environment = Environment::prepare(&root)?;
    let mut outcomes = Vec::new();
    if database != Database::Postgres && scope(words).is_some() {
        say("interleavings of the rate limiter");
        outcomes.push(("interleavings of the rate limiter", loom(&root)));
    }
    let server = match database {
        Database::Sqlite => None,
        Database::Postgres | Database::Both => Some(Postgres::start(&root, &environment.postgres)),
    };
    let mut systems = Vec::new();
    if database != Database::Postgres {
        systems.push(System::Sqlite);
    }
    match &server {
        Some(Ok(_)) => systems.push(System::Postgres),
        Some(Err(error)) => outcomes.push(("PostgreSQL", Err(anyhow!("{error:#}")))),
        None => {}
    }
    let url = server.as_ref().and_then(|server| server.as_ref().ok());
    let set = |command: &mut Command, system: System| {
        let url = url.filter(|_| system == System::Postgres);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        set_environment(command, &environment, url.map(Postgres::url).as_deref());
    };
    if selects_whole_packages(words) {
        let has_doc_tests = scope(words).is_some() && systems.contains(&System::Sqlite);
        let arguments = arguments(words, &[]);
        let outcome = parallel::run(&root, &arguments, has_doc_tests, &systems, &set);
        outcomes.push(("tests", outcome));
    } else {
        for system in systems {
            let (part, kinds): (_, &[&str]) = match system {
                System::Sqlite => ("tests on SQLite", &[]),
                System::Postgres => ("tests on PostgreSQL", &["--tests"]),
            };
            say(part);
            let mut command = cargo(&root);
            command.arg("test").args(arguments(words, kinds));
            set(&mut command, system);
            outcomes.push((part, run_command(&mut command)));
        }
    }
    summarize(&outcomes)
}

/// Says which parts of the run have passed.
///
/// # Errors
/// A part has failed; the message has the failures of all parts.
fn summarize(outcomes: &[(&str, Result<()>)]) -> Result<()> {
    let mut failures = Vec::new();
    for (part, outcome) in outcomes {
        match outcome {
            Ok(()) => say(&format!("{part} passed")),
            Err(error) => failures.push(format!("{part} failed:\n{error:#}")),
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
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
            "slices",
            "--test",
            "loom",
            "--target-dir",
        ])
        .arg(root.join("target/loom"))
        .env("RUSTFLAGS", "--cfg loom");
    run_command(&mut command)
}

/// Names the programs and the database that tests use in the environment of a command.
fn set_environment(command: &mut Command, environment: &Environment, url: Option<&str>) {
    let clients = &environment.clients;
    command
        .env("ORGPLANE_TEST_FUZZER", &clients.fuzzer)
        .env("ORGPLANE_TEST_GENERATORS", &clients.generators)
        .env("ORGPLANE_TEST_PYTHON", &clients.python)
        .env("ORGPLANE_TEST_NODE", &clients.node)
        .env("ORGPLANE_TEST_MODEL_SERVER", &clients.model_server)
        .env("ORGPLANE_TEST_OIDC", &clients.identity_providers.certified)
        .env(
            "ORGPLANE_TEST_OIDC_DJANGO",
            &clients.identity_providers.django,
        )
        .env("ORGPLANE_TEST_READERS", &clients.readers)
        .env("ORGPLANE_TEST_THIRD_PARTY", &clients.third_party)
        .env("ORGPLANE_TEST_BROWSER", &clients.browser)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("ORGPLANE_TEST_DATABASE")
        .envs(url.map(|url| ("ORGPLANE_TEST_DATABASE", url)));
}

/// Returns the words of `cargo test`: the packages, the kinds of targets, and the words of the user.
fn arguments(words: &[String], kinds: &[&str]) -> Vec<String> {
    let own = scope(words).into_iter().chain(kinds.iter().copied());
    own.map(str::to_owned)
        .chain(words.iter().cloned())
        .collect()
}

/// True if the words name nothing but packages, so that every test of them runs.
fn selects_whole_packages(words: &[String]) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let names_next = matches!(word.as_str(), "-p" | "--package");
        let is_package = word.starts_with("-p") || word.starts_with("--package=");
        if names_next {
            words.next();
        } else if !is_package {
            return false;
        }
    }
    true
}

/// Returns the option for all packages, unless some are named.
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
    fn failures_of_both_databases_are_reported() {
        let outcomes = [
            ("tests on SQLite", Err(anyhow!("`a it` failed"))),
            ("tests on PostgreSQL", Err(anyhow!("`b it` failed"))),
        ];
        let error = summarize(&outcomes).expect_err("a failure").to_string();
        assert_eq!(
            error,
            "tests on SQLite failed:\n`a it` failed\ntests on PostgreSQL failed:\n`b it` failed"
        );
        assert!(summarize(&[("tests on SQLite", Ok(()))]).is_ok());
        assert!(summarize(&[outcomes.into_iter().next().expect("a part")]).is_err());
    }

    #[test]
    fn binaries_run_in_parallel_unless_tests_are_named() {
        let selects = |text: &str| {
            let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            selects_whole_packages(&words)
        };
        assert!(selects("") && selects("-p admin -pbase --package=store --package usage"));
        assert!(!selects("-p admin projects") && !selects("--test it") && !selects("-- a"));
    }

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
