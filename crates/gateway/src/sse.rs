//! An incremental scanner of event streams: finds each event in whatever pieces the bytes come, and forwards them
//! unchanged but for the events that its reader hides.
//!
//! Lines end with LF or CRLF; an event ends with an empty line, or with the stream.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// The longest event that is looked at, in bytes; a longer one passes through unread. A whole image comes in one.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is forwarded.
    Keep,
    /// It is left out, if the scanner hides at all.
    Hide,
}

/// Where in an event stream we are.
pub(crate) struct Scanner {
    hides: bool,
    line: Line,
    /// The bytes of an event that has not ended. If the scanner hides, they have not been forwarded yet.
    open: BytesMut,
    /// In an event that is too long: it is not looked at any more.
    is_overlong: bool,
}

/// What the line so far consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Nothing,
    CarriageReturn,
    Text,
}

impl Scanner {
    /// A scanner at the start of a stream. One that hides holds the bytes of an event back until its end; one that
    /// does not forwards every byte at once.
    pub(crate) fn new(hides: bool) -> Self {
        Self {
            hides,
            line: Line::Nothing,
            open: BytesMut::new(),
            is_overlong: false,
        }
    }

    /// Whether it may forward fewer bytes than it takes.
    pub(crate) fn hides(&self) -> bool {
        self.hides
    }

    /// Takes the next bytes, shows the data of each event that they complete to `read`, and gives back the bytes to
    /// forward now.
    pub(crate) fn push(&mut self, piece: Bytes, mut read: impl FnMut(&[u8]) -> Verdict) -> Bytes {
        let begun = self.open.len();
        if begun > 0 {
            self.open.extend_from_slice(&piece);
        }
        let bytes: &[u8] = if begun > 0 { &self.open } else { &piece };
        let mut hidden = Vec::new();
        let (mut start, mut at) = (0, begun);
        while let Some(length) = self.line.find_end(&bytes[at..]) {
            at += length;
            let is_overlong = std::mem::take(&mut self.is_overlong) || at - start > MAX_EVENT;
            if !is_overlong && read_event(&bytes[start..at], &mut read) == Verdict::Hide {
                hidden.push(start..at);
            }
            start = at;
        }
        self.is_overlong |= bytes.len() - start > MAX_EVENT;
        let end = if self.is_overlong { bytes.len() } else { start };
        let done = if begun > 0 {
            self.open.split_to(end).freeze()
        } else {
            self.open.extend_from_slice(&piece[end..]);
            piece.slice(..end)
        };
        if self.hides {
            without(done, &hidden)
        } else {
            piece
        }
    }

    /// The end of the stream: shows the data of an event that has not ended to `read`, and gives back the bytes to
    /// forward.
    pub(crate) fn finish(&mut self, mut read: impl FnMut(&[u8]) -> Verdict) -> Bytes {
        let rest = self.open.split().freeze();
        let verdict = read_event(&rest, &mut read);
        if self.hides && verdict == Verdict::Keep {
            rest
        } else {
            Bytes::new()
        }
    }
}

impl Line {
    /// How many of `bytes`, which follow those seen before, belong to the event that ends among them.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            let line = self.with(&bytes[at..at + length]);
            at += length + 1;
            *self = Self::Nothing;
            if line != Self::Text {
                return Some(at);
            }
        }
        *self = self.with(&bytes[at..]);
        None
    }

    fn with(self, more: &[u8]) -> Self {
        match (self, more) {
            (line, []) => line,
            (Self::Nothing, [b'\r']) => Self::CarriageReturn,
            _ => Self::Text,
        }
    }
}

/// Shows an event's data to `read`, if it has any.
fn read_event(event: &[u8], read: &mut impl FnMut(&[u8]) -> Verdict) -> Verdict {
    let mut data: Option<Cow<'_, [u8]>> = None;
    let mut rest = event;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
        let Some(value) = line.strip_prefix(b"data:") else {
            continue;
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut data {
            None => data = Some(Cow::Borrowed(value)),
            Some(data) => {
                data.to_mut().push(b'\n');
                data.to_mut().extend_from_slice(value);
            }
        }
    }
    data.map_or(Verdict::Keep, |data| read(&data))
}

