//! An incremental JSON scanner. Its state is the path to the current value, so a document may have any length.
//!
//! The scanner is as lenient as model servers: `NaN` and `Infinity` are values, and bytes after the document are skipped. A
//! visitor decides which values matter, and all others are skipped.

#[cfg(test)]
mod tests;

use memchr::memchr2;

/// The longest key, number or literal; a longer one counts as empty.
const MAX_TOKEN_BYTES: usize = 64;
/// The deepest nesting that is scanned; deeper values are skipped.
const MAX_DEPTH: usize = 64;

/// A visitor of the values of a document, each of which has a path.
pub(crate) trait JsonVisitor {
    /// The path to a value.
    type Path: Copy;

    /// The path to values that do not matter.
    const SKIPPED: Self::Path;

    /// True if neither the value nor any value in it matters.
    fn is_skipped(path: Self::Path) -> bool;
    /// Returns the path to the member `key` of the object at `of`.
    fn member(&mut self, of: Self::Path, key: &[u8]) -> Self::Path;
    /// Returns the path to the next element of the array at `of`.
    fn element(&mut self, of: Self::Path) -> Self::Path;
    /// Begins an object or an array.
    fn begin(&mut self, path: Self::Path, is_object: bool);
    /// Ends an object or an array.
    fn end(&mut self, path: Self::Path);
    /// Visits a part of a string, with its escapes.
    fn text(&mut self, path: Self::Path, part: &[u8]);
    /// Ends a string.
    fn end_text(&mut self, path: Self::Path);
    /// Visits a number or a literal. `token` is empty if it is longer than any of them.
    fn scalar(&mut self, path: Self::Path, token: &[u8]);
}

/// A scanner of one document after the other.
pub(crate) struct JsonScanner<P> {
    containers: Vec<Container<P>>,
    /// The number of open objects and arrays within a skipped one, and itself.
    skipped: u64,
    state: ScanState<P>,
    /// The path to the member whose key was read.
    member: Option<P>,
    token: [u8; MAX_TOKEN_BYTES],
    /// The length of the token; larger than its capacity if the token is too long.
    length: usize,
    /// True if the root value is an object, false if it is another; `None` until it begins.
    has_object: Option<bool>,
    is_closed: bool,
    root: P,
}

/// An open object or array.
struct Container<P> {
    path: P,
    is_object: bool,
    expects_key: bool,
}

#[derive(Clone, Copy)]
enum ScanState<P> {
    Between,
    Key {
        is_escaped: bool,
    },
    /// In a string, which is skipped if it has no path.
    Text {
        path: Option<P>,
        is_escaped: bool,
    },
    Scalar {
        path: P,
    },
}

impl<P: Copy> JsonScanner<P> {
    /// Returns a scanner of documents whose path is `root`.
    pub(crate) fn new(root: P) -> Self {
        Self {
            containers: Vec::new(),
            skipped: 0,
            state: ScanState::Between,
            member: None,
            token: [0; MAX_TOKEN_BYTES],
            length: 0,
            has_object: None,
            is_closed: false,
            root,
        }
    }

    /// Prepares for another document.
    pub(crate) fn reset(&mut self) {
        self.containers.clear();
        self.skipped = 0;
        self.state = ScanState::Between;
        self.member = None;
        self.has_object = None;
        self.is_closed = false;
    }

    /// True if the document is a complete object.
    pub(crate) fn is_whole_object(&self) -> bool {
        self.is_closed && self.has_object == Some(true)
    }

