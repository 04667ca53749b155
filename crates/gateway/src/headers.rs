//! Which headers pass, in each direction, and which the gateway adds.

use base::ids::{Id, RequestId};
use base::time::Stopwatch;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response};

use crate::Body;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// What of a client's request its upstream learns. Everything else stays here: above all keys and cookies, but also
/// `accept-encoding`, since usage is read from the answer.
const FORWARDED: [HeaderName; 8] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::USER_AGENT,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-client-request-id"),
];

/// What of an upstream's answer is between the upstream and the gateway: about the connection, about the upstream's
/// own site, or about the account that the gateway has there.
const KEPT_BACK: [HeaderName; 17] = [
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
    REQUEST_ID,
    ORGANIZATION,
    HeaderName::from_static("openai-project"),
    PROCESSING,
    VERSION,
];

/// How many headers the gateway may add to an answer.
const ADDED: usize = 12;

/// The headers of a client's request that its upstream gets.
pub(crate) fn to_upstream(headers: &HeaderMap) -> HeaderMap {
    let mut forwarded = HeaderMap::with_capacity(FORWARDED.len() + 2);
    for name in &FORWARDED {
        if let Some(value) = headers.get(name) {
            forwarded.insert(name, value.clone());
        }
    }
    forwarded
}

/// The headers of an upstream's answer that the client gets.
pub(crate) fn to_client(mut headers: HeaderMap, changes_length: bool) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let stays = |name: &&HeaderName| {
        named.contains(name)
            || KEPT_BACK.contains(name)
            || name.as_str().starts_with("x-ratelimit-")
            || changes_length && **name == header::CONTENT_LENGTH
    };
    let staying: Vec<HeaderName> = headers.keys().filter(stays).cloned().collect();
    for name in staying {
        headers.remove(name);
    }
    // For what the gateway says itself.
    headers.reserve(ADDED);
    headers
}

/// What every answer of the gateway says of itself.
pub(crate) fn sign(
    response: &mut Response<Body>,
    id: &RequestId,
    organization: Option<HeaderValue>,
    watch: Stopwatch,
) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(organization) = organization {
        headers.insert(ORGANIZATION, organization);
    }
    headers.insert(PROCESSING, HeaderValue::from(watch.milliseconds()));
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
    fn keys_and_cookies_stay_here() {
        let sent = map(&[
            ("authorization", "Bearer sk-proj-1"),
            ("cookie", "a=b"),
            ("accept-encoding", "gzip"),
            ("host", "gateway"),
            ("content-type", "application/json"),
            ("traceparent", "00-1"),
        ]);
        let expected = map(&[
            ("content-type", "application/json"),
            ("traceparent", "00-1"),
        ]);
        assert_eq!(to_upstream(&sent), expected);
    }

    #[test]
    fn what_is_between_upstream_and_gateway_stays_there() {
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
