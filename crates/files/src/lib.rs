//! Usage events in files: NDJSON, CSV and Parquet, whose fields or columns have the names of an event's fields. Rows
//! are read and written in portions, so that a file of any size takes little memory.

mod cell;
pub mod column;
mod csv;
mod format;
mod ndjson;
mod parquet;
mod row_reader;
pub mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use format::Format;
pub use row_reader::{FileError, ReadPosition, Row, RowReader};

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
