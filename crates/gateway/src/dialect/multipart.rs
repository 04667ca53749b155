//! Requests of several parts: the few fields that are looked at, where they stand.
//!
//! What we read must be what the model server reads, or a request could name one model to us and another to it. So what
//! servers do not agree on is refused: preambles, padding, lines that end otherwise, escapes in names, boundaries within
//! parts, encodings of parts, names that some servers take for another's.

use std::borrow::Cow;

use base::{Error, Result};
use http::HeaderMap;
use memchr::memmem::{Finder, find};

use super::content_type::{self, MediaType, is_token};
use super::{Fields, meaning, names};

/// The field that holds a file wherever it is looked at.
const FILE: &str = "file";
/// The field that tells servers which charset the others have.
const CHARSET: &str = "_charset_";

/// The most parts of a body.
const MAX_PARTS: usize = 1_000;

/// The facts about a part that its headers tell.
struct Part<'a> {
    name: Cow<'a, str>,
    has_filename: bool,
}

/// Reads a body of several parts.
///
/// # Errors
/// 400: it is not written as `multipart/form-data` must be, or has one of the fields twice.
pub(super) fn read<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
    names: &'static [&'static str],
) -> Result<Fields<'a>> {
    let delimiter = format!("--{}", content_type::boundary(headers)?);
    let finder = Finder::new(delimiter.as_bytes());
    let mut fields = Fields::none(body, names, false);
    let begin = body.strip_prefix(b"\r\n").unwrap_or(body);
    let mut rest = begin
        .strip_prefix(delimiter.as_bytes())
        .ok_or_else(|| invalid("it must begin with its boundary"))?;
    let mut parts = 0;
    while !rest.starts_with(b"--") {
        parts += 1;
        if parts > MAX_PARTS {
            return Err(invalid(&format!("it has more than {MAX_PARTS} parts")));
        }
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
        let end = find(part, b"\r\n\r\n").ok_or_else(|| invalid("a part has no headers"))?;
        let (head, content) = (Part::read(&part[..end])?, &part[end + 4..]);
        take(&mut fields, &head, content)?;
    }
    if !matches!(&rest[2..], b"" | b"\r\n") {
        return Err(invalid("it goes on after its end"));
    }
    Ok(fields)
}

/// Takes note of a part.
fn take<'a>(fields: &mut Fields<'a>, part: &Part<'_>, content: &'a [u8]) -> Result<()> {
    let name = &*part.name;
    fields.view.file_parts += i64::from(part.has_filename);
    // Servers in PHP and Ruby take `model[]`, and what is in brackets, for a `model` of their own.
    let base = name.split_once('[').map_or(name, |(base, _)| base).trim();
    if names::folds_to(name, CHARSET) {
        return Err(Error::invalid(
            name,
            "_charset_ is not taken: a form is UTF-8.",
        ));
    }
    meaning::check_routing(base)?;
    let Some(index) = names::find(base, fields.names())? else {
        if !part.has_filename && !meaning::is_setting(name, content) {
            let place = fields.place(content);
            fields.view.texts.push(place);
        }
        return Ok(());
    };
    let known = fields.names()[index];
    if base.len() < name.len() {
        return Err(Error::invalid(
            name,
            format!("{name} must be written {known}."),
        ));
    }
    if part.has_filename && known != FILE {
        let message = format!("{known} must be a field, without a filename.");
        return Err(Error::invalid(known, message));
    }
    fields.set_at(index, content)?;
    if meaning::is_form_text(known) {
        let place = fields.place(content);
        fields.view.texts.push(place);
    }
    Ok(())
}

impl<'a> Part<'a> {
    /// Reads the headers of a part. What is not UTF-8 in them is Latin-1.
    fn read(head: &'a [u8]) -> Result<Self> {
        let head = match std::str::from_utf8(head) {
            Ok(head) => Cow::Borrowed(head),
            Err(_) => Cow::Owned(head.iter().copied().map(char::from).collect()),
        };
        if head.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err(invalid(
                "a line of a part's headers does not end as it must",
            ));
        }
        let mut disposition = None;
        let mut kind = None;
        for line in head.split("\r\n") {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(invalid("a line of a part's headers is none"));
            }
            let before = match &*name.to_ascii_lowercase() {
                "content-disposition" => disposition.replace(value),
                "content-type" => kind.replace(value),
                "content-transfer-encoding" if !is_plain(value) => {
                    return Err(invalid("a part has a Content-Transfer-Encoding"));
                }
                _ => None,
            };
            if before.is_some() {
                return Err(invalid(
                    "a part has one of its headers twice, and needs one Content-Disposition",
                ));
            }
        }
        let part = disposition.and_then(named).ok_or_else(|| {
            invalid(
                "each part needs one Content-Disposition: form-data; name=\"…\", without escapes",
            )
        })?;
        let kind = kind.map(MediaType::parse);
        let is_nested = |kind: &MediaType| kind.kind.starts_with("multipart/");
        if kind.iter().flatten().any(is_nested) {
            return Err(invalid("a part has parts of its own"));
        }
        let is_utf8 = |kind: Option<MediaType>| kind.is_some_and(|kind| kind.is_utf8());
        if !part.1 && !kind.is_none_or(is_utf8) {
            return Err(invalid(
                "the Content-Type of a part has another charset than utf-8",
            ));
        }
        let (name, has_filename) = part;
        let name = Cow::Owned(name.to_owned());
        Ok(Self { name, has_filename })
    }
}

/// True for encodings that encode nothing.
fn is_plain(encoding: &str) -> bool {
    let encoding = encoding.trim().to_ascii_lowercase();
    matches!(encoding.as_str(), "" | "7bit" | "8bit" | "binary")
}

/// The name in a `form-data; name="…"; filename="…"`, and whether there is a filename. A parameter that means nothing is
/// passed over, unless a server could take it for a name.
fn named(disposition: &str) -> Option<(&str, bool)> {
    let end = disposition.find(';').unwrap_or(disposition.len());
    let (kind, mut rest) = disposition.split_at(end);
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut found, mut filename, mut extended) = (None, false, false);
    while let Some(next) = content_type::parameter(rest)? {
        rest = next.after;
        let is_whole = next.is_quoted || next.value.bytes().all(is_token);
        let is_first = match &*next.name.to_ascii_lowercase() {
            "name" if is_whole && is_name(next.value) => found.replace(next.value).is_none(),
            "filename" => !std::mem::replace(&mut filename, true),
            "filename*" => !std::mem::replace(&mut extended, true),
            key => !key.starts_with("name") && !key.contains('*'),
        };
        if !is_first {
            return None;
        }
    }
    Some((found?, filename || extended))
}

/// True for a name that all servers read alike: without escapes, and without words that are encoded as in a mail.
fn is_name(name: &str) -> bool {
    !name.contains(['\\', '"']) && !name.contains("=?") && !name.contains(char::is_control)
}

fn invalid(reason: &str) -> Error {
    let message = format!("The request body could not be read as multipart/form-data: {reason}.");
    Error::refused("invalid_multipart", message)
}

#[cfg(test)]
mod tests;
