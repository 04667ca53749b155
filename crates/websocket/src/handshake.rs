//! Headers of the handshake that turns an HTTP/1.1 connection into a WebSocket connection.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Suffix that a server adds to the key of a handshake before it hashes the key (RFC 6455, section 4.2.2).
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Length of the random value of a handshake's key.
const KEY_BYTES: usize = 16;

/// Returns a random key for a handshake; `None` if the operating system has no random bytes.
#[must_use]
pub fn new_key() -> Option<String> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(BASE64_STANDARD.encode(bytes))
}

/// True if a text can be the key of a handshake.
#[must_use]
pub fn is_handshake_key(key: &[u8]) -> bool {
    let bytes = BASE64_STANDARD.decode(key);
    bytes.is_ok_and(|bytes| bytes.len() == KEY_BYTES)
}

/// Returns the value of `sec-websocket-accept` for a key. SHA-1 is what the protocol prescribes; nothing depends on its strength.
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    let text = [key, ACCEPT_SUFFIX.as_bytes()].concat();
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// True if the headers of a request or response switch the connection to WebSocket.
#[must_use]
pub fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade")
}

/// True if a response accepts the handshake with this key, and negotiates nothing that was not offered.
#[must_use]
pub fn is_accepted<B>(response: &Response<B>, key: &str) -> bool {
    let headers = response.headers();
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT);
    response.status() == StatusCode::SWITCHING_PROTOCOLS
        && asks_for_upgrade(headers)
        && accept.is_some_and(|accept| accept.as_bytes() == accept_key(key.as_bytes()).as_bytes())
        && !headers.contains_key(SEC_WEBSOCKET_EXTENSIONS)
        && !headers.contains_key(SEC_WEBSOCKET_PROTOCOL)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter();
    let mut names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    names.any(|name| name.trim().eq_ignore_ascii_case(token))
}
