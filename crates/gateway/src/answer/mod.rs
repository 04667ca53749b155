//! An answer as it is read on its way: what kind of thing it is, what it tells of its usage, and which bytes of it the client gets.
//! Nothing here waits, and nothing is kept of an answer but what counts, so an answer may have any length.

mod document;
mod encoding;
mod events;
mod form;
mod json;
mod place;
#[cfg(test)]
mod tests;
mod word;

use std::io;

use base::BudgetPermit;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use usage::Outcome;

pub(crate) use document::{Document, Fault};
pub(crate) use events::Documents;
pub(crate) use word::Word;

use crate::dialect::{AnswerForm, Dialect, Tally};
use crate::sse;
use encoding::{Decoder, Encoding};
use events::EventReader;
use form::{Beginning, DeclaredType};

/// The most bytes of one answer once it is decoded.
const MAX_DECODED_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// A successful answer of a model server, as far as it has come.
pub(crate) struct Answer {
    dialect: &'static Dialect,
    declared: DeclaredType,
    decoder: Option<Decoder>,
    /// The decoder's part of the memory for answers.
    memory: Option<BudgetPermit>,
    /// The bytes that came and were not looked at yet.
    pending: Bytes,
    kind: Kind,
    /// True if usage that the client did not ask for is hidden from it.
    hides: bool,
    /// True if the client asked for a stream.
    is_streamed: bool,
    tally: Tally,
    documents: Documents,
    /// The number of bytes, decoded.
    length: u64,
    /// True if the document in one piece is a whole object.
    is_whole_object: bool,
    is_ended: bool,
}

/// The kind of an answer.
enum Kind {
    /// Not known yet; so much is held back until it is.
    Unclear(BytesMut),
    Events(sse::Scanner),
    /// One object of JSON.
    Json,
    /// Anything else, or what cannot be read.
    Opaque,
}

impl Answer {
    /// An answer that begins with these headers. `memory` is for decoding it; `is_streamed`: the client asked for a stream;
    /// `hides`: and not for its usage.
    pub(crate) fn new(
        dialect: &'static Dialect,
        headers: &HeaderMap,
        (is_streamed, hides): (bool, bool),
        mut memory: Option<BudgetPermit>,
    ) -> Self {
        let encoding = Encoding::of(headers);
        let has_room = match &mut memory {
            Some(memory) => memory.grow(encoding.memory()).is_ok(),
            None => false,
        };
        let decoder = Decoder::new(encoding).filter(|_| has_room);
        let is_opaque = encoding != Encoding::Identity && decoder.is_none();
        if is_opaque {
            tracing::debug!(?encoding, "answer cannot be decoded: usage is estimated");
        }
        Self {
            dialect,
            declared: DeclaredType::of(headers),
            memory: memory.filter(|_| decoder.is_some()),
            decoder,
            pending: Bytes::new(),
            kind: match is_opaque {
                true => Kind::Opaque,
                false => Kind::Unclear(BytesMut::new()),
            },
            hides,
            is_streamed,
            tally: Tally::default(),
            documents: Documents::new(),
            length: 0,
            is_whole_object: is_opaque,
            is_ended: false,
        }
    }

    /// True if the bytes for the client may be others than those of the model server.
    pub(crate) fn changes_length(&self) -> bool {
        self.hides || self.is_decoded()
    }

    /// True if it is decoded for the client.
    pub(crate) fn is_decoded(&self) -> bool {
        self.decoder.is_some()
    }

    /// True if all that matters has come, though the answer may stay open: a stream has said so, and there is nothing more to be
    /// told.
    pub(crate) fn is_complete(&self) -> bool {
        let has_usage = !self.dialect.asks_for_usage || self.tally.is_reported();
        self.tally.is_done && (has_usage || self.tally.fault.is_some())
    }

    /// True if a stream has said that it is complete. Its usage may still come.
    pub(crate) fn is_done(&self) -> bool {
        self.tally.is_done
    }

