//! `cargo xtask tidy`: rules of the repository that no compiler holds. A rule looks at the text of all files and says
//! where it is broken.

mod documents;
mod layout;
mod manifests;
mod sources;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::environment::root;
use crate::step::{output, say};

/// A file that git tracks, or would if it were added.
pub struct File {
    /// Relative to the root of the repository, with `/`.
    pub path: String,
    /// Empty for a file that is not text.
    pub text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// A finding about a line of this file, counted from 0.
    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }
}

type Rule = fn(&[File]) -> Vec<String>;

const RULES: &[Rule] = &[
    sources::length,
    sources::introduction,
    sources::unfinished,
    sources::bare_allow,
    sources::database_drivers,
    sources::clocks,
    sources::unbounded,
    sources::named_columns,
    layout::vague_names,
    layout::forgotten_tests,
    manifests::arrows,
    manifests::unused,
    documents::paths,
];

/// Checks the repository and prints nothing when it is in order.
pub fn run() -> Result<()> {
    let note = check(&root()?)?;
    say(&format!("tidy: ok; {}", note.unwrap_or_default()));
    Ok(())
}

/// Checks the repository; fails with all findings.
pub fn check(root: &Path) -> Result<Option<String>> {
    let files = files(root)?;
    let findings: Vec<_> = RULES.iter().flat_map(|rule| rule(&files)).collect();
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    Ok(Some(format!(
        "{} files, {} rules",
        files.len(),
        RULES.len()
    )))
}

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
        .map(|path| File {
            path: path.to_owned(),
            text: read(&root.join(path)),
        })
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

    /// The findings of one rule about files given as (path, text).
    pub(super) fn findings(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        });
        rule(&files.collect::<Vec<_>>())
    }

    #[test]
    fn this_repository_is_listed() {
        let files = files(&root().unwrap()).unwrap();
        assert!(
            files
                .iter()
                .any(|file| file.path == "xtask/src/tidy.rs" && file.text.contains("RULES"))
        );
    }
}
