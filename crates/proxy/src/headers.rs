//! Headers of forwarded requests.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use crate::format::ApiFormat;

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

/// Further headers that upstreams with [`ApiFormat::Anthropic`] get, each with all its values.
const FORWARDED_TO_ANTHROPIC: [HeaderName; 2] = [
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
];

/// Value of `accept-encoding` that upstreams get.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Returns the headers of a client's request that its upstream gets.
pub(crate) fn forwarded(headers: &HeaderMap, format: ApiFormat) -> HeaderMap {
    // `host` and the header with the key are added for each upstream.
    let mut forwarded = HeaderMap::with_capacity(FORWARDED.len() + 2);
    for name in &FORWARDED {
        if let Some(value) = headers.get(name) {
            forwarded.insert(name, value.clone());
        }
    }
    if format == ApiFormat::Anthropic {
        for name in &FORWARDED_TO_ANTHROPIC {
            for value in headers.get_all(name) {
                forwarded.append(name, value.clone());
            }
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
        assert_eq!(forwarded(&sent, ApiFormat::OpenAi), expected);
    }

    #[test]
    fn version_and_betas_are_forwarded_to_upstreams_of_their_format_alone() {
        let named = [
            ("anthropic-beta", "one"),
            ("anthropic-beta", "two, three"),
            ("anthropic-version", "2023-06-01"),
        ];
        let sent = [
            ("x-api-key", "sk-proj-1"),
            ("anthropic-user-profile-id", "u"),
        ];
        let sent = map(&[&named[..], &sent].concat());
        let identity = ("accept-encoding", "identity");
        let expected = map(&[&named[..], &[identity]].concat());
        assert_eq!(forwarded(&sent, ApiFormat::Anthropic), expected);
        assert_eq!(forwarded(&sent, ApiFormat::OpenAi), map(&[identity]));
    }
}
