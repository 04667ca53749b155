//! Failures that come with a status of success, where that can be seen at the beginning of an answer: while nothing has been
//! passed on, the next upstream can be asked.

use std::borrow::Cow;

use http::Response;
use http::header::CONTENT_TYPE;
use http_body::Body;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::line::AnswerBody;

/// The longest answer that is taken for an error, in bytes.
const MAX_ERROR_BYTES: usize = 16 * 1024;
/// The types of errors that are about the request, as parts of their names in small letters.
const OF_REQUEST: [&str; 4] = [
    "invalid_request",
    "bad_request",
    "badrequest",
    "content_policy",
];

/// The members of an error, or of an event that is one.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(default)]
    error: Option<Value>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    code: Option<Value>,
    #[serde(default)]
    choices: Option<IgnoredAny>,
    #[serde(default)]
    output: Option<IgnoredAny>,
    #[serde(default)]
    data: Option<IgnoredAny>,
    #[serde(default)]
    results: Option<IgnoredAny>,
}

/// Reads the beginning of an answer with a status of success; returns the reason if it is a failure of the upstream all the
/// same. One that breaks off is none of these.
pub(super) async fn fault(response: &mut Response<AnswerBody>) -> Option<&'static str> {
    const NOTHING: &str = "it answered with nothing";
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.map_or(&b""[..], |kind| kind.as_bytes());
    let is = |name: &[u8]| {
        let begin = kind.get(..name.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
    };
    if is(b"text/html") {
        return Some("it answered with a page for people");
    }
    let is_readable = kind.is_empty() || is(b"application/json") || is(b"text/");
    let body = response.body_mut();
    if body.is_end_stream() {
        return Some(NOTHING);
    }
    if !is_readable {
        return None;
    }
    let first = body.read_ahead(1).await;
    if first.is_empty() {
        return (!body.is_broken()).then_some(NOTHING);
    }
    let is_error = if !first.trim_ascii_start().starts_with(b"{") {
        let mut lines = first.split(|byte| matches!(byte, b'\r' | b'\n'));
        let data = lines.find_map(|line| line.strip_prefix(b"data:"));
        data.is_some_and(is_error)
    } else if memmem::find(first, b"error").is_some() {
        let all = body.read_ahead(MAX_ERROR_BYTES).await;
        all.len() < MAX_ERROR_BYTES && is_error(all)
    } else {
        false
    };
    is_error.then_some("it answered with an error, and a status of success")
}

/// True for an error that is not about the request.
fn is_error(json: &[u8]) -> bool {
    let Ok(told) = serde_json::from_slice::<Told<'_>>(json) else {
        return false;
    };
    let answers = [told.choices, told.output, told.data, told.results];
    if answers.iter().any(Option::is_some) {
        return false;
    }
    match (&told.error, told.kind.as_deref()) {
        (Some(error), _) if !error.is_null() => !blames_request(error),
        (_, Some("error")) => !told.code.as_ref().is_some_and(is_of_request),
        _ => false,
    }
}

/// True if an error is about the request: another upstream would say the same.
fn blames_request(error: &Value) -> bool {
    let members = ["type", "code", "status"];
    let mut told = members.iter().filter_map(|name| error.get(name));
    told.any(is_of_request)
}

/// True for the status of a client's error, and for the type of one.
fn is_of_request(told: &Value) -> bool {
    let number = told.as_u64();
    let text = told.as_str().unwrap_or_default().to_ascii_lowercase();
    let number = number.or_else(|| text.parse().ok());
    let is_status =
        number.is_some_and(|it| (400..500).contains(&it) && !matches!(it, 401 | 403 | 408 | 429));
    is_status || OF_REQUEST.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_band_errors_are_told_from_answers_and_from_what_is_wrong_with_a_request() {
        for text in [
            r#"{"error":{"message":"Upstream error","code":502}}"#,
            r#"{"error":{"message":"boom"}}"#,
            r#"{"error":"boom"}"#,
            r#" {"object":"error","error":{"type":"overloaded_error"}}"#,
            r#"{"type":"error","code":"server_error","message":"m"}"#,
            r#"{"error":{"code":"429"}}"#,
        ] {
            assert!(is_error(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "[DONE]",
            "{",
            r#"{"choices":[],"error":{"code":502}}"#,
            r#"{"id":"r","output":[],"error":{"code":"x"}}"#,
            r#"{"choices":[{"delta":{"content":"error"}}]}"#,
            r#"{"id":"r","error":null}"#,
            r#"{"error":{"type":"invalid_request_error"}}"#,
            r#"{"error":{"code":400}}"#,
            r#"{"error":{"status":"422"}}"#,
            r#"{"type":"error","code":"invalid_request_error"}"#,
            r#"{"type":"response.created","response":{"error":null}}"#,
        ] {
            assert!(!is_error(text.as_bytes()), "{text}");
        }
    }
}
