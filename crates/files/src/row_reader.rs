//! The interface of the readers of all formats.

use std::io;

use usage::reported::{RefusedEvent, ReportedEvent};

/// The longest line of NDJSON, and row of CSV, in bytes.
pub(crate) const MAX_ROW_BYTES: usize = 1 << 20;

/// An error that ends the reading of a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not Parquet, or damaged.
    #[error(transparent)]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// The file is not CSV.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    /// The columns are not those of events.
    #[error("{0}")]
    Columns(String),
}

/// A row of a file.
pub struct Row<'a> {
    /// The number of the row's first line, or in Parquet of the row; from 1.
    pub number: u64,
    /// The event, or the refusal of the row.
    pub event: Result<ReportedEvent<'a>, RefusedEvent>,
}

/// The position up to which a file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    /// The number of bytes, in Parquet of rows, that were read.
    pub done: u64,
    /// The total number, if known.
    pub of: Option<u64>,
}

/// A reader of the rows of a file, in order.
pub trait RowReader: Send {
    /// Hands at most `limit` rows to `take`. Returns their number, 0 at the end.
    ///
    /// # Errors
    /// The file cannot be read further. Rows handed over before are valid.
    fn read(&mut self, limit: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError>;

    /// Skips rows, as far as there are so many.
    ///
    /// # Errors
    /// As [`RowReader::read`].
    fn skip(&mut self, rows: u64) -> Result<(), FileError>;

    /// Returns the position up to which the file was read.
    fn position(&self) -> ReadPosition;
}
