//! Differences that are explained: lines of a fenced block of the document of deviations.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Document that explains differences, in a fenced block of their kind.
const EXPLAINED: &str = "docs/deviations.md";

/// Fails when one of the differences is not explained, or one that is explained is none any more.
pub fn check(root: &Path, kind: &str, found: &BTreeSet<String>) -> Result<String> {
    let text = fs::read_to_string(root.join(EXPLAINED)).context(EXPLAINED)?;
    let explained = explained(&text, kind)?;
    let new: Vec<_> = found.difference(&explained).map(String::as_str).collect();
    let gone: Vec<_> = explained.difference(found).map(String::as_str).collect();
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

/// Returns the lines of the fenced block. A line that begins with `#` is the reason for those that follow.
fn explained(text: &str, kind: &str) -> Result<BTreeSet<String>> {
    let fence = format!("```{kind}");
    let mut lines = text.lines().skip_while(|line| *line != fence).skip(1);
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
        let block = |inside: &str| format!("text\n```kind\n{inside}\n```\nmore\n");
        let lines = explained(&block("# why\na\nb\n\n# other\nc"), "kind").unwrap();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(explained(&block("a"), "kind").is_err());
        assert!(explained(&block("# why\na\n\nb"), "kind").is_err());
        assert!(explained(&block("# why\na\na"), "kind").is_err());
        assert!(explained("no block", "kind").unwrap().is_empty());
    }
}
