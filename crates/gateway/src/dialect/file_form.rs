//! A scanner of a multipart form with one file, for a form that passes through piece by piece.
//!
//! The scanner accepts some of the forms that [`read_form`](super::read_form) accepts: those of exactly one part.

use base::{Error, Result};
use http::HeaderMap;
use memchr::memmem::{Finder, find};

use super::content_type;
use super::multipart::{PartHeaders, invalid};

/// The longest beginning of a form, up to the first byte of the file.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The end of a form after its last boundary; its last line need not be ended.
const END: &[u8] = b"--\r\n";
const LINE_END: &[u8] = b"\r\n";

/// The scanner.
pub(crate) struct FileFormScanner {
    /// Two hyphens and the boundary.
    finder: Finder<'static>,
    field: &'static str,
    max_bytes: usize,
    position: ScanPosition,
    /// Bytes that were pushed and may belong to what comes next: the head of the form so far, the end of the file so far, or
    /// what follows the last boundary.
    pending: Vec<u8>,
    /// The bytes after the head so far.
    length: usize,
}

/// The part of a form that a scanner is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanPosition {
    Head,
    File,
    End,
}

impl FileFormScanner {
    /// Returns a scanner of the body of a request with these headers, whose only part must be the file `field` of at most
    /// `max_bytes` bytes.
    ///
    /// # Errors
    /// 400: the body is not a form, or its boundary is ambiguous.
    pub(crate) fn new(headers: &HeaderMap, field: &'static str, max_bytes: usize) -> Result<Self> {
        let delimiter = format!("--{}", content_type::boundary(headers)?);
        Ok(Self {
            finder: Finder::new(delimiter.as_bytes()).into_owned(),
            field,
            max_bytes,
            position: ScanPosition::Head,
            pending: Vec::new(),
            length: 0,
        })
    }

