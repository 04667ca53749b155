//! A scanner of JSON as it passes: it keeps nothing of a document but where it is in it, so a document may have any length.
//!
//! It is lenient where model servers are: `NaN` and `Infinity` are values like others, and what follows the document is
//! passed over. Whoever listens says which values matter; all others are skipped.

#[cfg(test)]
mod tests;

use memchr::memchr2;

/// The longest key that is compared, and the longest number or word that is passed on, in bytes.
const MAX_WORD: usize = 64;
/// The deepest nesting that is followed; what lies deeper is skipped.
const MAX_DEPTH: usize = 64;

/// A listener to the values of a document, each of which has a place in it.
pub(crate) trait Sink {
    /// The place of a value.
    type Place: Copy;

    /// The place of what does not matter.
    const SKIPPED: Self::Place;

    /// True if neither the value here nor anything in it matters.
    fn is_skipped(place: Self::Place) -> bool;
    /// Returns the place of the member `key` of the object at `of`.
    fn member(&mut self, of: Self::Place, key: &[u8]) -> Self::Place;
    /// Returns the place of the next element of the array at `of`.
    fn element(&mut self, of: Self::Place) -> Self::Place;
    /// An object, or an array, begins.
    fn begin(&mut self, place: Self::Place, is_object: bool);
    /// An object, or an array, ends.
    fn end(&mut self, place: Self::Place);
    /// A part of a string, as it is written: escapes are not decoded.
    fn text(&mut self, place: Self::Place, part: &[u8]);
    /// A string ends.
    fn end_text(&mut self, place: Self::Place);
    /// A number or a word; nothing of one that is too long to be either.
    fn scalar(&mut self, place: Self::Place, word: &[u8]);
}

/// The outermost value of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outermost {
    Object,
    Other,
}

/// The state of a scan.
pub(crate) struct Scanner<P> {
    levels: Vec<Level<P>>,
    /// The number of open objects and arrays at and within a skipped one.
    skipped: u64,
    state: State<P>,
    /// The place of the member whose key was read.
    member: Option<P>,
    word: [u8; MAX_WORD],
    /// The length of the word; more than fits once it is too long.
    length: usize,
    outermost: Option<Outermost>,
    is_closed: bool,
    root: P,
}

struct Level<P> {
    place: P,
    is_object: bool,
    expects_key: bool,
}

#[derive(Clone, Copy)]
enum State<P> {
    Between,
    Key {
        is_escaped: bool,
    },
    /// In a string; one without a place is skipped.
    Text {
        place: Option<P>,
        is_escaped: bool,
    },
    Scalar {
        place: P,
    },
}

impl<P: Copy> Scanner<P> {
    /// A scanner of documents whose place is `root`.
    pub(crate) fn new(root: P) -> Self {
        Self {
            levels: Vec::new(),
            skipped: 0,
            state: State::Between,
            member: None,
            word: [0; MAX_WORD],
            length: 0,
            outermost: None,
            is_closed: false,
            root,
        }
    }

    /// Makes it ready for another document.
    pub(crate) fn reset(&mut self) {
        self.levels.clear();
        self.skipped = 0;
        self.state = State::Between;
        self.member = None;
        self.outermost = None;
        self.is_closed = false;
    }

    /// True if the document is an object that has ended.
    pub(crate) fn is_whole_object(&self) -> bool {
        self.is_closed && self.outermost == Some(Outermost::Object)
    }

