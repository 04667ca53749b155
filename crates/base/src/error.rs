//! Errors that are sent to clients, and their JSON envelope `{"error": {…}}`.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use serde_json::{Value, json};

/// Accepted content codings of request bodies, in the form of `Accept-Encoding`.
const ACCEPTED_CODINGS: &str = "gzip, deflate, zstd, identity";

/// The result of an operation that can fail with an error for the client.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that is sent to the client.
#[derive(Clone, Debug)]
pub struct Error {
    /// HTTP status.
    pub status: StatusCode,
    /// Message for people: the fault, and its remedy.
    pub message: Cow<'static, str>,
    /// Path of the faulty parameter or body field: `name`, `group_by[0]`, `projects[1].role`.
    pub param: Option<String>,
    /// Stable identifier for programs, such as `invalid_api_key`.
    pub code: Option<&'static str>,
    /// `type` in the envelope; derived from the status if absent.
    pub kind: Option<&'static str>,
    /// `retry-after` in seconds, at least 1.
    pub retry_after: Option<u64>,
}

impl Error {
    fn new(
        status: StatusCode,
        code: Option<&'static str>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code,
            kind: None,
            retry_after: None,
        }
    }

    /// Returns 400: the value of `param` is not accepted.
    #[must_use]
    pub fn invalid(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::refused("invalid_value", message).about(param)
    }

    /// Returns 400: the request is well formed, but the current state does not allow it.
    #[must_use]
    pub fn refused(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some(code), message)
    }

    /// Returns 401: the credentials are missing or invalid.
    #[must_use]
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Some("invalid_api_key"), message)
    }

    /// Returns 401: the session is unknown, has ended, or its user was deleted.
    #[must_use]
    pub fn session_ended() -> Self {
        let message = "The session has ended. Sign in again.";
        Self::new(StatusCode::UNAUTHORIZED, Some("session_ended"), message)
    }

    /// Returns 401: the key is valid, but a client certificate is required and was not presented.
    #[must_use]
    pub fn no_client_certificate(message: impl Into<Cow<'static, str>>) -> Self {
        let code = Some("client_certificate_required");
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// Returns 403: the credentials are valid, but lack permission.
    #[must_use]
    pub fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Some(code), message)
    }

    /// Returns 403: the key is valid, but its scopes or the roles of its owner do not include `scope`.
    #[must_use]
    pub fn missing_scope(scope: &str) -> Self {
        let message = format!(
            "You have insufficient permissions for this operation. Missing scopes: {scope}. Check that the scopes of the key, \
             if it has any, and the roles of its owner include it."
        );
        Self::forbidden("insufficient_permissions", message)
    }

    /// Returns 404: the path is known from the hosted service, and not served here.
    #[must_use]
    pub fn not_offered(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Some("not_offered"), message)
    }

    /// Returns 404: no `noun` with this id exists in the caller's organization.
    #[must_use]
    pub fn not_found(noun: &str, id: &str) -> Self {
        let shown = crate::shown(id);
        Self::new(
            StatusCode::NOT_FOUND,
            Some("not_found"),
            format!("No {noun} with id '{shown}' was found."),
        )
    }

    /// Returns 404: a setting is not set. `what` is the subject of the message.
    #[must_use]
    pub fn not_set(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Some("not_found"),
            format!("{what} is not set here."),
        )
    }

    /// Returns 404: nothing is served at this path.
    #[must_use]
    pub fn unknown_path(path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            Some("unknown_url"),
            format!("Unknown request URL: {shown}."),
        )
    }

    /// Returns 404: the deployment does not serve this model.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        let shown = crate::shown(model);
        let message =
            format!("The model '{shown}' does not exist. GET /v1/models lists the ones that do.");
        Self::new(StatusCode::NOT_FOUND, Some("model_not_found"), message).about("model")
    }

    /// Returns 405: the path does not support this method.
    #[must_use]
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        let message =
            format!("{method} is not allowed on {shown}; the Allow header lists what is.");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Some("method_not_allowed"),
            message,
        )
    }

    /// Returns 408: the request was not sent in time.
    #[must_use]
    pub fn too_slow() -> Self {
        let message = "The request body did not arrive in time. Send it again, faster.";
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            Some("request_timeout"),
            message,
        )
    }

    /// Returns 413: the body is longer than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let message = format!("The request body is too large: at most {limit} bytes are accepted.");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Some("request_too_large"),
            message,
        )
    }

    /// Returns 415: the body has an unsupported content coding.
    #[must_use]
    pub fn unsupported_coding(name: &str) -> Self {
        let shown = crate::shown(name);
        let message = format!(
            "The Content-Encoding of a request must be one of {ACCEPTED_CODINGS}; this one is {shown}."
        );
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Some("unsupported_content_encoding"),
            message,
        )
    }

    /// Returns 429: a spend limit is reached. Without `retry-after`, because waiting does not help.
    #[must_use]
    pub fn insufficient_quota(message: impl Into<Cow<'static, str>>) -> Self {
        const WORD: Option<&str> = Some("insufficient_quota");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, WORD, message);
        Self {
            kind: WORD,
            ..error
        }
    }

    /// Returns 429: a rate limit is reached. `kind` is `requests` or `tokens`; without `seconds`, waiting does not help.
    #[must_use]
    pub fn rate_limited(
        kind: &'static str,
        message: impl Into<Cow<'static, str>>,
        seconds: Option<u64>,
    ) -> Self {
        let error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            Some("rate_limit_exceeded"),
            message,
        );
        Self {
            kind: Some(kind),
            retry_after: seconds.map(|seconds| seconds.max(1)),
            ..error
        }
    }

    /// Returns 500: an internal error. The message reveals no details; they belong in the log.
    #[must_use]
    pub fn internal() -> Self {
        let message = "The server had an error while processing the request. Quote the x-request-id when you report it.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, None, message)
    }

    /// Returns 502: the upstream could not be reached, or disconnected before its first byte.
    #[must_use]
    pub fn upstream(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, Some("upstream_error"), message)
    }

    /// Returns 503: no upstream is available; `seconds` is the time until the next health check.
    #[must_use]
    pub fn upstream_unavailable(message: impl Into<Cow<'static, str>>, seconds: u64) -> Self {
        Self::unavailable("upstream_unavailable", message, seconds)
    }

    /// Returns 504: the upstream did not answer in time.
    #[must_use]
    pub fn upstream_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            Some("upstream_timeout"),
            message,
        )
    }

    /// Returns 503: the server is overloaded; `seconds` is the value of `retry-after`.
    #[must_use]
    pub fn overloaded(message: impl Into<Cow<'static, str>>, seconds: u64) -> Self {
        Self::unavailable("overloaded", message, seconds)
    }

    /// Returns 503: the store of the rate limits that nodes share cannot be reached.
    #[must_use]
    pub fn limits_unavailable() -> Self {
        let message = "Rate limits cannot be checked at this moment. Try again later.";
        Self::unavailable("limits_unavailable", message, 1)
    }

    fn unavailable(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        seconds: u64,
    ) -> Self {
        Self {
            retry_after: Some(seconds.max(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Some(code), message)
        }
    }

    /// Returns the error with another `param`.
    #[must_use]
    pub fn about(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// Returns the `type` in the envelope.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let of_status = if self.status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        self.kind.unwrap_or(of_status)
    }

    /// Returns the JSON body: `{"error": {"message", "type", "param", "code"}}`.
    #[must_use]
    pub fn envelope(&self) -> Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
        }})
    }

    /// Returns the response: status, envelope, and headers including `retry-after` and `accept-encoding` where they apply.
    #[must_use]
    pub fn response<B: From<Vec<u8>>>(&self) -> http::Response<B> {
        let mut response = http::Response::new(B::from(self.envelope().to_string().into_bytes()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            let accepted = http::HeaderValue::from_static(ACCEPTED_CODINGS);
            headers.insert(http::header::ACCEPT_ENCODING, accepted);
        }
        response
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_all_four_keys() {
        let body = Error::invalid("limit", "limit must be at least 1.").envelope();
        assert_eq!(
            body,
            json!({"error": {"message": "limit must be at least 1.", "type": "invalid_request_error",
                             "param": "limit", "code": "invalid_value"}})
        );
        assert_eq!(Error::internal().envelope()["error"]["code"], Value::Null);
        let limited = Error::rate_limited("tokens", "Limit 3.", Some(0));
        assert_eq!(limited.envelope()["error"]["type"], "tokens");
        assert_eq!(limited.retry_after, Some(1));
        let spent = Error::insufficient_quota("Spent.").envelope();
        assert_eq!(spent["error"]["type"], spent["error"]["code"]);
    }

    #[test]
    fn long_input_is_not_echoed_whole() {
        assert!(
            Error::not_found("project", &"x".repeat(10_000))
                .message
                .len()
                < 200
        );
    }
}
