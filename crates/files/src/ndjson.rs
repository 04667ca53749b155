//! NDJSON: an event on each line.

use std::io::{self, BufRead, BufReader, Read};

use base::without_mark;
use usage::reported::{Refused, ReportedEvent};

use crate::{FileError, LONGEST_ROW, Position, Row, Rows};

/// How much is read at once, in bytes.
const BUFFER: usize = 1 << 16;

/// Lines of JSON.
pub(crate) struct Lines {
    from: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    number: u64,
    position: Position,
}

impl Lines {
    pub(crate) fn new(from: Box<dyn Read + Send>, size: Option<u64>) -> Self {
        Self {
            from: BufReader::with_capacity(BUFFER, from),
            line: Vec::new(),
            number: 0,
            position: Position { done: 0, of: size },
        }
    }

    /// Reads the next line, of a longer one the first bytes; false at the end.
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
        while length > LONGEST_ROW && self.line.last() != Some(&b'\n') {
            self.line.truncate(kept.min(LONGEST_ROW + 1));
            length = self.read_to_end_of_line()?;
        }
        Ok(true)
    }

    /// Adds to the line, one byte more than the longest may have; how many bytes there were.
    fn read_to_end_of_line(&mut self) -> io::Result<usize> {
        let most = u64::try_from(LONGEST_ROW + 1).unwrap_or(u64::MAX);
        let length = self
            .from
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        self.position.done += u64::try_from(length).unwrap_or(0);
        Ok(length)
    }

    /// Whether the line has more than white space.
    fn has_something(&self) -> bool {
        !self.line.trim_ascii().is_empty()
    }

    fn event(&self) -> Result<ReportedEvent<'_>, Refused> {
        let refused = |error: String| Err(Refused { id: None, error });
        if self.line.len() > LONGEST_ROW {
            return refused(format!("the line is longer than {LONGEST_ROW} bytes"));
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => ReportedEvent::parse(text.trim()),
            Err(_) => refused("the line is not UTF-8".to_owned()),
        }
    }
}

impl Rows for Lines {
    fn read(&mut self, most: usize, take: &mut dyn FnMut(Row<'_>)) -> Result<usize, FileError> {
        let mut count = 0;
        while count < most && self.next()? {
            if self.has_something() {
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
            rows -= u64::from(self.has_something());
        }
        Ok(())
    }

    fn position(&self) -> Position {
        self.position
    }
}
