//! `cargo xtask tidy`: rules of the repository that no compiler holds.
//!
//! A rule reads the text or the syntax of all files and returns a finding for each place that breaks the rule. Places that
//! may break a rule for now are listed in `xtask/tidy-exceptions.toml`, which only shrinks: an exception without a finding
//! is itself an error.

mod constant_names;
mod documents;
mod events;
mod exceptions;
mod imports;
mod language;
mod layout;
mod manifests;
pub mod migrations;
mod modules;
mod sleeps;
mod sources;
mod tokens;
mod type_names;

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::environment::root;
use crate::step::{output, say};
use exceptions::Exceptions;

/// A file that git tracks, or would track if it were added.
pub struct File {
    /// Path relative to the root of the repository, with `/`.
    pub path: String,
    /// Content of the file; empty unless it is text.
    pub text: String,
    syntax: OnceCell<Option<syn::File>>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            syntax: OnceCell::new(),
        }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Parses the file; `None` if it is not Rust, or not Rust that the parser knows.
    fn syntax(&self) -> Option<&syn::File> {
        let parse = || {
            self.is_rust()
                .then(|| syn::parse_file(&self.text).ok())
                .flatten()
        };
        self.syntax.get_or_init(parse).as_ref()
    }

    /// Returns a finding about a line of this file, counted from 0. `name` tells it from others of the same rule and file.
    fn at(&self, line: usize, name: &str, message: &str) -> Finding {
        Finding {
            path: self.path.clone(),
            line: line + 1,
            name: name.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// A place that breaks a rule.
#[derive(Clone, Debug)]
pub struct Finding {
    path: String,
    /// Line, counted from 1.
    line: usize,
    /// Identifier, word or import at the place: what an exception names, since lines move.
    name: String,
    message: String,
}

impl Finding {
    /// Returns the text by which the list of exceptions names this place.
    fn place(&self) -> String {
        format!("{}: {}", self.path, self.name)
    }
}

/// A rule of the repository.
struct Rule {
    /// Name in the list of exceptions.
    name: &'static str,
    check: fn(&[File]) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    rule("code-lines", sources::code_lines),
    rule("gateway-facade", sources::gateway_facade),
    rule("introduction", sources::introduction),
    rule("unfinished", sources::unfinished),
    rule("bare-allow", sources::bare_allow),
    rule("database-driver", sources::database_drivers),
    rule("clock", sources::clocks),
    rule("unbounded", sources::unbounded),
    rule("named-columns", sources::named_columns),
    rule("doc-sentence", language::doc_sentences),
    rule("message", language::messages),
    rule("house-word", language::house_words),
    rule("constant-name", constant_names::patterns),
    rule("unique-type", type_names::unique),
    rule("import-cycle", imports::cycles),
    rule("sleep", sleeps::in_tests),
    rule("event-type", events::literals),
    rule("frozen-migration", migrations::frozen),
    rule("vague-name", layout::vague_names),
    rule("forgotten-test", layout::forgotten_tests),
    rule("dependency-arrow", manifests::arrows),
    rule("unused-dependency", manifests::unused),
    rule("missing-path", documents::paths),
];

const fn rule(name: &'static str, check: fn(&[File]) -> Vec<Finding>) -> Rule {
    Rule { name, check }
}

/// Checks the repository, and says how many files and rules that were.
pub fn run() -> Result<()> {
    let note = check(&root()?)?;
    say(&format!("tidy: ok; {}", note.unwrap_or_default()));
    Ok(())
}

/// Checks the repository; fails with all findings that are no exceptions, and all exceptions that are no findings.
pub fn check(root: &Path) -> Result<Option<String>> {
    let files = files(root)?;
    let exceptions = Exceptions::read(&files)?;
    let complaints = exceptions.complaints(&findings(&files));
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    Ok(Some(format!(
        "{} files, {} rules; {}",
        files.len(),
        RULES.len(),
        exceptions.summary()
    )))
}

/// Returns the findings of each rule, in the order of [`RULES`].
fn findings(files: &[File]) -> Vec<(&'static str, Vec<Finding>)> {
    RULES
        .iter()
        .map(|rule| (rule.name, (rule.check)(files)))
        .collect()
}

/// Reads all files that git tracks or would track.
fn files(root: &Path) -> Result<Vec<File>> {
    let words = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = output(Command::new("git").args(words).current_dir(root))?;
    let paths = listed.split('\0').filter(|path| root.join(path).is_file());
    Ok(paths
        .map(|path| File::new(path, &read(&root.join(path))))
        .collect())
}

fn read(file: &Path) -> String {
    fs::read(file)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the findings of a check about files given as (path, text), as `path:line: message`.
    pub(super) fn findings(
        check: fn(&[File]) -> Vec<Finding>,
        files: &[(&str, &str)],
    ) -> Vec<String> {
        check(&read(files)).iter().map(exceptions::line).collect()
    }

    /// Returns the places of a check's findings about files given as (path, text).
    pub(super) fn places(
        check: fn(&[File]) -> Vec<Finding>,
        files: &[(&str, &str)],
    ) -> Vec<String> {
        check(&read(files)).iter().map(Finding::place).collect()
    }

    fn read(files: &[(&str, &str)]) -> Vec<File> {
        files
            .iter()
            .map(|(path, text)| File::new(path, text))
            .collect()
    }

    #[test]
    fn files_of_this_repository_are_listed_and_parsed() {
        let files = files(&root().unwrap()).unwrap();
        let this = files.iter().find(|file| file.path == "xtask/src/tidy.rs");
        assert!(this.is_some_and(|file| file.text.contains("RULES")));
        let rust = files.iter().filter(|file| file.is_rust());
        let odd: Vec<_> = rust
            .filter(|file| file.syntax().is_none())
            .map(|file| &file.path)
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn rule_names_are_unique() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