    /// Takes the next bytes.
    pub(crate) fn feed<S: Sink<Place = P>>(&mut self, sink: &mut S, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Between if self.skipped > 0 => self.skip(rest),
                State::Between => self.step(sink, rest),
                State::Key { is_escaped } => self.key(sink, rest, is_escaped),
                State::Text { place, is_escaped } => self.text(sink, rest, place, is_escaped),
                State::Scalar { place } => self.scalar(sink, rest, place),
            };
        }
    }

    /// Takes one byte between values.
    fn step<'a, S: Sink<Place = P>>(&mut self, sink: &mut S, bytes: &'a [u8]) -> &'a [u8] {
        let expects_key = (self.levels.last()).is_some_and(|level| level.expects_key);
        match bytes[0] {
            b'"' if expects_key => {
                self.length = 0;
                self.state = State::Key { is_escaped: false };
            }
            b'"' => {
                let place = self.value(sink, Outermost::Other);
                let place = Some(place).filter(|place| !S::is_skipped(*place));
                self.state = State::Text {
                    place,
                    is_escaped: false,
                };
            }
            open @ (b'{' | b'[') => self.open(sink, open == b'{'),
            b'}' | b']' => self.close(sink),
            b',' => {
                if let Some(level) = self.levels.last_mut() {
                    level.expects_key = level.is_object;
                }
            }
            b':' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let place = self.value(sink, Outermost::Other);
                self.length = 0;
                self.state = State::Scalar { place };
                return bytes;
            }
        }
        &bytes[1..]
    }

    /// Returns the place of the value that begins.
    fn value<S: Sink<Place = P>>(&mut self, sink: &mut S, kind: Outermost) -> P {
        let Some(level) = self.levels.last() else {
            let is_first = self.outermost.is_none();
            self.outermost = self.outermost.or(Some(kind));
            return if is_first { self.root } else { S::SKIPPED };
        };
        if level.is_object {
            self.member.take().unwrap_or(S::SKIPPED)
        } else {
            sink.element(level.place)
        }
    }

    fn open<S: Sink<Place = P>>(&mut self, sink: &mut S, is_object: bool) {
        let kind = match is_object {
            true => Outermost::Object,
            false => Outermost::Other,
        };
        let place = self.value(sink, kind);
        if S::is_skipped(place) || self.levels.len() == MAX_DEPTH {
            self.skipped = 1;
            return;
        }
        self.levels.push(Level {
            place,
            is_object,
            expects_key: is_object,
        });
        sink.begin(place, is_object);
    }

    fn close<S: Sink<Place = P>>(&mut self, sink: &mut S) {
        if let Some(level) = self.levels.pop() {
            sink.end(level.place);
            self.is_closed |= self.levels.is_empty();
        }
    }

    /// Skips as far as the end of what does not matter, or to a string in it.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                b'}' | b']' => {
                    self.skipped -= 1;
                    if self.skipped == 0 {
                        self.is_closed |= self.levels.is_empty();
                        return &bytes[at + 1..];
                    }
                }
                b'"' => {
                    self.state = State::Text {
                        place: None,
                        is_escaped: false,
                    };
                    return &bytes[at + 1..];
                }
                _ => {}
            }
        }
        &[]
    }

    fn key<'a, S: Sink<Place = P>>(
        &mut self,
        sink: &mut S,
        bytes: &'a [u8],
        is_escaped: bool,
    ) -> &'a [u8] {
        let string = StringPart::of(bytes, is_escaped);
        self.keep(string.text);
        match string.rest {
            Err(is_escaped) => {
                self.state = State::Key { is_escaped };
                &[]
            }
            Ok(rest) => {
                self.state = State::Between;
                if let Some(level) = self.levels.last_mut() {
                    level.expects_key = false;
                    let of = level.place;
                    self.member = Some(self.member_of(sink, of));
                }
                rest
            }
        }
    }

    fn member_of<S: Sink<Place = P>>(&self, sink: &mut S, of: P) -> P {
        let Some(key) = self.word.get(..self.length) else {
            return sink.member(of, b"");
        };
        if memchr::memchr(b'\\', key).is_none() {
            return sink.member(of, key);
        }
        let quoted = [b"\"", key, b"\""].concat();
        let key: String = serde_json::from_slice(&quoted).unwrap_or_default();
        sink.member(of, key.as_bytes())
    }

    fn text<'a, S: Sink<Place = P>>(
        &mut self,
        sink: &mut S,
        bytes: &'a [u8],
        place: Option<P>,
        is_escaped: bool,
    ) -> &'a [u8] {
        let string = StringPart::of(bytes, is_escaped);
        if let Some(place) = place
            && !string.text.is_empty()
        {
            sink.text(place, string.text);
        }
        match string.rest {
            Err(is_escaped) => {
                self.state = State::Text { place, is_escaped };
                &[]
            }
            Ok(rest) => {
                self.state = State::Between;
                if let Some(place) = place {
                    sink.end_text(place);
                }
                rest
            }
        }
    }

    fn scalar<'a, S: Sink<Place = P>>(
        &mut self,
        sink: &mut S,
        bytes: &'a [u8],
        place: P,
    ) -> &'a [u8] {
        let ends = |byte: &u8| b",:{}[]\"".contains(byte) || byte.is_ascii_whitespace();
        let Some(end) = bytes.iter().position(ends) else {
            self.keep(bytes);
            return &[];
        };
        self.keep(&bytes[..end]);
        self.end_scalar(sink, place);
        &bytes[end..]
    }

    fn end_scalar<S: Sink<Place = P>>(&mut self, sink: &mut S, place: P) {
        self.state = State::Between;
        if !S::is_skipped(place) {
            sink.scalar(place, self.word.get(..self.length).unwrap_or_default());
        }
    }

    /// Adds to the word, as far as there is room.
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(room) = self.word.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        } else {
            self.length = MAX_WORD + 1;
        }
    }
}

/// The beginning of some bytes, as far as a string goes.
struct StringPart<'a> {
    text: &'a [u8],
    /// The bytes after the string; an error if the string goes on: true if its next byte is escaped.
    rest: Result<&'a [u8], bool>,
}

impl<'a> StringPart<'a> {
    fn of(bytes: &'a [u8], is_escaped: bool) -> Self {
        let mut at = usize::from(is_escaped);
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            let end = at + found;
            if bytes[end] == b'"' {
                return Self {
                    text: &bytes[..end],
                    rest: Ok(&bytes[end + 1..]),
                };
            }
            at = end + 2;
        }
        Self {
            text: bytes,
            rest: Err(at > bytes.len()),
        }
    }
}