    /// Takes the next bytes; those before must have been taken out.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.pending = piece;
    }

    /// Takes out the next bytes for the client, of which there can be none; `None` once all that came has been taken out.
    ///
    /// # Errors
    /// The answer is not encoded as it says, or has more bytes than any answer.
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
        let Kind::Unclear(held) = &mut self.kind else {
            return self.read_on(piece);
        };
        let mut space = Bytes::new();
        if held.is_empty() {
            // Some servers send space while they work: it does not wait.
            let length = piece.len() - piece.trim_ascii_start().len();
            space = piece.split_to(length);
        } else {
            held.extend_from_slice(&piece);
            piece = held.split().freeze();
        }
        let beginning = Beginning::of(&piece);
        if beginning == Beginning::Unclear {
            held.extend_from_slice(&piece);
            return space;
        }
        self.begin(beginning);
        if matches!(self.kind, Kind::Json) {
            self.documents
                .feed(&mut self.tally, base::without_mark(&piece));
            return joined(space, piece);
        }
        let rest = self.read_on(piece);
        joined(space, rest)
    }

    /// It shows now what kind of answer it is.
    fn begin(&mut self, beginning: Beginning) {
        let form = self.dialect.answer;
        let is_declared = self.declared == DeclaredType::EventStream;
        // What is spoken may begin like anything.
        let may_be_text = form == AnswerForm::Sound
            || form == AnswerForm::Text && self.declared == DeclaredType::Text;
        let is_events = match beginning {
            Beginning::Events => is_declared || self.is_streamed || !may_be_text,
            Beginning::Json => false,
            Beginning::Other | Beginning::Unclear => is_declared,
        };
        self.kind = if is_events {
            Kind::Events(sse::Scanner::new(self.hides))
        } else if beginning == Beginning::Json {
            Kind::Json
        } else {
            Kind::Opaque
        };
    }

    fn read_on(&mut self, piece: Bytes) -> Bytes {
        match &mut self.kind {
            Kind::Events(scanner) => {
                let mut events = EventReader {
                    dialect: self.dialect,
                    tally: &mut self.tally,
                    documents: &mut self.documents,
                };
                scanner.push(piece, &mut events)
            }
            Kind::Json => {
                self.documents.feed(&mut self.tally, &piece);
                piece
            }
            Kind::Unclear(_) | Kind::Opaque => piece,
        }
    }

    /// The answer has ended: gives back what is left for the client.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.is_ended = true;
        match &mut self.kind {
            Kind::Unclear(held) => {
                let held = held.split().freeze();
                if held.is_empty() {
                    return held;
                }
                self.begin(Beginning::Other);
                let rest = self.read_on(held);
                joined(rest, self.finish())
            }
            Kind::Events(scanner) => {
                let mut events = EventReader {
                    dialect: self.dialect,
                    tally: &mut self.tally,
                    documents: &mut self.documents,
                };
                scanner.finish(&mut events)
            }
            Kind::Json | Kind::Opaque => Bytes::new(),
        }
    }

    /// Returns how the answer ended, if nothing but this were known of it, and what was read of it.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> (Outcome, Tally) {
        if let (false, Kind::Events(scanner)) = (self.is_ended, &mut self.kind) {
            // What an event that is cut off has reported counts.
            scanner.finish(&mut EventReader {
                dialect: self.dialect,
                tally: &mut self.tally,
                documents: &mut self.documents,
            });
        }
        let mut tally = std::mem::take(&mut self.tally);
        if matches!(self.kind, Kind::Json) {
            let document = self.documents.finish(&mut tally);
            let is_whole = document.is_whole;
            (self.dialect.read_whole)(&mut tally, &document);
            // Sound may begin like JSON.
            let is_error = is_whole || self.dialect.answer == AnswerForm::Json;
            tally.fault = tally.fault.or(document.fault()).filter(|_| is_error);
            let is_answer = document.has_answer || document.usage().is_some();
            self.is_whole_object = is_whole && is_answer;
        }
        self.memory = None;
        let is_failed = tally.fault.is_some() || self.is_ended && !self.is_answer(&tally);
        let outcome = match outcome {
            Outcome::Succeeded | Outcome::ClientGone if is_failed => Outcome::UpstreamFailed,
            outcome => outcome,
        };
        (outcome, tally)
    }

    /// True if all that came is an answer.
    fn is_answer(&self, tally: &Tally) -> bool {
        match (&self.kind, self.dialect.answer) {
            (Kind::Unclear(_), _) => false,
            (Kind::Events(_), _) => tally.has_end(),
            (_, AnswerForm::Json) => self.length > 0 && self.is_whole_object,
            (_, AnswerForm::Text | AnswerForm::Sound) => {
                self.length > 0 && self.declared != DeclaredType::Html
            }
        }
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => second,
        (_, true) => first,
        _ => [first, second].concat().into(),
    }
}
