//! Columns that hold JSON text.

use serde::de::DeserializeOwned;
use store::Row;

/// What the JSON in a column says.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> store::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| store::Error::Column(column.to_owned(), error.to_string()))
}
