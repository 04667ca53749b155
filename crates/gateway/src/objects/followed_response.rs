//! The reading of a response, whole or as it passes to a client.

use bytes::Bytes;

use crate::abortable_body::BrokenOff;
use crate::answer::DocumentReader;
use crate::dialect::{RESPONSES, UsageAccumulator};
use crate::document::{StoredAnswer, StoredIdScanner};

/// A reader of a response in JSON, which may have any length.
pub(super) struct ResponseReader {
    document: DocumentReader,
    usage: UsageAccumulator,
    ids: StoredIdScanner,
}

/// A response that was read to its end.
pub(super) struct ReadResponse {
    pub(super) usage: UsageAccumulator,
    /// The ids of the response and of what it names.
    pub(super) ids: StoredIdScanner,
}

impl ResponseReader {
    /// Returns a reader of a response of which nothing has come.
    pub(super) fn new() -> Self {
        Self {
            document: DocumentReader::new(RESPONSES.root),
            usage: UsageAccumulator::default(),
            ids: StoredIdScanner::new(StoredAnswer::Response),
        }
    }

    /// Reads the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.document.feed(&mut self.usage, bytes);
        self.ids.feed(bytes);
    }

    /// Ends the response, and returns it; `None` if it is no complete object.
    pub(super) fn finish(mut self) -> Option<ReadResponse> {
        let document = self.document.finish(&mut self.usage);
        if !document.is_whole {
            return None;
        }
        (RESPONSES.read_document)(&mut self.usage, &document);
        self.usage.error = self.usage.error.or(document.error());
        let Self { usage, ids, .. } = self;
        Some(ReadResponse { usage, ids })
    }
}

/// A reader of a response that passes to a client. Unless the answer comes to its end, it does nothing.
pub(super) struct FollowedResponse {
    /// `None` once the answer has ended.
    reader: Option<ResponseReader>,
    at_end: Box<dyn Fn(Option<ReadResponse>) + Send>,
}

impl FollowedResponse {
    /// Returns a reader that calls `at_end` with the response, or with `None` if the answer is something else, such as events.
    pub(super) fn new(at_end: impl Fn(Option<ReadResponse>) + Send + 'static) -> Self {
        Self {
            reader: Some(ResponseReader::new()),
            at_end: Box::new(at_end),
        }
    }

    /// Reads the next bytes, which are `None` at the end of the answer.
    pub(super) fn read(&mut self, next: Option<&Result<Bytes, BrokenOff>>) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        match next {
            Some(Ok(piece)) => {
                reader.feed(piece);
                self.reader = Some(reader);
            }
            Some(Err(_)) => {}
            None => (self.at_end)(reader.finish()),
        }
    }
}
