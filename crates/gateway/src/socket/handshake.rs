//! The handshake of a WebSocket connection. A client that asks for one where none is served gets 426, which makes it fall back
//! to HTTP at once.

use base::{Error, Result};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::UpgradeSlot;
use crate::response_body::Body;

/// Path at which the gateway serves WebSocket.
const SERVED_PATH: &str = "/v1/responses";
/// The version of the protocol that is served.
const VERSION: &str = "13";

const MESSAGE: &str = "This gateway does not speak WebSocket here. Send POST /v1/responses over HTTP instead, with \"stream\": true \
                       for an answer in events.";

/// True if a request asks for an upgrade to WebSocket at [`SERVED_PATH`].
pub(crate) fn is_asked_for(head: &Parts) -> bool {
    let mut wanted = head.headers.get_all(UPGRADE).iter();
    let is_websocket = |name: &str| name.trim().eq_ignore_ascii_case("websocket");
    head.method == Method::GET
        && head.uri.path() == SERVED_PATH
        && wanted.any(|value| {
            value
                .to_str()
                .is_ok_and(|names| names.split(',').any(is_websocket))
        })
}

/// Returns the answer to a request for a connection that is not served, which names the protocol to use instead.
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

/// Takes the connection of a request out of its extensions, with the slot for its work; `None` if this connection cannot be
/// upgraded here.
pub(crate) fn take_connection(head: &mut Parts) -> Option<(OnUpgrade, UpgradeSlot)> {
    if head.uri.path() != SERVED_PATH {
        return None;
    }
    let connection = head.extensions.remove::<OnUpgrade>();
    connection.zip(head.extensions.remove::<UpgradeSlot>())
}

/// Checks the handshake, and returns the response that accepts it.
///
/// # Errors
/// 400: a header is missing or invalid.
pub(crate) fn accept(headers: &HeaderMap) -> Result<Response<Body>> {
    let wrong = |message| Error::refused("invalid_handshake", message);
    if !websocket::asks_for_upgrade(headers) {
        return Err(wrong(
            "The Connection header of a handshake must name Upgrade.",
        ));
    }
    let version = only(headers, &SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version.as_bytes() != VERSION.as_bytes()) {
        return Err(wrong("The Sec-WebSocket-Version header must be 13."));
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| websocket::is_handshake_key(key));
    let key =
        key.ok_or_else(|| wrong("The Sec-WebSocket-Key header must be 16 bytes in base64."))?;
    let mut response = Response::new(Body::from(Vec::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accepted = HeaderValue::try_from(websocket::accept_key(key));
    let headers = response.headers_mut();
    headers.insert(
        SEC_WEBSOCKET_ACCEPT,
        accepted.map_err(|_| Error::internal())?,
    );
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    Ok(response)
}

/// Returns the value of a header that came once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
