//! Writing CSV according to RFC 4180: a row of names, then the rows. An absent value is an empty cell.

use std::io::Write;

use jiff::Timestamp;

use super::{Value, push_integer};
use crate::cell::needs_guard;
use crate::column::Column;

/// A writer of CSV.
pub(super) struct CsvWriter {
    pub(super) text: Vec<u8>,
}

impl CsvWriter {
    pub(super) fn new(columns: &[Column]) -> Self {
        let mut rows = Self { text: Vec::new() };
        rows.push(columns.iter().map(|column| Value::Text(column.name)));
        rows
    }

    pub(super) fn push<'a>(&mut self, row: impl Iterator<Item = Value<'a>>) {
        let text = &mut self.text;
        for (index, value) in row.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            // Writing to memory cannot fail.
            let _ = match value {
                Value::Absent => Ok(()),
                Value::Text(cell) => {
                    push_text(text, cell);
                    Ok(())
                }
                Value::Boolean(boolean) => write!(text, "{boolean}"),
                Value::Integer(number) => {
                    push_integer(text, number);
                    Ok(())
                }
                Value::Moment(time) => match Timestamp::from_second(time.0) {
                    Ok(time) => write!(text, "{time}"),
                    Err(_) => write!(text, "{}", time.0),
                },
                Value::Dollars(amount) => write!(text, "{}", amount.decimal()),
            };
        }
        text.extend_from_slice(b"\r\n");
    }
}

/// Writes a text, guarded so that a spreadsheet program does not run it as a formula.
fn push_text(text: &mut Vec<u8>, cell: &str) {
    let special = |byte| matches!(byte, b'"' | b',' | b'\r' | b'\n');
    let is_quoted = cell.bytes().any(special);
    if is_quoted {
        text.push(b'"');
    }
    if needs_guard(cell) {
        text.push(b'\'');
    }
    if is_quoted {
        text.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
        text.push(b'"');
    } else {
        text.extend_from_slice(cell.as_bytes());
    }
}
