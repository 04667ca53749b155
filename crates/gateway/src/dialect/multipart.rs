//! Requests of several parts: the few fields that are looked at, where they stand.
//!
//! What we read must be what the model server reads, or a request could name one model to us and another to it. So what
//! servers do not agree on is refused: preambles, padding, lines that end otherwise, escapes in names, boundaries within
//! parts.

use base::{Error, Result};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem::{Finder, find};

use super::Fields;

/// The longest boundary that there can be, in bytes.
const MAX_BOUNDARY: usize = 70;

/// Reads a body of several parts.
///
/// # Errors
/// 400: it is not written as `multipart/form-data` must be, or has one of the fields twice.
pub(super) fn read<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
    names: &'static [&'static str],
) -> Result<Fields<'a>> {
    let boundary = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| boundary(kind.to_str().ok()?))
        .ok_or_else(|| {
            invalid("its Content-Type must be multipart/form-data and name a boundary")
        })?;
    let delimiter = format!("--{boundary}");
    let finder = Finder::new(delimiter.as_bytes());
    let mut fields = Fields::none(body, names, false);
    let mut rest = body
        .strip_prefix(delimiter.as_bytes())
        .ok_or_else(|| invalid("it must begin with its boundary"))?;
    while !rest.starts_with(b"--") {
        let part = rest
            .strip_prefix(b"\r\n")
            .ok_or_else(|| invalid("a line that is a boundary has something else on it"))?;
        let end = finder
            .find(part)
            .ok_or_else(|| invalid("it does not end with its boundary"))?;
        rest = &part[end + delimiter.len()..];
        let part = part[..end]
            .strip_suffix(b"\r\n")
            .ok_or_else(|| invalid("its boundary stands within a part"))?;
        let (name, content) = split(part)?;
        fields.set(name, content);
    }
    if !matches!(&rest[2..], b"" | b"\r\n") {
        return Err(invalid("it goes on after its end"));
    }
    fields.checked()
}

/// The boundary that a Content-Type names.
fn boundary(kind: &str) -> Option<&str> {
    let (kind, parameters) = kind.split_once(';')?;
    let is_form = kind.trim().eq_ignore_ascii_case("multipart/form-data");
    let mut boundary = None;
    for parameter in parameters.split(';') {
        let (name, value) = parameter.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
            return None;
        }
    }
    let boundary = boundary?;
    let boundary = match boundary.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => boundary,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let is_good = (1..=MAX_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(is_plain);
    (is_form && is_good).then_some(boundary)
}

/// The name of a part, and its content.
fn split(part: &[u8]) -> Result<(&str, &[u8])> {
    let end = find(part, b"\r\n\r\n").ok_or_else(|| invalid("a part has no headers"))?;
    let head = std::str::from_utf8(&part[..end])
        .map_err(|_| invalid("the headers of a part are not UTF-8"))?;
    let mut dispositions = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-disposition");
        is_it.then_some(value)
    });
    let name = match (dispositions.next(), dispositions.next()) {
        (Some(only), None) if !head.replace("\r\n", "").contains(['\r', '\n']) => name(only),
        _ => None,
    };
    let name = name.ok_or_else(|| {
        invalid("each part needs one Content-Disposition: form-data; name=\"…\", without escapes")
    })?;
    Ok((name, &part[end + 4..]))
}

/// The name in a `form-data; name="…"; filename="…"`.
fn name(disposition: &str) -> Option<&str> {
    let mut rest = disposition.trim().strip_prefix("form-data")?;
    let mut found = None;
    while !rest.is_empty() {
        let (key, value) = rest.trim_start().strip_prefix(';')?.split_once('=')?;
        let (key, is_quoted) = (key.trim(), value.starts_with('"'));
        let (value, after) = if is_quoted {
            value[1..].split_once('"')?
        } else {
            value.split_at(value.find(';').unwrap_or(value.len()))
        };
        rest = after;
        match key {
            "name" if found.is_none() && is_quoted && !value.contains('\\') => found = Some(value),
            "filename" | "filename*" if !value.ends_with('\\') => {}
            _ => return None,
        }
    }
    found
}

