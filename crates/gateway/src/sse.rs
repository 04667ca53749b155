//! An incremental scanner of event streams: shows the data of each event as it comes, in whatever pieces that is, and forwards
//! the bytes unchanged but for the events that its reader hides.
//!
//! Lines end with CR, LF or CRLF; an event ends with an empty line, or with the stream. A byte order mark at the beginning is no
//! part of the first line.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The longest event that is held back until it is known whether it is hidden, in bytes. A longer one is never hidden: usage
/// alone is short.
const MAX_HELD: usize = 64 * 1024;
/// The longest name of a field that matters, in bytes.
const MAX_NAME: usize = 5;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is forwarded.
    Keep,
    /// It is left out, if the scanner hides at all.
    Hide,
}

/// A reader of the events of a stream.
pub(crate) trait Events {
    /// A part of the data of the event at hand. Its lines are joined by LF.
    fn data(&mut self, part: &[u8]);
    /// A part of the name of the event at hand.
    fn name(&mut self, part: &[u8]);
    /// The event at hand is complete.
    fn end(&mut self) -> Verdict;
}

/// The place in an event stream.
pub(crate) struct Scanner {
    hides: bool,
    line: Line,
    is_first_line: bool,
    /// The last byte was a CR that ended a line: an LF that comes next belongs to it.
    open_end: Option<LineEnd>,
    /// True if the event at hand has a field that is data.
    has_data: bool,
    /// True if the event at hand has a line that is no comment.
    has_fields: bool,
    /// The bytes of the event at hand that are held back.
    held: BytesMut,
    /// The length of the event at hand, in bytes.
    length: usize,
}

/// The line so far.
#[derive(Clone, Copy)]
enum Line {
    /// The beginning of the name of a field.
    Name([u8; MAX_NAME], usize),
    /// The value of the field `data`, or `event`; a space at its beginning is no part of it.
    Data {
        is_begun: bool,
    },
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
    /// All bytes so far become this.
    Decided(Verdict),
}

impl Line {
    const EMPTY: Self = Self::Name([0; MAX_NAME], 0);
}

impl Scanner {
    /// A scanner at the start of a stream. One that hides holds the bytes of an event back until its end, or until it is too
    /// long to be hidden; one that does not forwards every byte at once.
    pub(crate) fn new(hides: bool) -> Self {
        Self {
            hides,
            line: Line::EMPTY,
            is_first_line: true,
            open_end: None,
            has_data: false,
            has_fields: false,
            held: BytesMut::new(),
            length: 0,
        }
    }

    /// Takes the next bytes, shows what is in them to `events`, and gives back the bytes to forward now.
    pub(crate) fn push(&mut self, piece: Bytes, events: &mut impl Events) -> Bytes {
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
            self.take(&piece[at..at + length], events);
            at += length + 1;
            let is_return = piece[at - 1] == b'\r';
            let mut count = 1;
            if is_return && piece.get(at) == Some(&b'\n') {
                (at, count) = (at + 1, 2);
            }
            let end = self.end_line(count, events);
            self.decide(&mut decisions, at, end);
            self.open_end = Some(end).filter(|_| is_return && count == 1 && at == piece.len());
        }
        self.take(&piece[at..], events);
        if !self.hides {
            return piece;
        }
        if self.length > MAX_HELD {
            self.decide(&mut decisions, piece.len(), LineEnd::Decided(Verdict::Keep));
        }
        self.forward(&piece, &decisions)
    }

    /// All bytes of a piece that come before `at` become this.
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

    /// Gives back the bytes of what was held back and of a piece that are forwarded, and holds the rest back.
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

    /// The end of the stream: shows to `events` that an event has ended which has not, and gives back the bytes to forward.
    pub(crate) fn finish(&mut self, events: &mut impl Events) -> Bytes {
        let rest = self.held.split().freeze();
        if !matches!(self.line, Line::Name(_, 0)) {
            self.end_line(0, events);
        }
        let verdict = self.end_event(events);
        if self.hides && verdict == Verdict::Keep {
            rest
        } else {
            Bytes::new()
        }
    }

    /// Takes a part of a line.
    fn take(&mut self, part: &[u8], events: &mut impl Events) {
        self.length = self.length.saturating_add(part.len());
        let mut rest = part;
        while let Line::Name(name, length) = self.line
            && let Some((byte, others)) = rest.split_first()
        {
            self.take_name(name, length, *byte, events);
            rest = others;
        }
        if let Line::Data { is_begun } | Line::Event { is_begun } = &mut self.line
            && !*is_begun
            && !rest.is_empty()
        {
            *is_begun = true;
            rest = rest.strip_prefix(b" ").unwrap_or(rest);
        }
        match self.line {
            _ if rest.is_empty() => {}
            Line::Data { .. } => events.data(rest),
            Line::Event { .. } => events.name(rest),
            Line::Name(..) | Line::Comment | Line::Other => {}
        }
    }

    /// Takes a byte after the beginning `name` of the name of a field.
    fn take_name(
        &mut self,
        mut name: [u8; MAX_NAME],
        length: usize,
        byte: u8,
        events: &mut impl Events,
    ) {
        self.line = match (byte, &name[..length]) {
            (b':', b"") => Line::Comment,
            (b':', b"data") => {
                self.begin_data(events);
                Line::Data { is_begun: false }
            }
            (b':', b"event") => Line::Event { is_begun: false },
            (b':', _) => Line::Other,
            (_, known) if known.len() == MAX_NAME => Line::Other,
            _ => {
                name[length] = byte;
                Line::Name(name, length + 1)
            }
        };
        if self.is_first_line && name[..length.min(2) + 1] == *BYTE_ORDER_MARK {
            self.is_first_line = false;
            self.line = Line::EMPTY;
        }
    }

    fn begin_data(&mut self, events: &mut impl Events) {
        if std::mem::replace(&mut self.has_data, true) {
            events.data(b"\n");
        }
    }

    /// A line has ended, with so many bytes.
    fn end_line(&mut self, count: usize, events: &mut impl Events) -> LineEnd {
        self.is_first_line = false;
        match std::mem::replace(&mut self.line, Line::EMPTY) {
            Line::Name(_, 0) => return LineEnd::Decided(self.end_event(events)),
            // A comment before an event is for itself: it keeps a connection alive.
            Line::Comment if !self.has_fields => {
                self.length = 0;
                return LineEnd::Decided(Verdict::Keep);
            }
            Line::Name(name, length) if name[..length] == *b"data" => self.begin_data(events),
            _ => {}
        }
        self.has_fields = true;
        self.length = self.length.saturating_add(count);
        LineEnd::Inside
    }

    fn end_event(&mut self, events: &mut impl Events) -> Verdict {
        let is_held = std::mem::take(&mut self.length) <= MAX_HELD;
        self.has_data = false;
        if !std::mem::take(&mut self.has_fields) {
            return Verdict::Keep;
        }
        let verdict = events.end();
        if is_held { verdict } else { Verdict::Keep }
    }
}

/// The decisions about a piece.
#[derive(Default)]
struct Decisions {
    hidden: Vec<Range<usize>>,
    /// The end of what is decided.
    end: usize,
}
