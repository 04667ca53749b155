//! The Content-Type of a request, and the one that upstreams get instead.
//!
//! A server that honours a `charset` would read other characters than the gateway has checked. So only UTF-8 is accepted, and
//! upstreams get a type that is written here, with no parameter but a boundary.

use base::{Error, Result};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// The longest boundary (RFC 2046).
const MAX_BOUNDARY_BYTES: usize = 70;

/// The Content-Type that upstreams get with JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A media type with its parameters.
pub(super) struct MediaType {
    /// The type and subtype, in lower case.
    pub(super) essence: String,
    /// The parameters, with names in lower case.
    pub(super) parameters: Vec<(String, String)>,
}

/// Checks that a request with these headers may have a JSON body. No type passes, and so does the type of a URL-encoded form,
/// which `curl -d` sends unless it is told another.
///
/// # Errors
/// 400: another type, or another charset than UTF-8.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<()> {
    let Some(kind) = single(headers)? else {
        return Ok(());
    };
    let kind = kind.to_str().ok().and_then(MediaType::parse);
    let kind = kind.ok_or_else(|| invalid("The Content-Type header cannot be read."))?;
    let is_json = matches!(
        kind.essence.as_str(),
        "application/json" | "text/json" | "application/x-www-form-urlencoded"
    );
    let is_some_json = kind.essence.starts_with("application/") && kind.essence.ends_with("+json");
    if !is_json && !is_some_json {
        return Err(invalid(
            "The Content-Type of this request must be application/json.",
        ));
    }
    if !kind.is_utf8() {
        return Err(invalid("The charset of the Content-Type must be utf-8."));
    }
    Ok(())
}

/// True if the Content-Type is a multipart one. A malformed one is refused when the form is read.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    let first = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = first.unwrap_or_default().trim_ascii_start();
    kind.get(..MULTIPART.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(MULTIPART))
}

/// Returns the boundary of a multipart form.
///
/// # Errors
/// 400: the Content-Type has no boundary, or parameters that servers read in different ways.
pub(super) fn boundary(headers: &HeaderMap) -> Result<String> {
    let wrong = || {
        let message = "The request body could not be read as multipart/form-data: its Content-Type must be \
                       multipart/form-data and name a boundary, and no charset but utf-8.";
        Error::refused("invalid_multipart", message)
    };
    let kind = single(headers)?.ok_or_else(wrong)?;
    let kind = kind.to_str().ok().and_then(MediaType::parse);
    let kind = kind.filter(|kind| kind.essence == "multipart/form-data" && kind.is_utf8());
    let kind = kind.ok_or_else(wrong)?;
    let boundary = kind.parameter("boundary").ok_or_else(wrong)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_good = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len())
        && boundary.bytes().all(is_plain)
        && !boundary.starts_with(' ')
        && !boundary.ends_with(' ');
    is_good.then(|| boundary.to_owned()).ok_or_else(wrong)
}

/// Returns the Content-Type that an upstream gets with the multipart form of a request with these headers.
///
/// # Errors
/// Those of [`boundary`].
pub(crate) fn form_type(headers: &HeaderMap) -> Result<HeaderValue> {
    multipart_type(&boundary(headers)?)
}

fn multipart_type(boundary: &str) -> Result<HeaderValue> {
    let is_token = boundary.bytes().all(is_token);
    let kind = if is_token {
        format!("multipart/form-data; boundary={boundary}")
    } else {
        format!("multipart/form-data; boundary=\"{boundary}\"")
    };
    HeaderValue::from_str(&kind).map_err(|_| Error::internal())
}

/// Returns the Content-Type of a request, if it has one.
///
/// # Errors
/// 400: there is more than one.
fn single(headers: &HeaderMap) -> Result<Option<&HeaderValue>> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(invalid(
            "There is more than one Content-Type header; send one.",
        ));
    }
    Ok(first)
}