fn invalid(reason: &str) -> Error {
    let message = format!("The request body could not be read as multipart/form-data: {reason}.");
    Error::refused("invalid_multipart", message)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const KIND: &str = "multipart/form-data; boundary=xx";

    fn model(kind: &'static str, body: &str) -> Result<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        read(&headers, body.as_bytes(), &["model"])?.text("model")
    }

    fn part(head: &str, content: &str) -> String {
        format!("--xx\r\nContent-Disposition: {head}\r\n\r\n{content}\r\n")
    }

    #[test]
    fn a_field_is_found_among_files() {
        let file = part(
            "form-data; name=\"file\"; filename=\"a; name=b.mp3\"",
            "\r\n\r\nname=\"model\"",
        );
        let other = part("form-data; filename*=utf-8''a.mp3; name=\"x\"", "");
        let field = part("form-data; name=\"model\"", "m") + &other;
        for body in [
            format!("{file}{field}--xx--\r\n"),
            format!("{field}{file}--xx--"),
        ] {
            assert_eq!(model(KIND, &body).expect(&body).as_deref(), Some("m"));
        }
        for kind in [
            "Multipart/Form-Data; charset=utf-8; Boundary=\"xx\"",
            "multipart/form-data;boundary=xx",
        ] {
            let body = format!("{field}--xx--");
            assert_eq!(model(kind, &body).expect(kind).as_deref(), Some("m"));
        }
        assert_eq!(model(KIND, &format!("{file}--xx--")).expect("parts"), None);
        assert_eq!(model(KIND, "--xx--").expect("no parts"), None);
    }

    #[test]
    fn what_servers_read_in_two_ways_is_refused() {
        let good = part("form-data; name=\"model\"", "m");
        let end = "--xx--\r\n";
        for (body, words) in [
            (format!("{good}{good}{end}"), "more than once"),
            (format!("hello\r\n{good}{end}"), "begin with its boundary"),
            (good.clone(), "does not end"),
            (format!("{good}--xx \r\n{end}"), "something else on it"),
            (format!("{good}{end}{good}"), "after its end"),
            (
                part("form-data; name=\"a\"", "b\n--xx\nname=\"model\"\n\nn") + end,
                "within a part",
            ),
            (part("form-data; name=\"mo\\del\"", "m") + end, "escapes"),
            (part("form-data; name=model", "m") + end, "escapes"),
            (part("form-data; name*=\"model\"", "m") + end, "escapes"),
            (
                part("form-data; name=\"a\"; name=\"model\"", "m") + end,
                "escapes",
            ),
            (
                part("form-data; name=\"a\"\nx: y", "m") + end,
                "Content-Disposition",
            ),
            (
                part(
                    "form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
                    "m",
                ) + end,
                "one Content-Disposition",
            ),
            (
                format!("--xx\r\nx: y\r\n\r\nm\r\n{end}"),
                "one Content-Disposition",
            ),
            (format!("--xx\r\nm\r\n{end}"), "no headers"),
        ] {
            let error = model(KIND, &body).expect_err(&body);
            assert_eq!(error.status, 400);
            assert!(error.message.contains(words), "{body}: {}", error.message);
        }
        for kind in [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=xx; boundary=yy",
            "multipart/mixed; boundary=xx",
        ] {
            let error = model(kind, &format!("{good}{end}")).expect_err(kind);
            assert!(error.message.contains("Content-Type"), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_where_it_stands(
            before in proptest::collection::vec(("[a-z]{1,3}", "[ -~\r\n]{0,20}"), 0..4),
            name in "[ -~]{0,20}",
            after in proptest::collection::vec(("[a-z]{1,3}", "[ -~\r\n]{0,20}"), 0..4),
        ) {
            let boundary = "--xx";
            let all = before.iter().chain(&after);
            prop_assume!(all.clone().all(|(_, content)| !content.contains(boundary)));
            prop_assume!(!name.contains(boundary));
            let part = |(name, content): &(String, String)| part(&format!("form-data; name=\"{name}\""), content);
            let written = [("model".to_owned(), name.clone())];
            let body: String = before.iter().chain(&written).chain(&after).map(part).collect();
            let body = body + "--xx--\r\n";
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
            let fields = read(&headers, body.as_bytes(), &["model"]).expect("parts");
            let field = fields.get("model").expect("the field");
            prop_assert_eq!(field, name.as_bytes());
            prop_assert_eq!(&body[fields.place(field)], name);
        }
    }
}
