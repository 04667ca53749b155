//! Which headers pass, in each direction, and which the gateway adds.

use base::ids::{Id, ProjectId, RequestId};
use base::secret::Pepper;
use base::time::Stopwatch;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response};

use crate::Body;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
/// Names a request that may be sent again.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const VERSION: HeaderName = HeaderName::from_static("openai-version");

/// What of an upstream's answer is between the upstream and the gateway: about the connection, about the upstream's
/// own site, or about the account that the gateway has there.
const KEPT_BACK: [HeaderName; 25] = [
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
    ORGANIZATION,
    HeaderName::from_static("openai-project"),
    PROCESSING,
    VERSION,
];

/// The prefixes of other headers that stay: they tell a browser, or a robot, what it may do at the upstream's site.
const KEPT_BACK_PREFIXES: [&str; 5] = [
    "access-control-",
    "content-security-policy",
    "cross-origin-",
    "report",
    "x-ratelimit-",
];

/// The prefix of the idempotency key that an upstream gets.
const OWN_IDEMPOTENCY_PREFIX: &str = "orgplane-";

/// How many headers the gateway may add to an answer.
const ADDED: usize = 12;

/// Makes the idempotency key of a request one of its project alone. Projects share the account that the gateway has at an
/// upstream: with the same key, one of them would be answered what another was.
pub(crate) fn own_idempotency_key(headers: &mut HeaderMap, pepper: &Pepper, project: &ProjectId) {
    let Some(key) = headers.remove(IDEMPOTENCY_KEY) else {
        return;
    };
    // No key of the API begins like this, so no such hash is the hash of one.
    let mut text = format!("idempotency-key\0{}\0", project.as_str());
    text.extend(key.as_bytes().iter().map(|byte| char::from(*byte)));
    let hash = pepper.hash(&text);
    let mut own = OWN_IDEMPOTENCY_PREFIX.to_owned();
    own.extend(hash.0.iter().map(|byte| format!("{byte:02x}")));
    if let Ok(own) = HeaderValue::try_from(own) {
        headers.insert(IDEMPOTENCY_KEY, own);
    }
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
            || (KEPT_BACK_PREFIXES.iter()).any(|prefix| name.as_str().starts_with(prefix))
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
            ("location", "https://upstream.example/elsewhere"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("clear-site-data", "\"*\""),
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
