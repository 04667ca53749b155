//! An incremental scanner of event streams (server-sent events). It passes the data of each event to a handler as it comes, in
//! pieces of any length, and forwards the bytes unchanged except for events that the handler hides.
//!
//! Lines end with CR, LF or CRLF; an event ends with an empty line, or with the stream. A byte order mark at the beginning is
//! skipped.

#[cfg(test)]
mod tests;

use std::ops::Range;

use base::BYTE_ORDER_MARK;
use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The longest event that can be hidden, which is held back until its end. An event with nothing but usage is short.
const MAX_HELD_BYTES: usize = 64 * 1024;
/// The longest name of a field that matters.
const MAX_NAME_BYTES: usize = 5;

/// The decision about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The event is forwarded.
    Keep,
    /// The event is left out, by a scanner that hides events.
    Hide,
}

/// A handler of the events of a stream.
pub(crate) trait EventHandler {
    /// Reads a part of the data of the current event, whose lines are joined by LF.
    fn data(&mut self, part: &[u8]);
    /// Reads a part of the name of the current event.
    fn name(&mut self, part: &[u8]);
    /// Ends the current event.
    fn end(&mut self) -> Verdict;
}

/// A scanner of one event stream.
pub(crate) struct EventScanner {
    hides_events: bool,
    line: EventLine,
    is_first_line: bool,
    /// The end of a line whose last byte was a CR: an LF that comes next belongs to it.
    open_end: Option<LineEnd>,
    /// True if the current event has a field `data`.
    has_data: bool,
    /// True if the current event has a line that is no comment.
    has_fields: bool,
    /// The bytes of the current event that are held back.
    held: BytesMut,
    /// The length of the current event in bytes.
    length: usize,
}

/// The current line.
#[derive(Clone, Copy)]
enum EventLine {
    /// The beginning of the name of a field.
    Name([u8; MAX_NAME_BYTES], usize),
    /// The value of the field `data`. A space at its beginning is skipped.
    Data {
        is_begun: bool,
    },
    /// The value of the field `event`, likewise.
    Event {
        is_begun: bool,
    },
    Comment,
    Other,
}

/// The end of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    /// The event goes on.
    Inside,
    /// All bytes so far are forwarded or hidden.
    Decided(Verdict),
}

impl EventLine {
    const EMPTY: Self = Self::Name([0; MAX_NAME_BYTES], 0);
}

impl EventScanner {
    /// Returns a scanner at the start of a stream. With `hides_events`, the bytes of an event are held back until its end, or
    /// until it is too long to be hidden; otherwise every byte is forwarded at once.
    pub(crate) fn new(hides_events: bool) -> Self {
        Self {
            hides_events,
            line: EventLine::EMPTY,
            is_first_line: true,
            open_end: None,
            has_data: false,
            has_fields: false,
            held: BytesMut::new(),
            length: 0,
        }
    }

    /// Scans the next bytes and returns the bytes to forward now.
    pub(crate) fn push(&mut self, piece: Bytes, handler: &mut impl EventHandler) -> Bytes {
        let mut decisions = Decisions::default();
        let mut at = 0;
        if let Some(end) = self.open_end.take_if(|_| !piece.is_empty())
            && piece[0] == b'\n'
        {
            at = 1;
            self.length += usize::from(end == LineEnd::Inside);
            self.decide(&mut decisions, at, end);
        }
        while let Some(length) = memchr2(b'\n', b'\r', &piece[at..]) {
            self.scan_line(&piece[at..at + length], handler);
            at += length + 1;
            let is_return = piece[at - 1] == b'\r';
            let mut count = 1;
            if is_return && piece.get(at) == Some(&b'\n') {
                (at, count) = (at + 1, 2);
            }
            let end = self.end_line(count, handler);
            self.decide(&mut decisions, at, end);
            self.open_end = Some(end).filter(|_| is_return && count == 1 && at == piece.len());
        }
        self.scan_line(&piece[at..], handler);
        if !self.hides_events {
            return piece;
        }
        if self.length > MAX_HELD_BYTES {
            self.decide(&mut decisions, piece.len(), LineEnd::Decided(Verdict::Keep));
        }
        self.forward(&piece, &decisions)
    }

    /// Decides about all bytes of a piece before `at`.
    fn decide(&mut self, decisions: &mut Decisions, at: usize, end: LineEnd) {
        let LineEnd::Decided(verdict) = end else {
            return;
        };
        if verdict == Verdict::Hide {
            decisions.hidden.push(decisions.end..at);
            if decisions.end == 0 {
                self.held.clear();
            }
        }
        decisions.end = at;
    }

