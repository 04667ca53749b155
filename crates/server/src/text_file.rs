//! Text files named by an operator.

use std::path::Path;

use anyhow::anyhow;

/// Reads a UTF-8 file without its byte order mark.
///
/// # Errors
/// The file cannot be read, or has another encoding.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    base::utf_8(std::fs::read(path)?).map_err(|reason| anyhow!(reason))
}
