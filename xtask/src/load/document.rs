//! The document that the figures are written to: only what stands between two markers is replaced.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- figures: written by `cargo xtask load`; do not edit -->";
const END: &str = "<!-- end of figures -->";

/// Fails unless the document can be written to, so that nobody measures for nothing.
pub fn check(file: &Path) -> Result<()> {
    replaced(&read(file)?, "").map(|_| ())
}

/// Replaces the block.
pub fn write(file: &Path, figures: &str) -> Result<()> {
    let text = replaced(&read(file)?, figures)?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn replaced(document: &str, figures: &str) -> Result<String> {
    let missing = || format!("the document has no lines `{BEGIN}` and `{END}`");
    let (before, rest) = document.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    let figures = figures.trim();
    Ok(format!("{before}{BEGIN}\n\n{figures}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_block_is_replaced() {
        let before = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nText\n");
        let after = replaced(&before, "new\n").unwrap();
        assert_eq!(
            after,
            format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nText\n")
        );
        assert_eq!(replaced(&after, "new").unwrap(), after);
    }

    #[test]
    fn a_document_without_markers_is_refused() {
        for text in ["", BEGIN, END, &format!("{END}\n{BEGIN}")] {
            assert!(replaced(text, "new").is_err(), "{text}");
        }
    }
}