impl MediaType {
    /// Parses a media type; `None` if it is malformed, or has a parameter twice or in several pieces, which servers read in different
    /// ways.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (essence, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let essence = essence.trim().to_ascii_lowercase();
        let mut parameters: Vec<(String, String)> = Vec::new();
        while let Some(next) = parameter(rest)? {
            let name = next.name.to_ascii_lowercase();
            if name.contains('*') || parameters.iter().any(|(other, _)| *other == name) {
                return None;
            }
            parameters.push((name, next.value.to_owned()));
            rest = next.after;
        }
        let is_type = |part: &str| !part.is_empty() && part.bytes().all(is_token);
        let (main, sub) = essence.split_once('/')?;
        (is_type(main) && is_type(sub)).then_some(Self {
            essence,
            parameters,
        })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        let (_, value) = all.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// True if the charset is UTF-8 or absent.
    pub(super) fn is_utf8(&self) -> bool {
        self.parameter("charset")
            .is_none_or(|charset| ["utf-8", "utf8"].contains(&&*charset.to_ascii_lowercase()))
    }
}

/// A parameter of a header.
pub(super) struct Parameter<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) is_quoted: bool,
    /// The header after the parameter.
    pub(super) after: &'a str,
}

/// Parses the next parameter of a header, after its semicolon. `Some(None)` at the end of the header. `None` if the parameter is
/// malformed, which includes escapes and white space around the equals sign.
pub(super) fn parameter(text: &str) -> Option<Option<Parameter<'_>>> {
    let text = text.trim_start();
    let Some(rest) = text.strip_prefix(';') else {
        return text.is_empty().then_some(None);
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Some(None);
    }
    let (name, value) = rest.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let quoted = value.strip_prefix('"');
    let (value, after) = match quoted {
        Some(quoted) => quoted.split_once('"')?,
        None => value.split_at(value.find(';').unwrap_or(value.len())),
    };
    let is_quoted = quoted.is_some();
    let value = if is_quoted { value } else { value.trim_end() };
    let is_good = if is_quoted {
        let after = after.trim_start();
        !value.ends_with('\\') && (after.is_empty() || after.starts_with(';'))
    } else {
        !value.is_empty() && !value.starts_with([' ', '\t']) && !value.contains(['"', '\\'])
    };
    is_good.then_some(Some(Parameter {
        name,
        value,
        is_quoted,
        after,
    }))
}

/// True for the bytes of a token (RFC 9110).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn invalid(message: &'static str) -> Error {
    Error::refused("invalid_header", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(kinds: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for kind in kinds {
            headers.append(CONTENT_TYPE, kind.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn s15_only_utf_8_json_is_accepted() {
        for good in [
            &[][..],
            &["application/json"],
            &["Application/JSON; Charset=\"UTF-8\" ;"],
            &["application/json;charset=utf8;x=y"],
            &["application/merge-patch+json"],
            &["application/x-www-form-urlencoded"],
        ] {
            assert!(check_json(&headers(good)).is_ok(), "{good:?}");
        }
        for bad in [
            &["application/json; charset=utf-7"][..],
            &["application/json; charset=utf-16le"],
            &["application/json; charset=utf-8; charset=utf-7"],
            &["application/json; charset*=utf-7''utf-8"],
            &["application/x-www-form-urlencoded; charset=latin1"],
            &["application/json", "application/json"],
            &["multipart/form-data; boundary=x"],
            &["text/plain"],
            &["json"],
            &["application/json; charset"],
            &[""],
        ] {
            let error = check_json(&headers(bad)).expect_err("refused");
            assert_eq!(
                (error.status.as_u16(), error.code),
                (400, Some("invalid_header")),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn multipart_unquoted_boundaries_are_read_in_every_spelling() {
        for (kind, expected, sent) in [
            ("multipart/form-data; boundary=xx", "xx", "boundary=xx"),
            (
                "Multipart/Form-Data;Boundary=\"x x\";",
                "x x",
                "boundary=\"x x\"",
            ),
            (
                "multipart/form-data; charset=utf-8; boundary=a:b ; ",
                "a:b",
                "boundary=\"a:b\"",
            ),
        ] {
            let boundary = boundary(&headers(&[kind])).expect(kind);
            assert_eq!(boundary, expected);
            let sent_type = multipart_type(&boundary).expect("a value");
            assert_eq!(sent_type, format!("multipart/form-data; {sent}"));
        }
        for kind in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"x \"",
            "multipart/form-data; boundary=xx; boundary=yy",
            "multipart/form-data; boundary=xx; charset=utf-7",
            "multipart/form-data; boundary*=utf-8''xx",
            "multipart/form-data; boundary*0=xx",
            "multipart/form-data; boundary=\"x\\\"x\"",
            "multipart/mixed; boundary=xx",
            "application/json; boundary=xx",
        ] {
            assert!(boundary(&headers(&[kind])).is_err(), "{kind}");
        }
    }
}
