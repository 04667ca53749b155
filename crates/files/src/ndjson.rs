//! Reading NDJSON: an event on each line.

use std::io::{self, BufRead, BufReader, Read};

use base::without_mark;
use usage::reported::{RefusedEvent, ReportedEvent};

use crate::row_reader::{FileError, MAX_ROW_BYTES, ReadPosition, Row, RowReader};

/// The capacity of the read buffer.
const BUFFER_CAPACITY: usize = 1 << 16;

/// A reader of the lines of an NDJSON file.
pub(crate) struct NdjsonReader {
    from: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    number: u64,
    position: ReadPosition,
}

impl NdjsonReader {
    pub(crate) fn new(from: Box<dyn Read + Send>, size: Option<u64>) -> Self {
        Self {
            from: BufReader::with_capacity(BUFFER_CAPACITY, from),
            line: Vec::new(),
            number: 0,
            position: ReadPosition { done: 0, of: size },
        }
    }

    /// Reads the next line, truncated if it is too long. False at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut length = self.read_to_end_of_line()?;
        if length == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.number == 1 {
            self.line
                .drain(..self.line.len() - without_mark(&self.line).len());
        }
        let kept = self.line.len();
        while length > MAX_ROW_BYTES && self.line.last() != Some(&b'\n') {
            self.line.truncate(kept.min(MAX_ROW_BYTES + 1));
            length = self.read_to_end_of_line()?;
        }
        Ok(true)
    }

    /// Reads up to the end of the line, but at most one byte more than the longest line has. Returns the number of
    /// bytes.
    fn read_to_end_of_line(&mut self) -> io::Result<usize> {
        let limit = u64::try_from(MAX_ROW_BYTES + 1).unwrap_or(u64::MAX);
        let length = self
            .from
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line)?;
        self.position.done += u64::try_from(length).unwrap_or(0);
        Ok(length)
    }

    /// True if the line has only white space.
    fn is_blank(&self) -> bool {
        self.line.trim_ascii().is_empty()
    }

    fn event(&self) -> Result<ReportedEvent<'_>, RefusedEvent> {
        let refused = |error: String| Err(RefusedEvent { id: None, error });
        if self.line.len() > MAX_ROW_BYTES {
            return refused(format!("the line is longer than {MAX_ROW_BYTES} bytes"));
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => ReportedEvent::parse(text.trim()),
            Err(_) => refused("the line is not UTF-8".to_owned()),
        }
    }
}

impl RowReader for NdjsonReader {
    fn read(&mut self, limit: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError> {
        let mut count = 0;
        while count < limit && self.next()? {
            if !self.is_blank() {
                take(Row {
                    number: self.number,
                    event: self.event(),
                });
                count += 1;
            }
        }
        Ok(count)
    }

    fn skip(&mut self, mut rows: u64) -> Result<(), FileError> {
        while rows > 0 && self.next()? {
            rows -= u64::from(!self.is_blank());
        }
        Ok(())
    }

    fn position(&self) -> ReadPosition {
        self.position
    }
}
