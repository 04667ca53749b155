//! CSV: the first row has the names of the columns, an empty cell is absent.

use std::io::{self, Read};

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use usage::reported::Refused;

use crate::cell::{self, Cell};
use crate::column::{Column, named};
use crate::{FileError, LONGEST_ROW, Position, Row, Rows};

/// Rows of comma-separated values.
pub(crate) struct Table {
    rows: Reader<Bounded>,
    columns: Vec<Column>,
    row: StringRecord,
    size: Option<u64>,
}

/// What is read from, as long as rows come to an end: a quote that is never closed would be one row to the end.
struct Bounded {
    from: Box<dyn Read + Send>,
    /// How many bytes were read since the end of a row.
    since_row: usize,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > LONGEST_ROW {
            return Err(io::Error::other(format!(
                "a row is longer than {LONGEST_ROW} bytes: is a quote never closed?"
            )));
        }
        let length = self.from.read(buffer)?;
        self.since_row += length;
        Ok(length)
    }
}

impl Table {
    pub(crate) fn new(from: Box<dyn Read + Send>, size: Option<u64>) -> Result<Self, FileError> {
        let from = Bounded { from, since_row: 0 };
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(from);
        let columns = named(rows.headers()?.iter())?;
        Ok(Self {
            rows,
            columns,
            row: StringRecord::new(),
            size,
        })
    }
}

/// What comes next in a table.
enum Next {
    /// A row, which has been read.
    Row,
    /// A row with something wrong about it.
    Refused {
        line: u64,
        error: String,
    },
    End,
}

impl Table {
    fn next(&mut self) -> Result<Next, FileError> {
        self.rows.get_mut().since_row = 0;
        let error = match self.rows.read_record(&mut self.row) {
            Ok(true) => return Ok(Next::Row),
            Ok(false) => return Ok(Next::End),
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
        Ok(Next::Refused {
            line,
            error: reason,
        })
    }
}

impl Rows for Table {
    fn read(&mut self, most: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError> {
        for count in 0..most {
            let (number, event) = match self.next()? {
                Next::End => return Ok(count),
                Next::Refused { line, error } => (line, Err(Refused { id: None, error })),
                Next::Row => {
                    let cells = self.row.iter().zip(&self.columns);
                    let cells = cells.map(|(text, column)| Cell::read(text, column.shape));
                    let line = self.row.position().map_or(0, ::csv::Position::line);
                    (line, cell::event(&self.columns, cells))
                }
            };
            take(Row { number, event });
        }
        Ok(most)
    }

    fn skip(&mut self, rows: u64) -> Result<(), FileError> {
        for _ in 0..rows {
            if matches!(self.next()?, Next::End) {
                break;
            }
        }
        Ok(())
    }

    fn position(&self) -> Position {
        Position {
            done: self.rows.position().byte(),
            of: self.size,
        }
    }
}