    /// Scans the next bytes of the form.
    ///
    /// # Errors
    /// 400: the form is malformed or ambiguous, or has other parts. 413: the file is too long.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<()> {
        match self.position {
            ScanPosition::Head => self.push_head(chunk),
            ScanPosition::File => self.push_file(chunk),
            ScanPosition::End => self.push_end(chunk),
        }
    }

    /// Checks that the form has come to its end.
    ///
    /// # Errors
    /// 400: it has not.
    pub(crate) fn end(&self) -> Result<()> {
        let is_end = matches!(&*self.pending, b"--" | b"--\r\n");
        if is_end && self.position == ScanPosition::End {
            return Ok(());
        }
        Err(invalid("it does not end with its boundary"))
    }

    fn push_head(&mut self, chunk: &[u8]) -> Result<()> {
        let before = self.pending.len();
        let room = MAX_HEAD_BYTES - before;
        self.pending
            .extend_from_slice(&chunk[..chunk.len().min(room)]);
        let Some(end) = find(&self.pending, b"\r\n\r\n") else {
            return match self.pending.len() {
                MAX_HEAD_BYTES => Err(invalid("a part has no headers, or too long ones")),
                _ => Ok(()),
            };
        };
        self.check_head(end)?;
        self.pending.clear();
        self.position = ScanPosition::File;
        self.push_file(&chunk[end + 4 - before..])
    }

    /// Checks the first `end` bytes of the form: the first boundary, and the headers of a part.
    fn check_head(&self, end: usize) -> Result<()> {
        let head = &self.pending[..end];
        let head = head.strip_prefix(LINE_END).unwrap_or(head);
        let head = head
            .strip_prefix(self.finder.needle())
            .ok_or_else(|| invalid("it must begin with its boundary"))?;
        let head = head
            .strip_prefix(LINE_END)
            .ok_or_else(|| invalid("a line that is a boundary has something else on it"))?;
        if self.finder.find(head).is_some() {
            return Err(invalid("its boundary stands within a part"));
        }
        let part = PartHeaders::read(head)?;
        if part.name == self.field && part.has_filename {
            return Ok(());
        }
        let field = self.field;
        let message = format!("The form must have one part: the file {field}, with a filename.");
        Err(Error::invalid(field, message))
    }

    fn push_file(&mut self, chunk: &[u8]) -> Result<()> {
        let before = self.pending.len();
        let delimiter = self.finder.needle().len();
        // A boundary that begins in the bytes before the chunk ends within this many bytes of the chunk.
        let reach = chunk.len().min(delimiter - 1);
        self.pending.extend_from_slice(&chunk[..reach]);
        let found = self.finder.find(&self.pending);
        let found = found.or_else(|| self.finder.find(chunk).map(|at| before + at));
        let Some(at) = found else {
            self.length += chunk.len();
            if self.length > self.max_bytes + LINE_END.len() + delimiter {
                return Err(Error::too_large(self.max_bytes));
            }
            self.keep_end(before, chunk, delimiter + 1);
            return Ok(());
        };
        let byte = |index: usize| match index.checked_sub(before) {
            None => self.pending[index],
            Some(index) => chunk[index],
        };
        if at < 2 || byte(at - 2) != b'\r' || byte(at - 1) != b'\n' {
            return Err(invalid("its boundary stands within a part"));
        }
        // `pending` began this many bytes into the file.
        let start = self.length - before;
        if start + at - LINE_END.len() > self.max_bytes {
            return Err(Error::too_large(self.max_bytes));
        }
        self.pending.clear();
        self.position = ScanPosition::End;
        self.push_end(&chunk[at + delimiter - before..])
    }

    /// Keeps the last `count` bytes of the file so far: the first `before` bytes of `pending`, and the chunk.
    fn keep_end(&mut self, before: usize, chunk: &[u8], count: usize) {
        self.pending.truncate(before);
        if let Some(start) = chunk.len().checked_sub(count) {
            self.pending.clear();
            self.pending.extend_from_slice(&chunk[start..]);
            return;
        }
        self.pending.extend_from_slice(chunk);
        let surplus = self.pending.len().saturating_sub(count);
        self.pending.drain(..surplus);
    }

    fn push_end(&mut self, chunk: &[u8]) -> Result<()> {
        let room = END.len() + 1 - self.pending.len();
        self.pending
            .extend_from_slice(&chunk[..chunk.len().min(room)]);
        if END.starts_with(&self.pending) {
            return Ok(());
        }
        if self.pending.starts_with(b"\r") {
            let field = self.field;
            let message = format!("The form must have one part: the file {field}.");
            return Err(Error::invalid(field, message));
        }
        Err(invalid("it goes on after its end"))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use proptest::prelude::*;

    use super::super::read_form;
    use super::*;

    const MAX_BYTES: usize = 24;
    const HEAD: &str =
        "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("multipart/form-data; boundary=xx");
        headers.insert(CONTENT_TYPE, kind);
        headers
    }

    /// Returns the status of a form in pieces of these lengths, which repeat; 200 if it is accepted.
    fn status(form: &str, lengths: &[usize]) -> u16 {
        let mut scanner = FileFormScanner::new(&headers(), "file", MAX_BYTES).expect("a scanner");
        let mut rest = form.as_bytes();
        let mut scan = || {
            for length in lengths.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*length));
                scanner.push(piece)?;
                rest = after;
                if rest.is_empty() {
                    return scanner.end();
                }
            }
            Ok(())
        };
        scan().map_or_else(|error| error.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_form_of_one_file_is_accepted_in_any_pieces() {
        let text = |length: usize| "-".repeat(length);
        for (form, expected) in [
            (format!("{HEAD}abc\r\n--xx--\r\n"), 200),
            (format!("\r\n{HEAD}\r\n--xx--"), 200),
            (format!("{HEAD}a\r\n--x\r\n--\r\n--xx--"), 200),
            (format!("{HEAD}{}\r\n--xx--", text(MAX_BYTES)), 200),
            (format!("{HEAD}{}\r\n--xx--", text(MAX_BYTES + 1)), 413),
            (format!("{HEAD}{}", text(MAX_BYTES + 20)), 413),
            (format!("{HEAD}abc\n--xx--"), 400),
            (format!("{HEAD}--xx--"), 400),
            (format!("{HEAD}abc"), 400),
            (format!("{HEAD}abc\r\n--xx"), 400),
            (format!("{HEAD}abc\r\n--xx-"), 400),
            (format!("{HEAD}abc\r\n--xx--\r"), 400),
            (format!("{HEAD}abc\r\n--xx--\r\nmore"), 400),
            (format!("{HEAD}abc\r\n{HEAD}def\r\n--xx--"), 400),
            (format!("hello\r\n{HEAD}abc\r\n--xx--"), 400),
            (HEAD.replace("file\"", "other\"") + "abc\r\n--xx--", 400),
            (HEAD.replace("; filename=\"f\"", "") + "abc\r\n--xx--", 400),
            (
                HEAD.replace("\"f\"", &format!("\"{}\"", "f".repeat(MAX_HEAD_BYTES)))
                    + "a\r\n--xx--",
                400,
            ),
            ("--xx--\r\n".to_owned(), 400),
            (String::new(), 400),
        ] {
            for length in [1, 2, 3, 5, 7, 64, form.len().max(1)] {
                assert_eq!(
                    status(&form, &[length]),
                    expected,
                    "{form} in pieces of {length}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_what_is_accepted_is_a_form(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    HEAD, "--xx", "--", "\r\n", "\r", "-", "x", "abc", "\r\n--xx", "\r\n--xx--", "\n",
                ]),
                0..12,
            ),
            lengths in proptest::collection::vec(1usize..9, 1..6),
        ) {
            let form = parts.concat();
            let whole = status(&form, &[form.len().max(1)]);
            let pieces = status(&form, &lengths);
            prop_assert_eq!(whole == 200, pieces == 200);
            if whole == 200 {
                let headers = headers();
                let fields = read_form(&headers, form.as_bytes(), &["file"]);
                prop_assert!(fields.is_ok_and(|fields| fields.get("file").is_some()));
            }
        }
    }
}
