//! Test binaries, several at a time: `cargo test` runs one after the other, and each has a slow test at its end.
//!
//! The output of a binary is printed when it has ended, so that the lines of two do not mix. Binaries named `alone`
//! measure time or fill the machine; they run after the others, one after the other.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::environment::cargo;
use crate::step::{instant, output, run as run_command};

use super::selection::{System, is_listed, left_out, without_database};

/// Maximum number of binaries at a time; each has as many threads as the machine has cores.
const MAX_CONCURRENT_BINARIES: usize = 2;
/// Name of binaries that run without others.
const ALONE: &str = "alone";

/// Sets the environment of a command for tests on a database.
type SetEnvironment<'a> = &'a (dyn Fn(&mut Command, System) + Sync);

/// A built test binary.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binary {
    package: String,
    /// Name of the target in the package: `it`, or the crate's own name for unit tests.
    target: String,
    folder: PathBuf,
    executable: PathBuf,
}

/// A binary to be run on a database.
struct Work {
    binary: Binary,
    system: System,
    /// True if it also runs on the other database, so that tests for one of them are chosen.
    is_shared: bool,
}

/// Builds the tests that the arguments of `cargo test` select and runs them on each of the databases; then the tests in
/// documentation, if they are to be run. Binaries that cannot reach a database run once.
///
/// # Errors
/// A build fails, or a binary; all others have then run, too.
pub fn run(
    root: &Path,
    arguments: &[String],
    has_doc_tests: bool,
    systems: &[System],
    set: SetEnvironment<'_>,
) -> Result<()> {
    let Some(first) = systems.first() else {
        return Ok(());
    };
    let mut build = cargo(root);
    build.arg("test").args(arguments);
    build.args(["--no-run", "--message-format=json-render-diagnostics"]);
    set(&mut build, *first);
    let built = build
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        bail!("the tests could not be built");
    }
    let without_database = without_database(&std::fs::read_to_string(root.join("Cargo.lock"))?)?;
    let mut binaries = binaries(&String::from_utf8_lossy(&built.stdout));
    // The largest binary has the most tests, so it begins first.
    let length = |binary: &Binary| std::fs::metadata(&binary.executable).map_or(0, |it| it.len());
    binaries.sort_by_key(|binary| std::cmp::Reverse(length(binary)));
    let (alone, others): (Vec<_>, Vec<_>) = work(&binaries, systems, &without_database)
        .into_iter()
        .partition(|work| work.binary.target == ALONE);
    let mut failed = run_all(others, MAX_CONCURRENT_BINARIES, set);
    failed.extend(run_all(alone, 1, set));
    if has_doc_tests {
        let mut command = cargo(root);
        command.args(["test", "--doc"]).args(arguments);
        set(&mut command, *first);
        failed.extend(
            run_command(&mut command)
                .err()
                .map(|error| error.to_string()),
        );
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}

/// Returns each binary with the databases that it runs on.
fn work(binaries: &[Binary], systems: &[System], without_database: &BTreeSet<String>) -> Vec<Work> {
    let of_binary = |binary: &Binary| {
        let is_once = without_database.contains(&binary.package);
        let systems = if is_once { &systems[..1] } else { systems };
        let work = systems.iter().map(|system| Work {
            binary: binary.clone(),
            system: *system,
            is_shared: systems.len() > 1,
        });
        work.collect::<Vec<_>>()
    };
    binaries.iter().flat_map(of_binary).collect()
}

/// Reads the binaries from the messages of cargo.
fn binaries(messages: &str) -> Vec<Binary> {
    let messages = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_test = message["profile"]["test"] == true;
        let manifest = Path::new(message["manifest_path"].as_str()?);
        Some(Binary {
            package: package(message["package_id"].as_str()?).to_owned(),
            target: message["target"]["name"].as_str()?.to_owned(),
            folder: manifest.parent()?.to_owned(),
            executable: message["executable"].as_str().filter(|_| is_test)?.into(),
        })
    });
    messages.collect()
}

/// Returns the name in a package id: `path+file:///a/b#0.1.0` or `path+file:///a/b#name@0.1.0`.
fn package(id: &str) -> &str {
    let (path, version) = id.split_once('#').unwrap_or((id, ""));
    let folder = || path.rsplit('/').next().unwrap_or(path);
    version
        .split_once('@')
        .map_or_else(folder, |(name, _)| name)
}