    /// Returns the held bytes and those of a piece that are forwarded, and holds the rest back.
    fn forward(&mut self, piece: &Bytes, decisions: &Decisions) -> Bytes {
        if decisions.end == 0 {
            self.held.extend_from_slice(piece);
            return Bytes::new();
        }
        let held = self.held.split();
        self.held.extend_from_slice(&piece[decisions.end..]);
        let decided = piece.slice(..decisions.end);
        if held.is_empty() && decisions.hidden.is_empty() {
            return decided;
        }
        let mut kept = held;
        let mut from = 0;
        for range in &decisions.hidden {
            kept.extend_from_slice(&decided[from..range.start]);
            from = range.end;
        }
        kept.extend_from_slice(&decided[from..]);
        kept.freeze()
    }

    /// Ends the stream, and with it the current event, and returns the bytes to forward.
    pub(crate) fn finish(&mut self, handler: &mut impl EventHandler) -> Bytes {
        let rest = self.held.split().freeze();
        if !matches!(self.line, EventLine::Name(_, 0)) {
            self.end_line(0, handler);
        }
        let verdict = self.end_event(handler);
        if self.hides_events && verdict == Verdict::Keep {
            rest
        } else {
            Bytes::new()
        }
    }

    /// Scans a part of a line.
    fn scan_line(&mut self, part: &[u8], handler: &mut impl EventHandler) {
        self.length = self.length.saturating_add(part.len());
        let mut rest = part;
        while let EventLine::Name(name, length) = self.line
            && let Some((byte, others)) = rest.split_first()
        {
            self.scan_name(name, length, *byte, handler);
            rest = others;
        }
        if let EventLine::Data { is_begun } | EventLine::Event { is_begun } = &mut self.line
            && !*is_begun
            && !rest.is_empty()
        {
            *is_begun = true;
            rest = rest.strip_prefix(b" ").unwrap_or(rest);
        }
        match self.line {
            _ if rest.is_empty() => {}
            EventLine::Data { .. } => handler.data(rest),
            EventLine::Event { .. } => handler.name(rest),
            EventLine::Name(..) | EventLine::Comment | EventLine::Other => {}
        }
    }

    /// Scans a byte after the beginning `name` of a field's name.
    fn scan_name(
        &mut self,
        mut name: [u8; MAX_NAME_BYTES],
        length: usize,
        byte: u8,
        handler: &mut impl EventHandler,
    ) {
        self.line = match (byte, &name[..length]) {
            (b':', b"") => EventLine::Comment,
            (b':', b"data") => {
                self.begin_data(handler);
                EventLine::Data { is_begun: false }
            }
            (b':', b"event") => EventLine::Event { is_begun: false },
            (b':', _) => EventLine::Other,
            (_, known) if known.len() == MAX_NAME_BYTES => EventLine::Other,
            _ => {
                name[length] = byte;
                EventLine::Name(name, length + 1)
            }
        };
        if self.is_first_line && name[..length.min(2) + 1] == *BYTE_ORDER_MARK {
            self.is_first_line = false;
            self.line = EventLine::EMPTY;
        }
    }

    fn begin_data(&mut self, handler: &mut impl EventHandler) {
        if std::mem::replace(&mut self.has_data, true) {
            handler.data(b"\n");
        }
    }

    /// Ends a line, whose end has `count` bytes.
    fn end_line(&mut self, count: usize, handler: &mut impl EventHandler) -> LineEnd {
        self.is_first_line = false;
        match std::mem::replace(&mut self.line, EventLine::EMPTY) {
            EventLine::Name(_, 0) => return LineEnd::Decided(self.end_event(handler)),
            // A comment between events keeps the connection alive, and is forwarded by itself.
            EventLine::Comment if !self.has_fields => {
                self.length = 0;
                return LineEnd::Decided(Verdict::Keep);
            }
            EventLine::Name(name, length) if name[..length] == *b"data" => self.begin_data(handler),
            _ => {}
        }
        self.has_fields = true;
        self.length = self.length.saturating_add(count);
        LineEnd::Inside
    }

    fn end_event(&mut self, handler: &mut impl EventHandler) -> Verdict {
        let is_held = std::mem::take(&mut self.length) <= MAX_HELD_BYTES;
        self.has_data = false;
        if !std::mem::take(&mut self.has_fields) {
            return Verdict::Keep;
        }
        let verdict = handler.end();
        if is_held { verdict } else { Verdict::Keep }
    }
}

/// The decisions about the bytes of a piece.
#[derive(Default)]
struct Decisions {
    hidden: Vec<Range<usize>>,
    /// The end of the bytes that are decided.
    end: usize,
}
