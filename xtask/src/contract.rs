//! `cargo xtask contract FILE`: how our OpenAPI document differs from the published one. Differences that are explained
//! in the documents are counted, all others are printed.

mod differences;
mod shape;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::environment::root;
use crate::step::say;
use differences::differences;

/// Where differences are explained: in a fenced block that begins with this line.
const EXPLAINED: &str = "docs/deviations.md";
const FENCE: &str = "```contract";
/// Where the published document is when it lies beside the checkout.
const BESIDE: &str = "../shared/contract/admin-openapi.json";

/// Which document to compare with.
#[derive(clap::Args)]
pub struct Options {
    /// The published OpenAPI document.
    file: PathBuf,
}

/// Compares, and fails when there is a difference without an explanation.
pub fn run(options: &Options) -> Result<()> {
    let note = compare(&root()?, &options.file)?;
    say(&format!("contract: {note}"));
    Ok(())
}

/// The same as a check, when the published document is there.
pub fn check(root: &Path) -> Result<Option<String>> {
    let file = root.join(BESIDE);
    if !file.is_file() {
        return Ok(Some(format!("left out: there is no {BESIDE}")));
    }
    compare(root, &file).map(Some)
}

fn compare(root: &Path, published: &Path) -> Result<String> {
    let found = differences(&read(published)?, &read(&root.join("openapi.json"))?);
    let text = fs::read_to_string(root.join(EXPLAINED)).context(EXPLAINED)?;
    let explained = explained(&text)?;
    let new: Vec<_> = found.difference(&explained).map(String::as_str).collect();
    let gone: Vec<_> = explained.difference(&found).map(String::as_str).collect();
    if !new.is_empty() {
        let count = new.len();
        bail!(
            "{}\n{count} differences are not explained in {EXPLAINED}",
            new.join("\n")
        );
    }
    if !gone.is_empty() {
        bail!(
            "{}\nis explained in {EXPLAINED}, but no difference any more",
            gone.join("\n")
        );
    }
    Ok(format!("{} differences, all explained", found.len()))
}

fn read(file: &Path) -> Result<Json> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// The lines of the fenced block. A line that begins with `#` is the reason for those that follow.
fn explained(text: &str) -> Result<BTreeSet<String>> {
    let mut lines = text.lines().skip_while(|line| *line != FENCE).skip(1);
    let mut explained = BTreeSet::new();
    let mut has_reason = false;
    for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
        match line.strip_prefix('#') {
            Some(reason) => has_reason = !reason.trim().is_empty(),
            None if line.is_empty() => has_reason = false,
            None if !has_reason => bail!("{EXPLAINED}: no reason stands above: {line}"),
            None if !explained.insert(line.to_owned()) => bail!("{EXPLAINED}: twice: {line}"),
            None => {}
        }
    }
    Ok(explained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_explained_line_has_a_reason() {
        let block = |inside: &str| format!("text\n{FENCE}\n{inside}\n```\nmore\n");
        let lines = explained(&block("# why\na\nb\n\n# other\nc")).unwrap();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(explained(&block("a")).is_err());
        assert!(explained(&block("# why\na\n\nb")).is_err());
        assert!(explained(&block("# why\na\na")).is_err());
        assert!(explained("no block").unwrap().is_empty());
    }
}
