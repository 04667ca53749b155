//! Writing NDJSON: an object on each line, without the fields that are absent.

use std::io::Write;

use super::{Value, push_integer};
use crate::column::Column;

/// A writer of NDJSON.
pub(super) struct NdjsonWriter {
    columns: Vec<Column>,
    pub(super) text: Vec<u8>,
}

impl NdjsonWriter {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            text: Vec::new(),
        }
    }

    pub(super) fn push<'a>(&mut self, row: impl Iterator<Item = Value<'a>>) {
        let text = &mut self.text;
        let start = text.len();
        for (column, value) in self.columns.iter().zip(row) {
            if value == Value::Absent {
                continue;
            }
            let before = if text.len() == start { '{' } else { ',' };
            // Writing to memory cannot fail.
            let _ = write!(text, "{before}\"{}\":", column.name);
            let _ = match value {
                Value::Absent => Ok(()),
                Value::Text(cell) => serde_json::to_writer(&mut *text, cell).map_err(Into::into),
                Value::Boolean(boolean) => write!(text, "{boolean}"),
                Value::Integer(number) => {
                    push_integer(text, number);
                    Ok(())
                }
                Value::Moment(time) => write!(text, "{}", time.0),
                Value::Dollars(amount) => write!(text, "{}", amount.decimal()),
            };
        }
        if text.len() == start {
            text.push(b'{');
        }
        text.extend_from_slice(b"}\n");
    }
}
