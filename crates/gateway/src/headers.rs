//! Headers that the gateway removes from and adds to answers, and the idempotency keys that upstreams get.

use base::ids::{Id, ProjectId, RequestId};
use base::secret::Pepper;
use base::time::Stopwatch;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
/// Header with a key by which a server recognizes a repeated request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// Headers of an upstream's answer that clients do not get: about the connection, the upstream's own site, or the account
/// that the gateway has there.
const REMOVED: [HeaderName; 26] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    header::SERVER,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    header::LOCATION,
    header::CONTENT_LOCATION,
    header::REFRESH,
    header::LINK,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("timing-allow-origin"),
    REQUEST_ID,
    HeaderName::from_static("request-id"),
    ORGANIZATION,
    HeaderName::from_static("openai-project"),
    PROCESSING,
    VERSION,
];

/// Prefixes of further headers that clients do not get: permissions of browsers and robots at the upstream's site, and the
/// organization and rate limits of the gateway's account.
const REMOVED_PREFIXES: [&str; 6] = [
    "access-control-",
    "anthropic-",
    "content-security-policy",
    "cross-origin-",
    "report",
    "x-ratelimit-",
];

/// Prefix of the idempotency keys that upstreams get.
const IDEMPOTENCY_PREFIX: &str = "orgplane-";

/// Maximum number of headers that the gateway adds to an answer.
const MAX_ADDED_HEADERS: usize = 12;

/// Replaces the idempotency key of a request by one that no other project can have. Projects share the gateway's account at an
/// upstream: with the same key, one project would get another's answer.
pub(crate) fn own_idempotency_key(headers: &mut HeaderMap, pepper: &Pepper, project: &ProjectId) {
    let Some(key) = headers.remove(IDEMPOTENCY_KEY) else {
        return;
    };
    // No API key has this prefix, so the hash cannot be that of an API key.
    let mut text = format!("idempotency-key\0{}\0", project.as_str());
    text.extend(key.as_bytes().iter().map(|byte| char::from(*byte)));
    let hash = pepper.hash(&text);
    let mut own = IDEMPOTENCY_PREFIX.to_owned();
    own.extend(hash.0.iter().map(|byte| format!("{byte:02x}")));
    if let Ok(own) = HeaderValue::try_from(own) {
        headers.insert(IDEMPOTENCY_KEY, own);
    }
}

/// Removes from the headers of an upstream's answer those that the client must not get, `content-length` among them if
/// `changes_length`.
pub(crate) fn to_client(mut headers: HeaderMap, changes_length: bool) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let is_removed = |name: &&HeaderName| {
        named.contains(name)
            || REMOVED.contains(name)
            || (REMOVED_PREFIXES.iter()).any(|prefix| name.as_str().starts_with(prefix))
            || changes_length && **name == header::CONTENT_LENGTH
    };
    let removed: Vec<HeaderName> = headers.keys().filter(is_removed).cloned().collect();
    for name in removed {
        headers.remove(name);
    }
    // One allocation for all that are added later.
    headers.reserve(MAX_ADDED_HEADERS);
    headers
}

/// Returns a response whose body is this JSON text.
pub(crate) fn json_response(text: Bytes) -> Response<Bytes> {
    let mut response = Response::new(text);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Adds the headers that every answer of the gateway has: its id, organization, processing time and version.
pub(crate) fn sign(
    headers: &mut HeaderMap,
    id: &RequestId,
    organization: Option<HeaderValue>,
    started: Stopwatch,
) {
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(organization) = organization {
        headers.insert(ORGANIZATION, organization);
    }
    headers.insert(PROCESSING, HeaderValue::from(started.milliseconds()));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn headers_between_upstream_and_gateway_are_removed() {
        let sent = map(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("x-request-id", "theirs"),
            ("openai-organization", "theirs"),
            ("x-ratelimit-remaining-tokens", "7"),
            ("content-length", "10"),
            ("content-type", "application/json"),
            ("retry-after", "3"),
            ("location", "https://upstream.example/elsewhere"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("clear-site-data", "\"*\""),
            ("request-id", "theirs"),
            ("anthropic-organization-id", "theirs"),
            ("anthropic-ratelimit-tokens-remaining", "7"),
            ("cross-origin-opener-policy", "unsafe-none"),
        ]);
        let rest = [("content-type", "application/json"), ("retry-after", "3")];
        assert_eq!(to_client(sent.clone(), true), map(&rest));
        assert_eq!(
            to_client(sent, false)
                .get("content-length")
                .map(HeaderValue::as_bytes),
            Some(&b"10"[..])
        );
    }
}