    /// Scans the next bytes.
    pub(crate) fn feed<V: JsonVisitor<Path = P>>(&mut self, visitor: &mut V, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                ScanState::Between if self.skipped > 0 => self.skip(rest),
                ScanState::Between => self.step(visitor, rest),
                ScanState::Key { is_escaped } => self.key(visitor, rest, is_escaped),
                ScanState::Text { path, is_escaped } => self.text(visitor, rest, path, is_escaped),
                ScanState::Scalar { path } => self.scalar(visitor, rest, path),
            };
        }
    }

    /// Scans one byte between values.
    fn step<'a, V: JsonVisitor<Path = P>>(&mut self, visitor: &mut V, bytes: &'a [u8]) -> &'a [u8] {
        let expects_key = (self.containers.last()).is_some_and(|container| container.expects_key);
        match bytes[0] {
            b'"' if expects_key => {
                self.length = 0;
                self.state = ScanState::Key { is_escaped: false };
            }
            b'"' => {
                let path = self.value(visitor, false);
                let path = Some(path).filter(|path| !V::is_skipped(*path));
                self.state = ScanState::Text {
                    path,
                    is_escaped: false,
                };
            }
            open @ (b'{' | b'[') => self.open(visitor, open == b'{'),
            b'}' | b']' => self.close(visitor),
            b',' => {
                if let Some(container) = self.containers.last_mut() {
                    container.expects_key = container.is_object;
                }
            }
            b':' => {}
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let path = self.value(visitor, false);
                self.length = 0;
                self.state = ScanState::Scalar { path };
                return bytes;
            }
        }
        &bytes[1..]
    }

    /// Returns the path to the value that begins.
    fn value<V: JsonVisitor<Path = P>>(&mut self, visitor: &mut V, is_object: bool) -> P {
        let Some(container) = self.containers.last() else {
            let is_first = self.has_object.is_none();
            self.has_object.get_or_insert(is_object);
            return if is_first { self.root } else { V::SKIPPED };
        };
        if container.is_object {
            self.member.take().unwrap_or(V::SKIPPED)
        } else {
            visitor.element(container.path)
        }
    }

    fn open<V: JsonVisitor<Path = P>>(&mut self, visitor: &mut V, is_object: bool) {
        let path = self.value(visitor, is_object);
        if V::is_skipped(path) || self.containers.len() == MAX_DEPTH {
            self.skipped = 1;
            return;
        }
        self.containers.push(Container {
            path,
            is_object,
            expects_key: is_object,
        });
        visitor.begin(path, is_object);
    }

    fn close<V: JsonVisitor<Path = P>>(&mut self, visitor: &mut V) {
        if let Some(container) = self.containers.pop() {
            visitor.end(container.path);
            self.is_closed |= self.containers.is_empty();
        }
    }

    /// Skips to the end of the skipped object or array, or to a string in it.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                b'}' | b']' => {
                    self.skipped -= 1;
                    if self.skipped == 0 {
                        self.is_closed |= self.containers.is_empty();
                        return &bytes[at + 1..];
                    }
                }
                b'"' => {
                    self.state = ScanState::Text {
                        path: None,
                        is_escaped: false,
                    };
                    return &bytes[at + 1..];
                }
                _ => {}
            }
        }
        &[]
    }

    fn key<'a, V: JsonVisitor<Path = P>>(
        &mut self,
        visitor: &mut V,
        bytes: &'a [u8],
        is_escaped: bool,
    ) -> &'a [u8] {
        let string = StringPart::of(bytes, is_escaped);
        self.append(string.text);
        match string.rest {
            Err(is_escaped) => {
                self.state = ScanState::Key { is_escaped };
                &[]
            }
            Ok(rest) => {
                self.state = ScanState::Between;
                if let Some(container) = self.containers.last_mut() {
                    container.expects_key = false;
                    let of = container.path;
                    self.member = Some(self.member_of(visitor, of));
                }
                rest
            }
        }
    }

    fn member_of<V: JsonVisitor<Path = P>>(&self, visitor: &mut V, of: P) -> P {
        let Some(key) = self.token.get(..self.length) else {
            return visitor.member(of, b"");
        };
        if memchr::memchr(b'\\', key).is_none() {
            return visitor.member(of, key);
        }
        let quoted = [b"\"", key, b"\""].concat();
        let key: String = serde_json::from_slice(&quoted).unwrap_or_default();
        visitor.member(of, key.as_bytes())
    }

    fn text<'a, V: JsonVisitor<Path = P>>(
        &mut self,
        visitor: &mut V,
        bytes: &'a [u8],
        path: Option<P>,
        is_escaped: bool,
    ) -> &'a [u8] {
        let string = StringPart::of(bytes, is_escaped);
        if let Some(path) = path
            && !string.text.is_empty()
        {
            visitor.text(path, string.text);
        }
        match string.rest {
            Err(is_escaped) => {
                self.state = ScanState::Text { path, is_escaped };
                &[]
            }
            Ok(rest) => {
                self.state = ScanState::Between;
                if let Some(path) = path {
                    visitor.end_text(path);
                }
                rest
            }
        }
    }

    fn scalar<'a, V: JsonVisitor<Path = P>>(
        &mut self,
        visitor: &mut V,
        bytes: &'a [u8],
        path: P,
    ) -> &'a [u8] {
        let ends = |byte: &u8| b",:{}[]\"".contains(byte) || byte.is_ascii_whitespace();
        let Some(end) = bytes.iter().position(ends) else {
            self.append(bytes);
            return &[];
        };
        self.append(&bytes[..end]);
        self.state = ScanState::Between;
        if !V::is_skipped(path) {
            visitor.scalar(path, self.token.get(..self.length).unwrap_or_default());
        }
        &bytes[end..]
    }

    /// Appends to the token.
    fn append(&mut self, bytes: &[u8]) {
        if let Some(room) = self.token.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        } else {
            self.length = MAX_TOKEN_BYTES + 1;
        }
    }
}

/// The part of a string at the beginning of some bytes.
struct StringPart<'a> {
    text: &'a [u8],
    /// The bytes after the string. An error if the string goes on, true if its next byte is escaped.
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
