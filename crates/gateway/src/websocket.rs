//! Refusal of WebSocket, which the gateway does not speak: 426 makes clients fall back to HTTP at once.

use base::Error;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::response_body::Body;

/// The path at which a client that is refused falls back to HTTP. Other paths at which the hosted service speaks WebSocket are
/// not offered.
const PATH: &str = "/v1/responses";

const MESSAGE: &str = "This gateway does not speak WebSocket. Send POST /v1/responses over HTTP instead, with \"stream\": true for an \
                       answer in events.";

/// True if a request asks for an upgrade to WebSocket at [`PATH`].
pub(crate) fn is_asked_for(head: &Parts) -> bool {
    let mut wanted = head.headers.get_all(UPGRADE).iter();
    let is_websocket = |name: &str| name.trim().eq_ignore_ascii_case("websocket");
    head.method == Method::GET
        && head.uri.path() == PATH
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
