//! The conventions of Anthropic's API, which its endpoints have instead of OpenAI's: the header with the key, the envelope of
//! errors, and the header with the request's id.

use base::ids::{Id, RequestId};
use base::secret::bearer;
use base::{Error, Result};
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use proxy::ApiFormat;
use serde_json::json;

use crate::response_body::Body;

/// Path of the endpoints.
const PATH: &str = "/v1/messages";
/// Path of the list of models, which both APIs have.
const MODELS_PATH: &str = "/v1/models";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Returns the API of a request: Anthropic's at its own paths, and at those of models if the client names its version.
pub(crate) fn of_request(head: &Parts) -> ApiFormat {
    let path = head.uri.path();
    let is_below = |parent: &str| {
        let rest = path.strip_prefix(parent);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_anthropic =
        is_below(PATH) || is_below(MODELS_PATH) && head.headers.contains_key(API_VERSION);
    match is_anthropic {
        true => ApiFormat::Anthropic,
        false => ApiFormat::OpenAi,
    }
}

/// Moves the key of a request from `x-api-key`, where clients of Anthropic's API have it, into `authorization`.
///
/// # Errors
/// 401: both headers came with different keys. 400: `x-api-key` came twice.
pub(crate) fn move_key(headers: &mut HeaderMap) -> Result<()> {
    if headers.get_all(API_KEY).iter().nth(1).is_some() {
        let message = "There is more than one x-api-key header; send one.";
        return Err(Error::refused("invalid_header", message));
    }
    let Some(key) = headers.remove(API_KEY) else {
        return Ok(());
    };
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        let token = bearer(Some(authorization)).map(str::as_bytes);
        if token == Some(key.as_bytes()) {
            return Ok(());
        }
        return Err(Error::unauthenticated(
            "The Authorization and x-api-key headers hold different keys. Send one of them.",
        ));
    }
    let value = HeaderValue::from_bytes(&[b"Bearer ", key.as_bytes()].concat());
    let mut value = value.map_err(|_| {
        Error::unauthenticated("The x-api-key header holds no API key, such as 'sk-proj-…'.")
    })?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Returns the response of a refusal, with Anthropic's envelope.
pub(crate) fn error_response(error: &Error, id: &RequestId) -> Response<Body> {
    let envelope = json!({
        "type": "error",
        "error": { "type": error_type(error.status), "message": error.message },
        "request_id": id.as_str(),
    });
    error
        .response::<Vec<u8>>()
        .map(|_| Body::from(envelope.to_string().into_bytes()))
}

/// Returns the `type` of an error in Anthropic's envelope.
fn error_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// Adds the header by which clients of Anthropic's API find the id of a request.
pub(crate) fn sign(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn api_of_a_request_is_anthropics_at_its_paths_and_at_models_with_its_version() {
        for (path, version, expected) in [
            ("/v1/messages", false, ApiFormat::Anthropic),
            ("/v1/messages/count_tokens", false, ApiFormat::Anthropic),
            ("/v1/messages/batches", false, ApiFormat::Anthropic),
            ("/v1/messagesx", true, ApiFormat::OpenAi),
            ("/v1/models", true, ApiFormat::Anthropic),
            ("/v1/models/m", true, ApiFormat::Anthropic),
            ("/v1/models", false, ApiFormat::OpenAi),
            ("/v1/chat/completions", true, ApiFormat::OpenAi),
        ] {
            let mut request = Request::get(path);
            if version {
                request = request.header("anthropic-version", "2023-06-01");
            }
            let (head, ()) = request.body(()).expect("a request").into_parts();
            assert_eq!(of_request(&head), expected, "{path} {version}");
        }
    }

    #[test]
    fn key_comes_in_one_header_or_the_same_in_both() {
        let moved = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            move_key(&mut headers).map_err(|error| error.status.as_u16())?;
            assert!(!headers.contains_key("x-api-key"));
            let authorization = headers.get(AUTHORIZATION);
            Ok(authorization.map(|value| value.to_str().expect("text").to_owned()))
        };
        let bearer = Ok(Some("Bearer sk-1".to_owned()));
        assert_eq!(moved(&[]), Ok(None));
        assert_eq!(moved(&[("x-api-key", "sk-1")]), bearer);
        assert_eq!(moved(&[("authorization", "Bearer sk-1")]), bearer);
        let both = |key| [("authorization", "Bearer sk-1"), ("x-api-key", key)];
        assert_eq!(moved(&both("sk-1")), bearer);
        assert_eq!(moved(&both("sk-2")), Err(401));
        assert_eq!(
            moved(&[("authorization", "Basic x"), ("x-api-key", "x")]),
            Err(401)
        );
        assert_eq!(moved(&[("x-api-key", "a"), ("x-api-key", "a")]), Err(400));
    }

    #[test]
    fn each_status_has_the_type_that_clients_know() {
        for (status, expected) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (405, "invalid_request_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(error_type(status), expected);
        }
    }
}
