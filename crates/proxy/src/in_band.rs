//! In-band errors: responses with a status of success whose body is an error. Those that can be recognized at the beginning
//! of a body are, so that another upstream can be tried before a byte is passed on.

use std::borrow::Cow;

use http::Response;
use http::header::CONTENT_TYPE;
use http_body::Body;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::body::ResponseBody;
use crate::error_cause::ErrorCause;

/// Maximum length of a JSON document that is taken for an error.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// Error inside a response with a status of success.
pub(crate) struct InBandError {
    pub(crate) cause: ErrorCause,
    /// Description for the operator.
    pub(crate) reason: &'static str,
}

/// Members of a JSON document, or of an event, that tell an error from an answer.
#[derive(Deserialize)]
struct ErrorDocument<'a> {
    error: Option<Value>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    code: Option<Value>,
    choices: Option<IgnoredAny>,
    output: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
    results: Option<IgnoredAny>,
    answers: Option<IgnoredAny>,
}

/// Reads the beginning of a response with a status of success, and returns the error that it holds. A body that breaks off
/// holds none. Cancel-safe.
pub(crate) async fn detect(response: &mut Response<ResponseBody>) -> Option<InBandError> {
    let upstream_error = |reason| {
        let cause = ErrorCause::Upstream;
        Some(InBandError { cause, reason })
    };
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], |value| value.as_bytes());
    let is = |prefix: &[u8]| {
        let begin = content_type.get(..prefix.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    };
    if is(b"text/html") {
        return upstream_error("HTML page instead of an answer");
    }
    let is_text = content_type.is_empty() || is(b"application/json") || is(b"text/");
    let body = response.body_mut();
    if body.is_end_stream() {
        return upstream_error("empty answer");
    }
    if !is_text {
        return None;
    }
    let first = body.peek(1).await;
    if first.is_empty() {
        return match body.is_broken() {
            true => None,
            false => upstream_error("empty answer"),
        };
    }
    let cause = if !first.trim_ascii_start().starts_with(b"{") {
        let mut lines = first.split(|byte| matches!(byte, b'\r' | b'\n'));
        let data = lines.find_map(|line| line.strip_prefix(b"data:"));
        data.and_then(cause_of_document)
    } else if memmem::find(first, b"error").is_some() {
        let document = body.peek(MAX_ERROR_BYTES).await;
        let is_whole = document.len() < MAX_ERROR_BYTES;
        is_whole.then(|| cause_of_document(document)).flatten()
    } else {
        None
    };
    let reason = "error in an answer with a status of success";
    cause.map(|cause| InBandError { cause, reason })
}

/// Returns the cause of the error that a JSON document is; `None` if it is no error.
fn cause_of_document(json: &[u8]) -> Option<ErrorCause> {
    let document: ErrorDocument<'_> = serde_json::from_slice(json).ok()?;
    let answers = [
        document.choices,
        document.output,
        document.data,
        document.results,
        document.answers,
    ];
    if answers.iter().any(Option::is_some) {
        return None;
    }
    let named = match (&document.error, document.kind.as_deref()) {
        (Some(error), _) if !error.is_null() => {
            let members = ["type", "code", "status"].map(|name| error.get(name));
            let causes = members.into_iter().flatten().filter_map(cause_of_member);
            causes.max()
        }
        (_, Some("error")) => document.code.as_ref().and_then(cause_of_member),
        _ => return None,
    };
    Some(named.unwrap_or(ErrorCause::Upstream))
}

/// Returns the cause that the type, code or status of an error names.
fn cause_of_member(value: &Value) -> Option<ErrorCause> {
    match value {
        Value::String(code) => ErrorCause::of_code(code),
        Value::Number(status) => ErrorCause::of_status(u16::try_from(status.as_u64()?).ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_band_errors_are_told_from_answers_and_have_a_cause() {
        for (text, cause) in [
            (
                r#"{"error":{"message":"Upstream error","code":502}}"#,
                ErrorCause::Upstream,
            ),
            (r#"{"error":{"message":"boom"}}"#, ErrorCause::Upstream),
            (r#"{"error":"boom"}"#, ErrorCause::Upstream),
            (
                r#" {"object":"error","error":{"type":"overloaded_error"}}"#,
                ErrorCause::Upstream,
            ),
            (
                r#"{"type":"error","code":"server_error","message":"m"}"#,
                ErrorCause::Upstream,
            ),
            (
                r#"{"error":{"type":"invalid_request_error","code":"invalid_api_key"}}"#,
                ErrorCause::Upstream,
            ),
            (r#"{"error":{"code":"429"}}"#, ErrorCause::RateLimit),
            (
                r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#,
                ErrorCause::RateLimit,
            ),
            (
                r#"{"error":{"type":"invalid_request_error"}}"#,
                ErrorCause::Request,
            ),
            (r#"{"error":{"code":400}}"#, ErrorCause::Request),
            (r#"{"error":{"code":408}}"#, ErrorCause::Request),
            (r#"{"error":{"status":"422"}}"#, ErrorCause::Request),
            (
                r#"{"type":"error","code":"invalid_request_error"}"#,
                ErrorCause::Request,
            ),
        ] {
            assert_eq!(cause_of_document(text.as_bytes()), Some(cause), "{text}");
        }
        for text in [
            "",
            "[DONE]",
            "{",
            r#"{"choices":[],"error":{"code":502}}"#,
            r#"{"id":"r","output":[],"error":{"code":"x"}}"#,
            r#"{"choices":[{"delta":{"content":"error"}}]}"#,
            r#"{"answers":[],"error":{"code":"x"}}"#,
            r#"{"id":"r","error":null}"#,
            r#"{"type":"response.created","response":{"error":null}}"#,
        ] {
            assert_eq!(cause_of_document(text.as_bytes()), None, "{text}");
        }
    }
}
