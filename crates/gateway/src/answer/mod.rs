//! An answer as it is read on its way to the client: its type, the usage that it reports, and the bytes that the client gets.
//! Nothing here waits. Of an answer only its usage is kept, so it may have any length.

mod content_coding;
mod content_sniffing;
mod document_reader;
mod message_reader;
#[cfg(test)]
mod tests;

use std::io;

use base::BudgetPermit;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use usage::Outcome;

pub(crate) use document_reader::DocumentReader;
pub(crate) use message_reader::MessageReader;

use crate::dialect::{AnswerFormat, Dialect, ResponseStatus, UsageAccumulator};
use crate::document::StoredIdScanner;
use crate::sse::EventScanner;
use content_coding::{AnswerCoding, Decoder};
use content_sniffing::{DeclaredType, SniffedType};
use document_reader::EventReader;

/// The most bytes of a decoded answer.
const MAX_DECODED_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// A successful answer of a model server.
pub(crate) struct Answer {
    dialect: &'static Dialect,
    declared: DeclaredType,
    decoder: Option<Decoder>,
    /// The decoder's share of the memory for answers.
    memory: Option<BudgetPermit>,
    /// The bytes that have come and are not read yet.
    pending: Bytes,
    kind: AnswerKind,
    /// True if usage that the client did not ask for is hidden from it.
    hides_usage: bool,
    /// True if the client asked for a stream.
    is_streamed: bool,
    accumulator: UsageAccumulator,
    documents: DocumentReader,
    /// Scanner of the ids of stored objects; `None` if the answer is not stored.
    stored_ids: Option<Box<StoredIdScanner>>,
    /// The number of decoded bytes.
    length: u64,
    /// True if an answer that is no stream is a complete object. Known once the answer is settled.
    is_whole_object: bool,
    is_ended: bool,
}

/// The kind of an answer, which decides how it is read.
enum AnswerKind {
    /// Unknown yet, with the bytes that are held back until it is known.
    Undecided(BytesMut),
    Events(EventScanner),
    /// A JSON object.
    Json,
    /// Generated speech.
    Audio,
    /// Any other content, which passes unread.
    Opaque,
}

impl Answer {
    /// Returns an answer with these headers. A decoder is charged to `memory`. `is_streamed`: the client asked for a stream.
    /// `hides_usage`: the client did not ask for the usage of the stream.
    pub(crate) fn new(
        dialect: &'static Dialect,
        headers: &HeaderMap,
        (is_streamed, hides_usage): (bool, bool),
        mut memory: Option<BudgetPermit>,
    ) -> Self {
        let coding = AnswerCoding::of(headers);
        let has_room = match &mut memory {
            Some(memory) => memory.grow(coding.decoder_bytes()).is_ok(),
            None => false,
        };
        let decoder = Decoder::new(coding).filter(|_| has_room);
        let is_opaque = coding != AnswerCoding::Identity && decoder.is_none();
        if is_opaque {
            tracing::debug!(?coding, "answer cannot be decoded; estimating its usage");
        }
        Self {
            dialect,
            declared: DeclaredType::of(headers),
            memory: memory.filter(|_| decoder.is_some()),
            decoder,
            pending: Bytes::new(),
            kind: match is_opaque {
                true => AnswerKind::Opaque,
                false => AnswerKind::Undecided(BytesMut::new()),
            },
            hides_usage,
            is_streamed,
            accumulator: UsageAccumulator::default(),
            documents: DocumentReader::new(dialect.root),
            stored_ids: None,
            length: 0,
            is_whole_object: is_opaque,
            is_ended: false,
        }
    }

    /// Finds the ids of stored objects in the answer, of which nothing has come yet.
    pub(crate) fn find_ids(&mut self, scanner: StoredIdScanner) {
        self.stored_ids = Some(Box::new(scanner));
    }

