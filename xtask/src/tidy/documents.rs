//! Rules about the documents: paths that they name exist.

use super::{File, Finding};

const DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];
/// A name with one of these endings, and no folder, is taken for the name of a file of ours.
const ENDINGS: [&str; 3] = [".rs", ".md", ".py"];

/// Every path in backticks exists. Code blocks are left out, as are patterns and paths that start elsewhere.
pub fn paths(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in files
        .iter()
        .filter(|file| DOCUMENTS.contains(&file.path.as_str()))
    {
        let mut in_block = false;
        for (number, line) in document.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            }
            let quoted = line.split('`').skip(1).step_by(2).filter(|_| !in_block);
            for text in quoted.filter(|text| !exists(files, text)) {
                findings.push(document.at(number, text, &format!("`{text}` does not exist")));
            }
        }
    }
    findings
}

/// True if the text is not a path of this repository, or a path that is there.
fn exists(files: &[File], text: &str) -> bool {
    let is_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if !is_plain || text.starts_with('/') {
        return true;
    }
    match text.split_once('/') {
        None if ENDINGS.iter().any(|ending| text.ends_with(ending)) => {
            files.iter().any(|file| file.name() == text)
        }
        None => true,
        Some((first, _)) if !is_ours(files, first) => true,
        Some(_) => {
            let folder = format!("{}/", text.trim_end_matches('/'));
            files
                .iter()
                .any(|file| file.path == text || file.path.starts_with(&folder))
        }
    }
}

/// True if a path with this first part is meant to be one of this repository.
fn is_ours(files: &[File], first: &str) -> bool {
    let expected = [
        "benches",
        "crates",
        "docs",
        "fuzz",
        "migrations",
        "tests",
        "xtask",
        ".ci",
        ".cargo",
    ];
    let folder = format!("{first}/");
    expected.contains(&first) || files.iter().any(|file| file.path.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;

    fn about(text: &str) -> Vec<String> {
        findings(
            paths,
            &[
                ("README.md", text),
                ("crates/base/src/ids.rs", ""),
                ("CHANGELOG.md", ""),
            ],
        )
    }

    #[test]
    fn paths_that_exist_pass() {
        assert!(about("see `crates/base/src/ids.rs`, `crates/base/`, `crates/base`, `ids.rs` and `CHANGELOG.md`").is_empty());
    }

    #[test]
    fn missing_paths_are_found() {
        assert_eq!(
            about("first\nsee `crates/base/src/gone.rs`"),
            ["README.md:2: `crates/base/src/gone.rs` does not exist"]
        );
        assert_eq!(about("`docs/gone.md` `gone.rs` `crates/bas`").len(), 3);
    }

    #[test]
    fn other_words_are_no_paths() {
        let text = "`/v1/models` `application/json` `cargo xtask ci` `crates/*/tests` `sqlite://a.db` `orgplane.toml` `a/b`";
        assert!(about(text).is_empty());
        assert!(about("```\n`docs/gone.md`\n```\n").is_empty());
        assert_eq!(about("```\nx\n```\n`docs/gone.md`").len(), 1);
    }

    #[test]
    fn other_documents_are_not_read() {
        assert!(findings(paths, &[("docs/a.md", "`docs/gone.md`")]).is_empty());
    }
}
