//! The documents of an answer, one after the other.

use super::Word;
use super::document::{Document, Reader};
use super::json::Scanner;
use super::place::Place;
use crate::dialect::{Dialect, Tally};
use crate::sse::{Events, Verdict};

/// The data of the event that ends a stream.
const DONE: &str = "[DONE]";

/// The document at hand.
pub(crate) struct Documents {
    scanner: Scanner<Place>,
    document: Document,
    /// The beginning of the data, and the name, of an event.
    data: Word,
    name: Word,
}

impl Documents {
    pub(super) fn new() -> Self {
        Self::at(Place::Root)
    }

    /// The lines of the output of a batch.
    pub(crate) fn of_lines() -> Self {
        Self::at(Place::Line)
    }

    fn at(root: Place) -> Self {
        Self {
            scanner: Scanner::new(root),
            document: Document::default(),
            data: Word::default(),
            name: Word::default(),
        }
    }

    /// Takes the next bytes of the document.
    pub(crate) fn feed(&mut self, tally: &mut Tally, bytes: &[u8]) {
        let mut reader = Reader {
            document: &mut self.document,
            text: &mut tally.text,
        };
        self.scanner.feed(&mut reader, bytes);
    }

    /// The document has ended: gives it back.
    pub(crate) fn finish(&mut self, tally: &mut Tally) -> Document {
        let next = Document::after(&tally.text);
        let mut document = std::mem::replace(&mut self.document, next);
        document.is_whole = self.scanner.is_whole_object();
        self.scanner.reset();
        document
    }
}

/// A reader of the events of an answer.
pub(super) struct EventReader<'a> {
    pub(super) dialect: &'static Dialect,
    pub(super) tally: &'a mut Tally,
    pub(super) documents: &'a mut Documents,
}

impl Events for EventReader<'_> {
    fn data(&mut self, part: &[u8]) {
        self.documents.data.push(part);
        self.documents.feed(self.tally, part);
    }

    fn name(&mut self, part: &[u8]) {
        self.documents.name.push(part);
    }

    fn end(&mut self) -> Verdict {
        let is_done = self.documents.data.text().trim() == DONE;
        let is_error = self.documents.name.text() == "error";
        self.documents.data.clear();
        self.documents.name.clear();
        let mut event = self.documents.finish(self.tally);
        if is_done {
            self.tally.is_done = true;
            return Verdict::Keep;
        }
        if is_error {
            event.mark_error();
        }
        let end = (self.tally.is_done, self.tally.has_end);
        let verdict = (self.dialect.read_event)(self.tally, &event);
        if !event.is_whole {
            // An event that is cut off ends nothing.
            (self.tally.is_done, self.tally.has_end) = end;
        }
        self.documents.document = Document::after(&self.tally.text);
        self.tally.fault = self.tally.fault.or(event.fault());
        verdict
    }
}
