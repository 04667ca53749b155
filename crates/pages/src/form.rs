//! Forms: bodies of type `application/x-www-form-urlencoded`, and query strings.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode;

/// The largest body of a form without long texts, in bytes.
pub const DEFAULT_FORM_BYTES: usize = 64 * 1024;
/// The largest body of any form, in bytes.
pub const MAX_FORM_BYTES: usize = 1024 * 1024;
/// The most pairs that a form may have.
const MAX_PAIRS_COUNT: usize = 10_000;
/// The time within which the whole body of a form must arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// Pairs of a form or of a query string, in their order. A name may occur more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormData(Vec<(String, String)>);

/// A form that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// The body is not of type `application/x-www-form-urlencoded`.
    MediaType,
    /// The body, or the number of its pairs, exceeds the bound.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The body broke off before its end, or is not UTF-8.
    Broken,
}

impl FormError {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the description for people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::MediaType => "The request was not sent by a form of this page.",
            Self::TooLarge => "The form is too large. Shorten its texts and send it again.",
            Self::TooSlow => "The form did not arrive in time. Send it again.",
            Self::Broken => "The form arrived incomplete. Send it again.",
        }
    }
}

impl FormData {
    /// Parses the text of a form or a query string. Invalid percent-encoding stays as it is.
    ///
    /// # Errors
    /// [`FormError::Broken`] if a name or a value is not UTF-8, [`FormError::TooLarge`] if there are too many pairs.
    pub fn parse(text: &[u8]) -> Result<Self, FormError> {
        let mut pairs = Vec::new();
        for pair in text
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            if pairs.len() == MAX_PAIRS_COUNT {
                return Err(FormError::TooLarge);
            }
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match at {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// Parses the query string of a request; a query string that is not UTF-8 has no pairs.
    #[must_use]
    pub fn of_query(query: Option<&str>) -> Self {
        Self::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default()
    }

    /// Returns the first value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the first value of `name` without surrounding white space; `None` if it is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Returns all values of `name`, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns true if the form has the name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns all pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the pairs without those of `name`, and with `value` at the end unless it is `None`.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<&str>) -> Self {
        let kept = self.0.iter().filter(|(own, _)| own != name).cloned();
        let added = value.map(|value| (name.to_owned(), value.to_owned()));
        Self(kept.chain(added).collect())
    }
}

impl FromIterator<(String, String)> for FormData {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

fn decode(text: &[u8]) -> Result<String, FormError> {
    let spaced: Cow<'_, [u8]> = if text.contains(&b'+') {
        let space = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
        text.iter().map(space).collect()
    } else {
        text.into()
    };
    let decoded: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(decoded).map_err(|_| FormError::Broken)
}

/// Reads the form in the body of a request, of at most `limit` bytes.
///
/// # Errors
/// The body is not a form, is too large, arrives too slowly or breaks off.
pub async fn read_form(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<FormData, FormError> {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !media_type
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return Err(FormError::MediaType);
    }
    let collected = tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, limit).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(FormError::TooLarge),
        Ok(Err(_)) => return Err(FormError::Broken),
        Err(_) => return Err(FormError::TooSlow),
    };
    FormData::parse(&bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn typed(media_type: &'static str) -> HeaderMap {
        let value = HeaderValue::from_static(media_type);
        HeaderMap::from_iter([(header::CONTENT_TYPE, value)])
    }

    #[test]
    fn names_may_repeat_and_are_decoded() {
        let form = FormData::parse(b"a=1&b=x+y%26z&a=%C3%BC&c&=&a=%zz").expect("a form");
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "ü", "%zz"]);
        assert_eq!(form.get("b"), Some("x y&z"));
        assert_eq!(form.get("c"), Some(""));
        assert_eq!(form.text("c"), None);
        assert_eq!(form.get("d"), None);
        let changed = form.with("a", Some("2"));
        assert_eq!(changed.all("a").collect::<Vec<_>>(), ["2"]);
        assert!(!form.with("b", None).has("b"));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert_eq!(FormData::parse(b"a=%FF"), Err(FormError::Broken));
        assert_eq!(FormData::of_query(Some("a=%FF")), FormData::default());
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let many = "a&".repeat(MAX_PAIRS_COUNT);
        assert!(FormData::parse(many.as_bytes()).is_ok());
        let more = "a&".repeat(MAX_PAIRS_COUNT + 1);
        assert_eq!(FormData::parse(more.as_bytes()), Err(FormError::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_or_of_another_type_is_refused() {
        let form = typed("application/x-www-form-urlencoded; charset=utf-8");
        let read = read_form(&form, Body::from("a=b"), 3).await;
        assert_eq!(read.as_ref().map(|form| form.get("a")), Ok(Some("b")));
        let read = read_form(&form, Body::from("a=bc"), 3).await;
        assert_eq!(read, Err(FormError::TooLarge));
        let read = read_form(&typed("application/json"), Body::from("{}"), 3).await;
        assert_eq!(read, Err(FormError::MediaType));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_refused() {
        let endless = Body::from_stream(futures_util::stream::pending::<
            Result<bytes::Bytes, std::io::Error>,
        >());
        let form = typed("application/x-www-form-urlencoded");
        let read = read_form(&form, endless, 3).await;
        assert_eq!(read, Err(FormError::TooSlow));
    }
}