/// Runs binaries, at most `limit` at a time; returns a line for each that failed.
fn run_all(work: Vec<Work>, limit: usize, set: SetEnvironment<'_>) -> Vec<String> {
    let waiting = Mutex::new(VecDeque::from(work));
    let failed = Mutex::new(Vec::new());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    std::thread::scope(|scope| {
        for _ in 0..limit {
            scope.spawn(|| {
                while let Some(work) = next() {
                    let outcome = work.run(set);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.extend(outcome.err().map(|error| format!("{error:#}")));
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Work {
    /// Runs the binary as cargo would, and prints its output when it has ended.
    fn run(&self, set: SetEnvironment<'_>) -> Result<()> {
        let name = self.binary.name();
        let full_name = match self.system {
            System::Sqlite => format!("{name} on SQLite"),
            System::Postgres => format!("{name} on PostgreSQL"),
        };
        let mut command = self.command(set);
        if self.is_shared && is_listed(self.system, &name) {
            let tests = self.tests(set)?;
            command.arg("--exact");
            for test in left_out(self.system, &name, &tests)? {
                command.args(["--skip", test]);
            }
        }
        let started = instant();
        let output = command.output();
        let output = output.with_context(|| format!("cannot start the tests `{full_name}`"))?;
        show(&full_name, started.elapsed().as_secs_f32(), &output)?;
        if !output.status.success() {
            bail!("the tests `{full_name}` failed: {}", output.status);
        }
        Ok(())
    }

    fn command(&self, set: SetEnvironment<'_>) -> Command {
        let binary = &self.binary;
        let mut command = Command::new(&binary.executable);
        command
            .current_dir(&binary.folder)
            .env("CARGO_MANIFEST_DIR", &binary.folder)
            .env("CARGO_PKG_NAME", &binary.package)
            .stdin(Stdio::null());
        set(&mut command, self.system);
        command
    }

    /// Returns the names of the binary's tests.
    fn tests(&self, set: SetEnvironment<'_>) -> Result<Vec<String>> {
        let listed = output(self.command(set).args(["--list", "--format", "terse"]))?;
        let name = |line: &str| line.strip_suffix(": test").map(str::to_owned);
        Ok(listed.lines().filter_map(name).collect())
    }
}

impl Binary {
    /// Returns the package and the target.
    fn name(&self) -> String {
        format!("{} {}", self.package, self.target)
    }
}

fn show(name: &str, seconds: f32, output: &Output) -> Result<()> {
    let mut terminal = std::io::stderr().lock();
    writeln!(terminal, "\nxtask: tests `{name}` ({seconds:.1} s)")?;
    terminal.write_all(&output.stdout)?;
    terminal.write_all(&output.stderr)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_binaries_are_read_from_messages() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"path+file:///r/crates/server#orgplane@0.1.0","manifest_path":"/r/crates/server/Cargo.toml","target":{"name":"it"},"profile":{"test":true},"executable":"/r/target/it"}
{"reason":"compiler-artifact","package_id":"path+file:///r/crates/server#orgplane@0.1.0","manifest_path":"/r/crates/server/Cargo.toml","target":{"name":"orgplane"},"profile":{"test":false},"executable":"/r/target/orgplane"}
{"reason":"compiler-artifact","package_id":"path+file:///r/crates/base#0.1.0","manifest_path":"/r/crates/base/Cargo.toml","target":{"name":"base"},"profile":{"test":true},"executable":null}
{"reason":"build-finished","success":true}"#;
        let expected = Binary {
            package: "orgplane".to_owned(),
            target: "it".to_owned(),
            folder: "/r/crates/server".into(),
            executable: "/r/target/it".into(),
        };
        assert_eq!(binaries(messages), [expected]);
        assert_eq!(package("path+file:///r/crates/base#0.1.0"), "base");
    }

    fn binary(package: &str, target: &str, executable: &str) -> Binary {
        Binary {
            package: package.to_owned(),
            target: target.to_owned(),
            folder: "/".into(),
            executable: executable.into(),
        }
    }

    #[test]
    fn all_binaries_run_on_each_database_and_failures_are_named() {
        let binaries = [
            binary("a", "x", "/bin/false"),
            binary("b", "y", "/bin/true"),
            binary("c", "z", "/no-such-program"),
        ];
        let systems = [System::Sqlite, System::Postgres];
        let once = BTreeSet::from(["c".to_owned()]);
        let asked = Mutex::new(Vec::new());
        let set = |_: &mut Command, system: System| {
            asked.lock().expect("no panic").push(system);
        };
        let mut failed = run_all(work(&binaries, &systems, &once), 2, &set);
        failed.sort();
        let failures = [
            "cannot start the tests `c z on SQLite`",
            "the tests `a x on PostgreSQL` failed",
            "the tests `a x on SQLite` failed",
        ];
        assert_eq!(failed.len(), failures.len(), "{failed:?}");
        for (failed, expected) in failed.iter().zip(failures) {
            assert!(failed.starts_with(expected), "{failed}");
        }
        let asked = asked.into_inner().expect("no panic");
        let on_postgres = asked.iter().filter(|system| **system == System::Postgres);
        assert_eq!((asked.len(), on_postgres.count()), (5, 2));
    }
}