fn without(bytes: Bytes, hidden: &[Range<usize>]) -> Bytes {
    if hidden.is_empty() {
        return bytes;
    }
    let mut kept = BytesMut::with_capacity(bytes.len());
    let mut from = 0;
    for range in hidden {
        kept.extend_from_slice(&bytes[from..range.start]);
        from = range.end;
    }
    kept.extend_from_slice(&bytes[from..]);
    kept.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(data: &[u8]) -> Verdict {
        match data {
            b"secret" => Verdict::Hide,
            _ => Verdict::Keep,
        }
    }

    /// What was read and what was forwarded, for one way of cutting the bytes.
    fn scan(hides: bool, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut scanner = Scanner::new(hides);
        let (mut seen, mut forwarded) = (Vec::new(), Vec::new());
        let mut read = |data: &[u8]| {
            seen.push(data.to_vec());
            verdict(data)
        };
        for piece in pieces {
            let piece = Bytes::copy_from_slice(piece);
            forwarded.extend_from_slice(&scanner.push(piece, &mut read));
        }
        forwarded.extend_from_slice(&scanner.finish(&mut read));
        (seen, forwarded)
    }

    /// The same, over the whole text at once and line by line.
    fn naive(hides: bool, text: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut seen, mut forwarded) = (Vec::new(), Vec::new());
        let (mut event, mut data) = (Vec::new(), Vec::new());
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        lines.push(b"");
        for line in lines {
            event.extend_from_slice(line);
            let text = String::from_utf8_lossy(line).into_owned();
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if let Some(value) = text.strip_prefix("data:") {
                data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
            }
            let is_end = line.is_empty() || (text.is_empty() && line.ends_with(b"\n"));
            if is_end {
                let whole = data.join("\n").into_bytes();
                let hide = !data.is_empty() && hides && verdict(&whole) == Verdict::Hide;
                if !data.is_empty() {
                    seen.push(whole);
                }
                if !hide {
                    forwarded.extend_from_slice(&event);
                }
                (event, data) = (Vec::new(), Vec::new());
            }
        }
        (seen, forwarded)
    }

    #[test]
    fn a_hidden_event_is_left_out_and_all_else_is_identical() {
        let text =
            b": hi\ndata: a\n\ndata: secret\r\n\r\nevent: x\ndata: b\ndata:c\n\ndata: [DONE]\n\n";
        let (seen, forwarded) = scan(true, &[text]);
        assert_eq!(seen, [&b"a"[..], b"secret", b"b\nc", b"[DONE]"]);
        let rest = b": hi\ndata: a\n\nevent: x\ndata: b\ndata:c\n\ndata: [DONE]\n\n";
        assert_eq!(forwarded, rest);
        assert_eq!(scan(false, &[text]).1, text);
    }

    #[test]
    fn complete_events_pass_without_a_copy() {
        let piece = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let out = Scanner::new(true).push(piece.clone(), verdict);
        assert_eq!(out.as_ptr(), piece.as_ptr());
        assert_eq!(out, piece);
    }

    #[test]
    fn an_overlong_event_passes_and_the_next_is_read() {
        let mut text = b"data: ".to_vec();
        text.resize(MAX_EVENT + 10, b'x');
        text.extend_from_slice(b"\n\ndata: secret\n\ndata: b\n\n");
        let whole = scan(true, &[&text]);
        let pieces: Vec<&[u8]> = text.chunks(60_000).collect();
        assert_eq!(scan(true, &pieces), whole);
        assert_eq!(whole.0, [&b"secret"[..], b"b"]);
        assert_eq!(whole.1.len(), text.len() - b"data: secret\n\n".len());
        let mut scanner = Scanner::new(true);
        scanner.push(Bytes::from(text[..MAX_EVENT + 5].to_vec()), verdict);
        assert!(scanner.open.is_empty(), "nothing of it is kept");
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just("data: secret"),
            Just("data: a"),
            Just("data:b"),
            Just("data"),
            Just(""),
            Just(""),
            Just(": note"),
            Just("event: x"),
            Just("\r"),
            Just("data: \r"),
            Just("data: [DONE]"),
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n"), Just("")];
        proptest::collection::vec((line, end), 0..20).prop_map(|lines| {
            let mut text = Vec::new();
            for (line, end) in lines {
                text.extend_from_slice(line.as_bytes());
                text.extend_from_slice(end.as_bytes());
            }
            text
        })
    }

    proptest! {
        #[test]
        fn every_way_of_cutting_gives_what_a_naive_parser_gives(
            text in lines(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
            hides: bool,
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let scanned = scan(hides, &pieces);
            prop_assert_eq!(&scanned, &naive(hides, &text));
            if !hides {
                prop_assert_eq!(scanned.1, text);
            }
        }
    }
}
