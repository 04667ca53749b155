//! A scanner of multipart forms (RFC 7578).
//!
//! The gateway must read what the model server reads, or a request could name one model to the gateway and another to the
//! server. So the scanner refuses what servers read in different ways: preambles, padding, line ends other than CRLF, escapes in
//! names, boundaries within parts, encodings of parts, and names that some servers take for another name.

use std::borrow::Cow;

use base::{Error, Result};
use http::HeaderMap;
use memchr::memmem::{Finder, find};

use super::content_type::{self, MediaType, is_token};
use super::fields::Fields;
use super::members;

/// The only field that may be a file where an endpoint reads it.
const FILE_FIELD: &str = "file";
/// The field that sets the charset of all others (RFC 7578).
const CHARSET_FIELD: &str = "_charset_";

/// The most parts of a form.
const MAX_PARTS: usize = 1_000;

/// The headers of a part.
pub(super) struct PartHeaders {
    pub(super) name: String,
    pub(super) has_filename: bool,
}

/// Reads the fields `names` of a form.
///
/// # Errors
/// 400: the form is malformed or ambiguous, or has one of the fields twice.
pub(crate) fn read_form<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
    names: &'static [&'static str],
) -> Result<Fields<'a>> {
    let delimiter = format!("--{}", content_type::boundary(headers)?);
    let finder = Finder::new(delimiter.as_bytes());
    let mut fields = Fields::unread(body, names, false);
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
        let (headers, content) = (PartHeaders::read(&part[..end])?, &part[end + 4..]);
        add(&mut fields, &headers, content)?;
    }
    if !matches!(&rest[2..], b"" | b"\r\n") {
        return Err(invalid("it goes on after its end"));
    }
    Ok(fields)
}

/// Adds a part to the fields and their view.
fn add<'a>(fields: &mut Fields<'a>, part: &PartHeaders, content: &'a [u8]) -> Result<()> {
    let name = &*part.name;
    fields.view.file_parts += i64::from(part.has_filename);
    // Servers in PHP and Ruby take `model[]`, with anything in the brackets, for `model`.
    let base = name.split_once('[').map_or(name, |(base, _)| base).trim();
    if members::folds_to(name, CHARSET_FIELD) {
        let message = "_charset_ is not taken: a form is UTF-8.";
        return Err(Error::invalid(name, message));
    }
    members::check_routing(base)?;
    let Some(index) = members::find(base, fields.names)? else {
        if !part.has_filename && !members::is_setting(name, content) {
            let range = fields.range(content);
            fields.view.text.push(range);
        }
        return Ok(());
    };
    let known = fields.names[index];
    if base.len() < name.len() {
        let message = format!("{name} must be written {known}.");
        return Err(Error::invalid(name, message));
    }
    if part.has_filename && known != FILE_FIELD {
        let message = format!("{known} must be a field, without a filename.");
        return Err(Error::invalid(known, message));
    }
    fields.set_at(index, content)?;
    if members::is_form_text(known) {
        let range = fields.range(content);
        fields.view.text.push(range);
    }
    Ok(())
}

impl PartHeaders {
    /// Reads the headers of a part. If they are not UTF-8 they are Latin-1.
    ///
    /// # Errors
    /// 400: the headers are malformed or ambiguous.
    pub(super) fn read(head: &[u8]) -> Result<Self> {
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
                "content-transfer-encoding" if !is_identity(value) => {
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
        let disposition = disposition.and_then(parse_disposition).ok_or_else(|| {
            invalid(
                "each part needs one Content-Disposition: form-data; name=\"…\", without escapes",
            )
        })?;
        let kind = kind.map(MediaType::parse);
        let is_nested = |kind: &MediaType| kind.essence.starts_with("multipart/");
        if kind.iter().flatten().any(is_nested) {
            return Err(invalid("a part has parts of its own"));
        }
        let is_utf8 = |kind: Option<MediaType>| kind.is_some_and(|kind| kind.is_utf8());
        let (name, has_filename) = disposition;
        if !has_filename && !kind.is_none_or(is_utf8) {
            return Err(invalid(
                "the Content-Type of a part has another charset than utf-8",
            ));
        }
        let name = name.to_owned();
        Ok(Self { name, has_filename })
    }
}

/// True for transfer encodings that leave the bytes as they are.
fn is_identity(encoding: &str) -> bool {
    let encoding = encoding.trim().to_ascii_lowercase();
    matches!(encoding.as_str(), "" | "7bit" | "8bit" | "binary")
}

/// Parses `form-data; name="…"; filename="…"` into the name, and true if there is a filename. Unknown parameters are skipped,
/// unless a server could take them for a name.
fn parse_disposition(disposition: &str) -> Option<(&str, bool)> {
    let end = disposition.find(';').unwrap_or(disposition.len());
    let (kind, mut rest) = disposition.split_at(end);
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut found, mut has_filename, mut has_extended) = (None, false, false);
    while let Some(next) = content_type::parameter(rest)? {
        rest = next.after;
        let is_whole = next.is_quoted || next.value.bytes().all(is_token);
        let is_first = match &*next.name.to_ascii_lowercase() {
            "name" if is_whole && is_plain_name(next.value) => found.replace(next.value).is_none(),
            "filename" => !std::mem::replace(&mut has_filename, true),
            "filename*" => !std::mem::replace(&mut has_extended, true),
            key => !key.starts_with("name") && !key.contains('*'),
        };
        if !is_first {
            return None;
        }
    }
    Some((found?, has_filename || has_extended))
}

/// True for a name that all servers read alike: without escapes, and without encoded words as in e-mail (RFC 2047).
fn is_plain_name(name: &str) -> bool {
    !name.contains(['\\', '"']) && !name.contains("=?") && !name.contains(char::is_control)
}

/// Returns the refusal of a form that is malformed or ambiguous.
pub(super) fn invalid(reason: &str) -> Error {
    let message = format!("The request body could not be read as multipart/form-data: {reason}.");
    Error::refused("invalid_multipart", message)
}

#[cfg(test)]
mod tests;
