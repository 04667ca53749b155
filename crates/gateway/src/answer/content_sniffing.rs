//! The kind of an answer, by its declared type and by how it begins: some servers declare another type than they send.

use base::{BYTE_ORDER_MARK, without_mark};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The beginnings of event streams.
const EVENT_BEGINNINGS: [&[u8]; 5] = [b"data:", b"event:", b":", b"id:", b"retry:"];

/// The declared type of an answer. Types have no case (RFC 9110).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeclaredType {
    EventStream,
    /// A page for people.
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

/// The beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// More of it is needed to tell.
    Unclear,
    Events,
    Json,
    Other,
}

impl Beginning {
    /// Returns the kind of beginning of `bytes`, which begin with no space.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() || (BYTE_ORDER_MARK.starts_with(bytes)) {
            return Self::Unclear;
        }
        let text = without_mark(bytes);
        if text.starts_with(b"{") {
            return Self::Json;
        }
        let mut beginnings = EVENT_BEGINNINGS.iter();
        if beginnings.any(|beginning| text.starts_with(beginning)) {
            return Self::Events;
        }
        let mut beginnings = EVENT_BEGINNINGS.iter();
        match beginnings.any(|beginning| beginning.starts_with(text)) {
            true => Self::Unclear,
            false => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn mislabelled_streams_types_have_no_case_and_parameters_do_not_matter() {
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
    fn a_beginning_tells_what_follows() {
        for (text, beginning) in [
            ("", Beginning::Unclear),
            ("dat", Beginning::Unclear),
            ("\u{feff}", Beginning::Unclear),
            ("\u{feff}d", Beginning::Unclear),
            ("\u{feff}data: x", Beginning::Events),
            ("data:", Beginning::Events),
            (": ping", Beginning::Events),
            ("event: x", Beginning::Events),
            ("\u{feff}{", Beginning::Json),
            ("{\"a\"", Beginning::Json),
            ("[", Beginning::Other),
            ("<html>", Beginning::Other),
            ("database", Beginning::Other),
        ] {
            assert_eq!(Beginning::of(text.as_bytes()), beginning, "{text}");
        }
    }
}
