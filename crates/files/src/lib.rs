//! Usage in files: NDJSON, CSV and Parquet, whose fields or columns have the names of an event's fields. Rows are read, and
//! written, some at a time, so that a file of any size takes little memory.

mod cell;
pub mod column;
mod csv;
mod ndjson;
mod parquet;
pub mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use usage::reported::{Refused, ReportedEvent};

/// The longest line of NDJSON, and row of CSV, in bytes.
const LONGEST_ROW: usize = 1 << 20;

/// How events are written down.
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
    /// The one that a file's extension names.
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

    /// What [`Row::number`] counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Csv => "line",
            Self::Parquet => "row",
        }
    }
}

/// Why a file cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not Parquet, or damaged.
    #[error(transparent)]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// It is not CSV.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    /// Its columns are not those of events.
    #[error("{0}")]
    Columns(String),
}

/// A row of a file.
pub struct Row<'a> {
    /// Its first line, or in Parquet its place among all rows; from 1.
    pub number: u64,
    /// What it reports.
    pub event: Result<ReportedEvent<'a>, Refused>,
}

/// How far a file has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// In bytes, in Parquet in rows.
    pub done: u64,
    /// Of how many, where that is known.
    pub of: Option<u64>,
}

/// The rows of a file, from the first to the last.
pub trait Rows: Send {
    /// Hands the next rows to `take`, `most` at the most; how many there were, 0 at the end.
    ///
    /// # Errors
    /// The file cannot be read any further. What was handed over is right.
    fn read(&mut self, most: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError>;

    /// Passes over the next rows, as far as there are so many.
    ///
    /// # Errors
    /// As [`Rows::read`].
    fn skip(&mut self, rows: u64) -> Result<(), FileError>;

    /// How far the file has been read.
    fn position(&self) -> Position;
}

/// Opens a file.
///
/// # Errors
/// It cannot be read, or its columns are not those of events.
pub fn open(path: &Path, format: Format) -> Result<Box<dyn Rows>, FileError> {
    let file = File::open(path)?;
    if format == Format::Parquet {
        return Ok(Box::new(parquet::Table::open(file)?));
    }
    let about = file.metadata()?;
    let size = about.is_file().then_some(about.len());
    stream(Box::new(file), format, size)
}

/// Reads NDJSON or CSV as it comes.
///
/// # Errors
/// It cannot be read, its columns are not those of events, or it is Parquet, which begins with its end.
pub fn stream(
    from: Box<dyn Read + Send>,
    format: Format,
    size: Option<u64>,
) -> Result<Box<dyn Rows>, FileError> {
    Ok(match format {
        Format::Ndjson => Box::new(ndjson::Lines::new(from, size)),
        Format::Csv => Box::new(csv::Table::new(from, size)?),
        Format::Parquet => {
            let reason = "Parquet is read from its end, so it has to be in a file";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason).into());
        }
    })
}