    /// Returns the ids that have been found so far, if they are searched for.
    pub(crate) fn stored_ids(&self) -> Option<&StoredIdScanner> {
        self.stored_ids.as_deref()
    }

    /// True if the answer is a stream of events.
    pub(crate) fn is_events(&self) -> bool {
        matches!(self.kind, AnswerKind::Events(_))
    }

    /// True if the client may get a different number of bytes than the model server sends.
    pub(crate) fn changes_length(&self) -> bool {
        self.hides_usage || self.is_decoded()
    }

    /// True if the answer is decoded for the client.
    pub(crate) fn is_decoded(&self) -> bool {
        self.decoder.is_some()
    }

    /// True if a stream has said that it is complete and has reported its usage. The connection may stay open.
    pub(crate) fn is_complete(&self) -> bool {
        let has_usage = !self.dialect.has_optional_stream_usage || self.accumulator.is_reported();
        self.accumulator.is_done && (has_usage || self.accumulator.error.is_some())
    }

    /// True if a stream has said that it is complete. Its usage may come later.
    pub(crate) fn is_done(&self) -> bool {
        self.accumulator.is_done
    }

    /// Adds the next bytes. To be called only after [`Self::next`] has returned `None`.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.pending = piece;
    }

    /// Returns the next bytes for the client, which may be empty; `None` once all bytes that have come are read.
    ///
    /// # Errors
    /// The answer is not in the coding that it declares, or has more than [`MAX_DECODED_BYTES`].
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = match &mut self.decoder {
            Some(decoder) => decoder.next(&mut self.pending)?,
            None => Some(std::mem::take(&mut self.pending)).filter(|it| !it.is_empty()),
        };
        let Some(piece) = piece else {
            return Ok(None);
        };
        self.length = self.length.saturating_add(piece.len() as u64);
        if self.is_decoded() && self.length > MAX_DECODED_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(self.read(piece)))
    }

    fn read(&mut self, mut piece: Bytes) -> Bytes {
        let AnswerKind::Undecided(held) = &mut self.kind else {
            return self.read_on(piece);
        };
        let mut white_space = Bytes::new();
        if held.is_empty() {
            // White space that some servers send while they work is forwarded at once.
            let length = piece.len() - piece.trim_ascii_start().len();
            white_space = piece.split_to(length);
        } else {
            held.extend_from_slice(&piece);
            piece = held.split().freeze();
        }
        let sniffed = SniffedType::of(&piece);
        if sniffed == SniffedType::Undecided {
            held.extend_from_slice(&piece);
            return white_space;
        }
        self.begin(sniffed);
        if matches!(self.kind, AnswerKind::Json) {
            let text = base::without_mark(&piece);
            self.read_json(text);
            return joined(white_space, piece);
        }
        let rest = self.read_on(piece);
        joined(white_space, rest)
    }

    /// Decides the kind of the answer.
    fn begin(&mut self, sniffed: SniffedType) {
        let format = self.dialect.answer;
        let is_declared = self.declared == DeclaredType::EventStream;
        // A transcript or audio may begin like an event stream.
        let may_be_text = format == AnswerFormat::Audio
            || format == AnswerFormat::Text && self.declared == DeclaredType::Text;
        let is_events = match sniffed {
            SniffedType::EventStream => is_declared || self.is_streamed || !may_be_text,
            SniffedType::Json => false,
            SniffedType::Other | SniffedType::Undecided => is_declared,
        };
        self.kind = if is_events {
            AnswerKind::Events(EventScanner::new(self.hides_usage))
        } else if sniffed == SniffedType::Json {
            AnswerKind::Json
        } else if format == AnswerFormat::Audio {
            AnswerKind::Audio
        } else {
            AnswerKind::Opaque
        };
    }

    fn read_on(&mut self, piece: Bytes) -> Bytes {
        if let Some((scanner, mut events)) = self.events() {
            return scanner.push(piece, &mut events);
        }
        match self.kind {
            AnswerKind::Json => self.read_json(&piece),
            AnswerKind::Audio => self.accumulator.audio.push(&piece),
            _ => {}
        }
        piece
    }

    fn read_json(&mut self, text: &[u8]) {
        self.documents.feed(&mut self.accumulator, text);
        if let Some(ids) = &mut self.stored_ids {
            ids.feed(text);
        }
    }

    /// Returns the scanner of an event stream, and the handler of its events.
    fn events(&mut self) -> Option<(&mut EventScanner, EventReader<'_>)> {
        let AnswerKind::Events(scanner) = &mut self.kind else {
            return None;
        };
        let events = EventReader {
            dialect: self.dialect,
            accumulator: &mut self.accumulator,
            documents: &mut self.documents,
            stored_ids: self.stored_ids.as_deref_mut(),
        };
        Some((scanner, events))
    }

    /// Ends the answer, and returns the bytes that are left for the client.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.is_ended = true;
        let mut rest = Bytes::new();
        if let AnswerKind::Undecided(held) = &mut self.kind {
            let held = held.split().freeze();
            if held.is_empty() {
                return held;
            }
            self.begin(SniffedType::Other);
            rest = self.read_on(held);
        }
        match self.events() {
            Some((scanner, mut events)) => joined(rest, scanner.finish(&mut events)),
            None => rest,
        }
    }

    /// Returns the outcome and the usage. `outcome` is how the transfer ended; an answer that reports an error, or is not
    /// complete, makes it a failure.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> (Outcome, UsageAccumulator) {
        if !self.is_ended
            && let Some((scanner, mut events)) = self.events()
        {
            // The usage in a truncated event counts.
            scanner.finish(&mut events);
        }
        let mut accumulator = std::mem::take(&mut self.accumulator);
        if matches!(self.kind, AnswerKind::Json) {
            let document = self.documents.finish(&mut accumulator);
            let is_whole = document.is_whole;
            (self.dialect.read_document)(&mut accumulator, &document);
            // Audio may begin like JSON.
            let is_error = is_whole || self.dialect.answer == AnswerFormat::Json;
            accumulator.error = accumulator.error.or(document.error()).filter(|_| is_error);
            let is_answer = document.has_answer || document.usage().is_some();
            let is_running = accumulator.status == ResponseStatus::Running;
            let is_answer = is_answer || is_running || self.dialect.is_free;
            self.is_whole_object = is_whole && is_answer;
        }
        self.memory = None;
        let is_failed =
            accumulator.error.is_some() || self.is_ended && !self.is_answer(&accumulator);
        let outcome = match outcome {
            Outcome::Succeeded | Outcome::ClientGone if is_failed => Outcome::UpstreamFailed,
            outcome => outcome,
        };
        (outcome, accumulator)
    }

    /// True if a settled answer, from which this was read, has the end of a response: what it says of the usage is final.
    pub(crate) fn has_response_end(&self, accumulator: &UsageAccumulator) -> bool {
        match self.kind {
            AnswerKind::Events(_) => accumulator.is_done,
            _ => self.is_whole_object && accumulator.status != ResponseStatus::Running,
        }
    }

    /// True if the bytes that have come are a complete answer.
    fn is_answer(&self, accumulator: &UsageAccumulator) -> bool {
        match (&self.kind, self.dialect.answer) {
            (AnswerKind::Undecided(_), _) => false,
            (AnswerKind::Events(_), _) => accumulator.is_complete(),
            (_, AnswerFormat::Json) => self.length > 0 && self.is_whole_object,
            (_, AnswerFormat::Text | AnswerFormat::Audio) => {
                self.length > 0 && self.declared != DeclaredType::Html
            }
        }
    }
}

/// Returns the bytes of both; copies them only if neither is empty.
pub(crate) fn joined(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => second,
        (_, true) => first,
        _ => [first, second].concat().into(),
    }
}
