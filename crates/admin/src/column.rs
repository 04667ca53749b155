//! Columns that hold JSON text.

use serde::de::DeserializeOwned;
use store::Row;

/// Decodes the JSON text in a column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> store::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| store::Error::Column(column.to_owned(), error.to_string()))
}
