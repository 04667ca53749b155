//! Headers of forwarded requests.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// Headers of a client's request that its upstream gets. All others stay behind, above all keys and cookies, but also
/// `accept-encoding`: the gateway reads usage from answers, so it asks for them without compression.
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

/// Value of `accept-encoding` that upstreams get.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Returns the headers of a client's request that its upstream gets.
pub(crate) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    // `host` and `authorization` are added for each upstream.
    let mut forwarded = HeaderMap::with_capacity(FORWARDED.len() + 2);
    for name in &FORWARDED {
        if let Some(value) = headers.get(name) {
            forwarded.insert(name, value.clone());
        }
    }
    forwarded.insert(header::ACCEPT_ENCODING, IDENTITY);
    forwarded
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
    fn keys_and_cookies_are_not_forwarded() {
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
            ("accept-encoding", "identity"),
            ("traceparent", "00-1"),
        ]);
        assert_eq!(forwarded(&sent), expected);
    }
}
