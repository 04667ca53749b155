//! Files of text that an operator names.

use std::path::Path;

use anyhow::anyhow;

/// Reads a file of UTF-8; a byte order mark at its beginning is no part of the text.
///
/// # Errors
/// The system's reason, or the encoding that the file must have.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    base::utf_8(std::fs::read(path)?).map_err(|reason| anyhow!(reason))
}
