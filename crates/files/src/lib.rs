//! Usage events in files: NDJSON, CSV and Parquet, whose fields or columns have the names of an event's fields. Rows
//! are read and written in portions, so that a file of any size takes little memory.

mod cell;
pub mod column;
mod csv;
mod ndjson;
mod parquet;
pub mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use usage::reported::{RefusedEvent, ReportedEvent};

/// The longest line of NDJSON, and row of CSV, in bytes.
const MAX_ROW_BYTES: usize = 1 << 20;

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

    /// Returns the unit that [`Row::number`] counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Csv => "line",
            Self::Parquet => "row",
        }
    }
}

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

/// Opens a file.
///
/// # Errors
/// The file cannot be read, or its columns are not those of events.
pub fn open(path: &Path, format: Format) -> Result<Box<dyn RowReader>, FileError> {
    let file = File::open(path)?;
    if format == Format::Parquet {
        return Ok(Box::new(parquet::ParquetReader::open(file)?));
    }
    let about = file.metadata()?;
    let size = about.is_file().then_some(about.len());
    stream(Box::new(file), format, size)
}

/// Reads NDJSON or CSV from a stream.
///
/// # Errors
/// The stream cannot be read, its columns are not those of events, or the format is Parquet, whose metadata is at the
/// end of a file.
pub fn stream(
    from: Box<dyn Read + Send>,
    format: Format,
    size: Option<u64>,
) -> Result<Box<dyn RowReader>, FileError> {
    Ok(match format {
        Format::Ndjson => Box::new(ndjson::NdjsonReader::new(from, size)),
        Format::Csv => Box::new(csv::CsvReader::new(from, size)?),
        Format::Parquet => {
            let reason = "Parquet is read from its end, so it has to be in a file";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason).into());
        }
    })
}
