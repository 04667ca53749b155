//! The documents of an answer, read one after the other.

use crate::dialect::{Dialect, UsageAccumulator};
use crate::document::{
    Document, DocumentVisitor, JsonPath, JsonScanner, ShortText, StoredIdScanner,
};
use crate::sse::{EventHandler, Verdict};

/// The data of the event that ends a stream.
const DONE: &str = "[DONE]";

/// A reader of documents.
pub(crate) struct DocumentReader {
    scanner: JsonScanner<JsonPath>,
    document: Document,
    /// The data of an event, if it is short.
    event_data: ShortText,
    event_name: ShortText,
}

impl DocumentReader {
    /// Returns a reader of documents whose path is `root`.
    pub(crate) fn new(root: JsonPath) -> Self {
        Self {
            scanner: JsonScanner::new(root),
            document: Document::default(),
            event_data: ShortText::default(),
            event_name: ShortText::default(),
        }
    }

    /// Reads the next bytes of the document.
    pub(crate) fn feed(&mut self, accumulator: &mut UsageAccumulator, bytes: &[u8]) {
        let mut visitor = DocumentVisitor {
            document: &mut self.document,
            text: &mut accumulator.text,
        };
        self.scanner.feed(&mut visitor, bytes);
    }

    /// Ends the document and returns it.
    pub(crate) fn finish(&mut self, accumulator: &mut UsageAccumulator) -> Document {
        let next = Document::after(&accumulator.text);
        let mut document = std::mem::replace(&mut self.document, next);
        document.is_whole = self.scanner.is_whole_object();
        self.scanner.reset();
        document
    }
}

/// A handler of the events of an answer.
pub(super) struct EventReader<'a> {
    pub(super) dialect: &'static Dialect,
    pub(super) accumulator: &'a mut UsageAccumulator,
    pub(super) documents: &'a mut DocumentReader,
    pub(super) stored_ids: Option<&'a mut StoredIdScanner>,
}

impl EventHandler for EventReader<'_> {
    fn data(&mut self, part: &[u8]) {
        self.documents.event_data.push(part);
        self.documents.feed(self.accumulator, part);
        if let Some(ids) = &mut self.stored_ids {
            ids.feed(part);
        }
    }

    fn name(&mut self, part: &[u8]) {
        self.documents.event_name.push(part);
    }

    fn end(&mut self) -> Verdict {
        let is_done = self.documents.event_data.as_str().trim() == DONE;
        let is_error = self.documents.event_name.as_str() == "error";
        self.documents.event_data.clear();
        self.documents.event_name.clear();
        let mut event = self.documents.finish(self.accumulator);
        if let Some(ids) = &mut self.stored_ids {
            ids.end_document();
        }
        if is_done {
            self.accumulator.is_done = true;
            return Verdict::Keep;
        }
        if is_error {
            event.mark_error();
        }
        let end = (self.accumulator.is_done, self.accumulator.has_end);
        let verdict = (self.dialect.read_event)(self.accumulator, &event);
        if !event.is_whole {
            // A truncated event ends nothing.
            (self.accumulator.is_done, self.accumulator.has_end) = end;
        }
        self.documents.document = Document::after(&self.accumulator.text);
        self.accumulator.error = self.accumulator.error.or(event.error());
        verdict
    }
}
