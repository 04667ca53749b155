//! Refusal of WebSocket, which the gateway does not speak: 426 makes clients fall back to HTTP at once.

use base::Error;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::response_body::Body;

/// Paths at which OpenAI's service speaks WebSocket.
const PATHS: [&str; 2] = ["/v1/responses", "/v1/realtime"];

const MESSAGE: &str = "This gateway does not speak WebSocket. Send POST /v1/responses over HTTP instead, with \"stream\": true for an \
                       answer in events.";

/// True if a request asks for an upgrade to WebSocket at one of [`PATHS`].
pub(crate) fn is_asked_for(head: &Parts) -> bool {
    let mut wanted = head.headers.get_all(UPGRADE).iter();
    let is_websocket = |name: &str| name.trim().eq_ignore_ascii_case("websocket");
    head.method == Method::GET
        && PATHS.contains(&head.uri.path())
        && wanted.any(|value| {
            value
                .to_str()
                .is_ok_and(|names| names.split(',').any(is_websocket))
        })
}

/// Returns the answer to such a request, which names the protocol to use instead.
pub(crate) fn refusal() -> Response<Body> {
    let error = Error {
        status: StatusCode::UPGRADE_REQUIRED,
        ..Error::refused("websocket_unavailable", MESSAGE)
    };
    let mut response: Response<Body> = error.response();
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response
}
