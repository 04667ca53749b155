//! The rule about migrations: one that has landed never changes.
//!
//! `migrations/frozen.sha256` has the SHA-256 of each, in the format of `sha256sum`. `cargo xtask freeze-migrations` adds
//! those that are new and refuses to change a line.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use super::{File, Finding};
use crate::environment::root;
use crate::step::say;

const LIST: &str = "migrations/frozen.sha256";
const FOLDER: &str = "migrations/";

/// Every migration has the content that it landed with, and is in the list.
pub fn frozen(files: &[File]) -> Vec<Finding> {
    let list = files.iter().find(|file| file.path == LIST);
    let hashes = list.map_or_else(BTreeMap::new, |list| parse(&list.text));
    let mut findings = Vec::new();
    let migrations: Vec<_> = migrations(files).collect();
    for file in &migrations {
        match hashes.get(file.name()) {
            None => findings.push(file.at(
                0,
                file.name(),
                "a new migration must be frozen: cargo xtask freeze-migrations",
            )),
            Some(hash) if *hash != hash_of(&file.text) => {
                findings.push(file.at(
                    0,
                    file.name(),
                    "a landed migration must not change: add a new one instead",
                ));
            }
            Some(_) => {}
        }
    }
    if let Some(list) = list {
        let is_gone = |name: &&&str| !migrations.iter().any(|file| file.name() == **name);
        for name in hashes.keys().filter(is_gone) {
            findings.push(list.at(
                0,
                name,
                &format!("the landed migration {name} must not be removed"),
            ));
        }
    }
    findings
}

/// Adds new migrations to the list.
///
/// # Errors
/// A migration of the list has changed or is gone; the list is then left as it is.
pub fn freeze() -> Result<()> {
    let root = root()?;
    let files = super::files(&root)?;
    let list = files.iter().find(|file| file.path == LIST);
    let (text, added) = with_new(list.map_or("", |list| &list.text), &files)?;
    fs::write(root.join(LIST), text)?;
    for name in &added {
        say(&format!("frozen: {name}"));
    }
    say(&format!("{} migrations added to {LIST}", added.len()));
    Ok(())
}

/// Returns the list with a line for each new migration, and the names of these.
fn with_new(list: &str, files: &[File]) -> Result<(String, Vec<String>)> {
    let hashes = parse(list);
    for (name, hash) in &hashes {
        match migrations(files).find(|file| file.name() == *name) {
            Some(file) if hash_of(&file.text) == *hash => {}
            Some(_) => {
                bail!("{name} is frozen and has changed; put it back and add a new migration")
            }
            None => bail!("{name} is frozen and must not be removed"),
        }
    }
    let mut text = list.to_owned();
    let mut added = Vec::new();
    for file in migrations(files).filter(|file| !hashes.contains_key(file.name())) {
        text.push_str(&format!("{}  {}\n", hash_of(&file.text), file.name()));
        added.push(file.name().to_owned());
    }
    Ok((text, added))
}

/// Returns the numbered files of the folder, in order of their names. The others are templates of daily tables.
fn migrations(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| {
        let name = file.path.strip_prefix(FOLDER);
        name.is_some_and(|name| {
            name.ends_with(".sql") && name.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

fn parse(list: &str) -> BTreeMap<&str, &str> {
    let pairs = list.lines().filter_map(|line| line.split_once("  "));
    pairs.map(|(hash, name)| (name, hash)).collect()
}

fn hash_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;

    const FIRST: &str = "migrations/0001_a.sql";
    /// The SHA-256 of "a".
    const A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    fn listed() -> String {
        format!("{A}  0001_a.sql\n")
    }

    #[test]
    fn migrations_of_this_repository_are_as_they_landed() {
        let files = super::super::files(&root().unwrap()).unwrap();
        assert!(migrations(&files).count() >= 20);
        let found = frozen(&files);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn changed_migration_is_found() {
        let list = listed();
        assert!(findings(frozen, &[(FIRST, "a"), (LIST, &list)]).is_empty());
        assert_eq!(
            findings(frozen, &[(FIRST, "b"), (LIST, &list)]),
            ["migrations/0001_a.sql:1: a landed migration must not change: add a new one instead"]
        );
    }

    #[test]
    fn new_and_removed_migrations_are_found() {
        assert_eq!(
            findings(frozen, &[(FIRST, "a"), ("migrations/usage_events.sql", "")]),
            [
                "migrations/0001_a.sql:1: a new migration must be frozen: cargo xtask freeze-migrations"
            ]
        );
        assert_eq!(
            findings(frozen, &[(LIST, &listed())]),
            ["migrations/frozen.sha256:1: the landed migration 0001_a.sql must not be removed"]
        );
    }

    #[test]
    fn freezing_adds_new_migrations_and_changes_no_line() {
        let files = |first: &str| {
            [
                File::new(FIRST, first),
                File::new("migrations/0002_b.sql", "a"),
            ]
        };
        let (text, added) = with_new(&listed(), &files("a")).unwrap();
        assert_eq!(text, format!("{A}  0001_a.sql\n{A}  0002_b.sql\n"));
        assert_eq!(added, ["0002_b.sql"]);
        assert!(with_new(&listed(), &files("b")).is_err());
        assert!(with_new(&listed(), &files("a")[1..]).is_err());
    }
}
