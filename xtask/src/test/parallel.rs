//! Test binaries, several at a time: `cargo test` runs one after the other, and each has a slow test at its end.
//!
//! The output of a binary is printed when it has ended, so that the lines of two do not mix. Binaries named `alone`
//! measure time or fill the machine; they run after the others, one after the other.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::environment::cargo;
use crate::step::{instant, run as run_command};

/// Maximum number of binaries at a time; each has as many threads as the machine has cores.
const MAX_CONCURRENT_BINARIES: usize = 2;
/// Name of binaries that run without others.
const ALONE: &str = "alone";

/// A built test binary.
#[derive(Debug, PartialEq, Eq)]
struct Binary {
    package: String,
    /// Name of the target in the package: `it`, or the crate's own name for unit tests.
    target: String,
    folder: PathBuf,
    executable: PathBuf,
}

/// Builds the tests that the arguments of `cargo test` select and runs them; then the tests in documentation, if they are
/// to be run. `set` sets the environment of every command.
///
/// # Errors
/// A build fails, or a binary; all others have then run, too.
pub fn run(
    root: &Path,
    arguments: &[String],
    has_doc_tests: bool,
    set: &(dyn Fn(&mut Command) + Sync),
) -> Result<()> {
    let mut build = cargo(root);
    build.arg("test").args(arguments);
    build.args(["--no-run", "--message-format=json-render-diagnostics"]);
    set(&mut build);
    let built = build
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        bail!("the tests could not be built");
    }
    let mut binaries = binaries(&String::from_utf8_lossy(&built.stdout));
    // The largest binary has the most tests, so it begins first.
    let length = |binary: &Binary| std::fs::metadata(&binary.executable).map_or(0, |it| it.len());
    binaries.sort_by_key(|binary| std::cmp::Reverse(length(binary)));
    let (alone, others): (Vec<_>, Vec<_>) = binaries
        .into_iter()
        .partition(|binary| binary.target == ALONE);
    let mut failed = run_all(others, MAX_CONCURRENT_BINARIES, set);
    failed.extend(run_all(alone, 1, set));
    if has_doc_tests {
        let mut command = cargo(root);
        command.args(["test", "--doc"]).args(arguments);
        set(&mut command);
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

/// Runs the binaries, at most `limit` at a time; returns a line for each that failed.
fn run_all(
    binaries: Vec<Binary>,
    limit: usize,
    set: &(dyn Fn(&mut Command) + Sync),
) -> Vec<String> {
    let waiting = Mutex::new(VecDeque::from(binaries));
    let failed = Mutex::new(Vec::new());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    std::thread::scope(|scope| {
        for _ in 0..limit {
            scope.spawn(|| {
                while let Some(binary) = next() {
                    let outcome = binary.run(set);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.extend(outcome.err().map(|error| format!("{error:#}")));
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Binary {
    /// Runs the binary as cargo would, and prints its output when it has ended.
    fn run(&self, set: &(dyn Fn(&mut Command) + Sync)) -> Result<()> {
        let name = format!("{} {}", self.package, self.target);
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.package)
            .stdin(Stdio::null());
        set(&mut command);
        let started = instant();
        let output = command.output();
        let output = output.with_context(|| format!("cannot start the tests `{name}`"))?;
        show(&name, started.elapsed().as_secs_f32(), &output)?;
        if !output.status.success() {
            bail!("the tests `{name}` failed: {}", output.status);
        }
        Ok(())
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

    #[test]
    fn all_binaries_run_and_failures_are_named() {
        let binary = |target: &str, executable: &str| Binary {
            package: "a".to_owned(),
            target: target.to_owned(),
            folder: "/".into(),
            executable: executable.into(),
        };
        let binaries = vec![
            binary("x", "/bin/false"),
            binary("y", "/bin/true"),
            binary("z", "/no-such-program"),
        ];
        let mut failed = run_all(binaries, 2, &|_| {});
        failed.sort();
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert!(
            failed[0].contains("`a z`") && failed[1].contains("`a x` failed"),
            "{failed:?}"
        );
    }
}
