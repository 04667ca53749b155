//! Formats of files with usage events.

use std::path::Path;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object on each line.
    Ndjson,
    /// Comma-separated values, the first row being the names.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// Returns the format named by the extension of a file.
    #[must_use]
    pub fn of(file: &Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// Returns the unit that [`Row::number`](crate::Row::number) counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Csv => "line",
            Self::Parquet => "row",
        }
    }
}
