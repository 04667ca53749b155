//! Content sniffing: the type of an answer by its Content-Type and by its first bytes, since some servers declare another type
//! than they send.

use base::{BYTE_ORDER_MARK, without_mark};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The beginnings of event streams.
const EVENT_STREAM_BEGINNINGS: [&[u8]; 5] = [b"data:", b"event:", b":", b"id:", b"retry:"];

/// The type that an answer declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeclaredType {
    EventStream,
    Html,
    Text,
    Other,
}

impl DeclaredType {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers
            .get(CONTENT_TYPE)
            .map_or(&b""[..], |it| it.as_bytes());
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        let is = |name: &[u8]| essence.trim_ascii().eq_ignore_ascii_case(name);
        if is(b"text/event-stream") {
            Self::EventStream
        } else if is(b"text/html") || is(b"application/xhtml+xml") {
            Self::Html
        } else if is(b"text/plain") {
            Self::Text
        } else {
            Self::Other
        }
    }
}

/// The type that the first bytes of an answer show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SniffedType {
    /// Unknown until more bytes have come.
    Undecided,
    EventStream,
    Json,
    Other,
}

impl SniffedType {
    /// Returns the type that `bytes` show, which must not begin with white space.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() || (BYTE_ORDER_MARK.starts_with(bytes)) {
            return Self::Undecided;
        }
        let text = without_mark(bytes);
        if text.starts_with(b"{") {
            return Self::Json;
        }
        let mut beginnings = EVENT_STREAM_BEGINNINGS.iter();
        if beginnings.any(|beginning| text.starts_with(beginning)) {
            return Self::EventStream;
        }
        let mut beginnings = EVENT_STREAM_BEGINNINGS.iter();
        match beginnings.any(|beginning| beginning.starts_with(text)) {
            true => Self::Undecided,
            false => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn mislabelled_streams_types_are_read_without_case_and_parameters() {
        for (value, declared) in [
            ("text/event-stream", DeclaredType::EventStream),
            (
                "Text/Event-Stream; charset=utf-8",
                DeclaredType::EventStream,
            ),
            (" TEXT/HTML ;x", DeclaredType::Html),
            ("text/plain", DeclaredType::Text),
            ("text/event-streams", DeclaredType::Other),
            ("application/json", DeclaredType::Other),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(DeclaredType::of(&headers), declared, "{value}");
        }
        assert_eq!(DeclaredType::of(&HeaderMap::new()), DeclaredType::Other);
    }

    #[test]
    fn type_is_sniffed_from_the_first_bytes() {
        for (text, sniffed) in [
            ("", SniffedType::Undecided),
            ("dat", SniffedType::Undecided),
            ("\u{feff}", SniffedType::Undecided),
            ("\u{feff}d", SniffedType::Undecided),
            ("\u{feff}data: x", SniffedType::EventStream),
            ("data:", SniffedType::EventStream),
            (": ping", SniffedType::EventStream),
            ("event: x", SniffedType::EventStream),
            ("\u{feff}{", SniffedType::Json),
            ("{\"a\"", SniffedType::Json),
            ("[", SniffedType::Other),
            ("<html>", SniffedType::Other),
            ("database", SniffedType::Other),
        ] {
            assert_eq!(SniffedType::of(text.as_bytes()), sniffed, "{text}");
        }
    }
}
