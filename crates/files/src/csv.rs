//! Reading CSV: the first row has the names of the columns, an empty cell is absent.

use std::io::{self, Read};

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use usage::reported::RefusedEvent;

use crate::cell::{self, Cell};
use crate::column::{Column, columns_named};
use crate::row_reader::{FileError, MAX_ROW_BYTES, ReadPosition, Row, RowReader};

/// A reader of the rows of a CSV file.
pub(crate) struct CsvReader {
    rows: Reader<RowBoundReader>,
    columns: Vec<Column>,
    row: StringRecord,
    size: Option<u64>,
}

/// A reader that fails within a row that is too long, such as the rest of the file after a quote that is never closed.
struct RowBoundReader {
    from: Box<dyn Read + Send>,
    /// The number of bytes read since the end of a row.
    since_row: usize,
}

impl Read for RowBoundReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > MAX_ROW_BYTES {
            return Err(io::Error::other(format!(
                "a row is longer than {MAX_ROW_BYTES} bytes: is a quote never closed?"
            )));
        }
        let length = self.from.read(buffer)?;
        self.since_row += length;
        Ok(length)
    }
}

impl CsvReader {
    pub(crate) fn new(from: Box<dyn Read + Send>, size: Option<u64>) -> Result<Self, FileError> {
        let from = RowBoundReader { from, since_row: 0 };
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(from);
        let columns = columns_named(rows.headers()?.iter())?;
        Ok(Self {
            rows,
            columns,
            row: StringRecord::new(),
            size,
        })
    }
}

/// The next record of a CSV file.
enum NextRecord {
    /// A row, which was read into the reader's buffer.
    Row,
    /// A malformed row.
    Refused {
        line: u64,
        error: String,
    },
    End,
}

impl CsvReader {
    fn next(&mut self) -> Result<NextRecord, FileError> {
        self.rows.get_mut().since_row = 0;
        let error = match self.rows.read_record(&mut self.row) {
            Ok(true) => return Ok(NextRecord::Row),
            Ok(false) => return Ok(NextRecord::End),
            Err(error) => error,
        };
        let reason = match error.kind() {
            ErrorKind::Utf8 { .. } => "the row is not UTF-8".to_owned(),
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("the row has {len} cells, the first one {expected_len}"),
            _ => return Err(error.into()),
        };
        let line = error.position().map_or(0, ::csv::Position::line);
        Ok(NextRecord::Refused {
            line,
            error: reason,
        })
    }
}

impl RowReader for CsvReader {
    fn read(&mut self, limit: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError> {
        for count in 0..limit {
            let (number, event) = match self.next()? {
                NextRecord::End => return Ok(count),
                NextRecord::Refused { line, error } => {
                    (line, Err(RefusedEvent { id: None, error }))
                }
                NextRecord::Row => {
                    let cells = self.row.iter().zip(&self.columns);
                    let cells = cells.map(|(text, column)| Cell::read(text, column.column_type));
                    let line = self.row.position().map_or(0, ::csv::Position::line);
                    (line, cell::event(&self.columns, cells))
                }
            };
            take(Row { number, event });
        }
        Ok(limit)
    }

    fn skip(&mut self, rows: u64) -> Result<(), FileError> {
        for _ in 0..rows {
            if matches!(self.next()?, NextRecord::End) {
                break;
            }
        }
        Ok(())
    }

    fn position(&self) -> ReadPosition {
        ReadPosition {
            done: self.rows.position().byte(),
            of: self.size,
        }
    }
}
