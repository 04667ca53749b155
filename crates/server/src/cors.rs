//! Cross-origin resource sharing (CORS) for web pages that call the gateway from a browser.
//!
//! Pages send keys in a header of their own, never in a cookie, so credentials are never allowed.

use axum::body::Body;
use axum::response::Response;
use base::Error;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use crate::routes::is_administration;

/// Methods of the API.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE");
/// Lifetime of a preflight result, in seconds: two hours, the maximum of Chromium.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// Response headers readable by pages beside the safelisted ones.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, openai-organization, openai-processing-ms, openai-version, retry-after, retry-after-ms, \
     x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
     x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens",
);
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");
/// Request headers that a preflight response depends on.
const PREFLIGHT_VARIES: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers, \
     access-control-request-private-network",
);

/// Cross-origin policy: origins that may call the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    is_any: bool,
    is_for_administration: bool,
}

/// Result of the policy for one request.
pub(crate) struct CorsRequest {
    /// Value of `access-control-allow-origin`; `None` if the origin is missing or not allowed.
    allowed: Option<HeaderValue>,
}

impl Cors {
    /// Creates a policy for `origins`; `*` allows every origin. `is_for_administration` includes the Administration
    /// API.
    ///
    /// # Errors
    /// An origin differs from what browsers send; the message suggests the right one.
    pub fn new(origins: &[String], is_for_administration: bool) -> Result<Self, String> {
        let is_any = origins.iter().any(|origin| origin == "*");
        let exact = origins.iter().filter(|origin| *origin != "*");
        let origins: Result<_, String> = exact.map(|origin| exact_origin(origin)).collect();
        Ok(Self {
            origins: origins?,
            is_any,
            is_for_administration,
        })
    }

    /// Returns the origins as configured.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        let exact = self
            .origins
            .iter()
            .filter_map(|origin| origin.to_str().ok());
        exact.chain(self.is_any.then_some("*"))
    }

    /// True if the policy includes the Administration API.
    pub(crate) fn is_for_administration(&self) -> bool {
        self.is_for_administration
    }

    /// Returns the result of the policy; `None` if the policy does not apply to the request.
    pub(crate) fn request<B>(&self, request: &Request<B>) -> Option<CorsRequest> {
        let is_off = self.origins.is_empty() && !self.is_any;
        let path = request.uri().path();
        if is_off || !path.starts_with("/v1/") {
            return None;
        }
        if is_administration(path) && !self.is_for_administration {
            return None;
        }
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let allowed = match (origins.next(), origins.next()) {
            (Some(origin), None) => self.allowed(origin),
            _ => None,
        };
        Some(CorsRequest { allowed })
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.is_any {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().find(|known| *known == origin).cloned()
    }
}

impl CorsRequest {
    /// Returns the response to a preflight: 204, or 403 for an origin that is not allowed. `None` for any other
    /// request.
    pub(crate) fn preflight<B>(&self, request: &Request<B>) -> Option<Response> {
        let headers = request.headers();
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        if self.allowed.is_none() {
            let message = "Pages of this origin may not call this server: [cors] origins in its configuration lists those that may.";
            return Some(Error::forbidden("origin_not_allowed", message).response());
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        // Headers are checked when the actual request arrives.
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        if headers.contains_key(REQUEST_PRIVATE_NETWORK) {
            answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        answer.insert(VARY, PREFLIGHT_VARIES);
        Some(response)
    }

    /// Adds the CORS headers, and `vary: origin` for caches.
    pub(crate) fn sign(self, headers: &mut HeaderMap) {
        let is_any = self.allowed.as_ref().is_some_and(|origin| origin == "*");
        let vary = headers.get(VARY);
        if !is_any && vary.is_none_or(|vary| *vary != PREFLIGHT_VARIES) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Validates an origin: scheme, lower-case host, and the port unless it is the default one.
fn exact_origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = |reason: &str| Err(format!("'{}' {reason}", text.escape_debug()));
    if text == "null" {
        return wrong("is no origin: it stands for pages that hide theirs; only '*' lets them in");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return wrong("is no origin: it must be a scheme, '://' and a host, or '*'");
    };
    if rest.contains('*') {
        return wrong("is no origin: '*' stands alone or not at all; list every origin");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && (scheme.chars()).all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it));
    let is_authority = !authority.is_empty()
        && (authority.chars()).all(|it| it.is_ascii_alphanumeric() || "-._~:[]%".contains(it));
    if !is_scheme || !is_authority {
        return wrong(
            "is no origin: it must be a scheme, '://', a host in ASCII (Punycode), and a port if it is not the usual one",
        );
    }
    let mut meant = format!("{scheme}://{authority}").to_ascii_lowercase();
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] {
        if meant.starts_with(scheme)
            && let Some(short) = meant.strip_suffix(port)
        {
            meant = short.to_owned();
        }
    }
    if meant != text {
        return wrong(&format!("is not what a browser sends; is '{meant}' meant?"));
    }
    HeaderValue::try_from(meant).or_else(|_| wrong("is no origin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Result<Cors, String> {
        let origins: Vec<String> = origins.iter().map(|it| (*it).to_owned()).collect();
        Cors::new(&origins, false)
    }

    #[test]
    fn cors_origins_are_written_as_browsers_send_them() {
        for good in [
            "http://localhost:5173",
            "https://chat.example",
            "https://chat.example:8443",
            "http://[::1]:3000",
            "http://chat.example:443",
            "https://xn--bcher-kva.example",
            "chrome-extension://abcdefghijklmnop",
            "app://obsidian.md",
            "*",
        ] {
            assert!(cors(&[good]).is_ok(), "{good}");
        }
        for (bad, words) in [
            ("", "scheme, '://'"),
            ("chat.example", "scheme, '://'"),
            ("null", "only '*'"),
            ("https://", "a host"),
            ("https://bücher.example", "Punycode"),
            ("https://me:secret@chat.example", "a host"),
            ("https://*.chat.example", "list every origin"),
            ("https://chat.example/", "is 'https://chat.example' meant?"),
            (
                "https://chat.example/app",
                "is 'https://chat.example' meant?",
            ),
            ("https://Chat.example", "is 'https://chat.example' meant?"),
            (
                "https://chat.example:443",
                "is 'https://chat.example' meant?",
            ),
            ("http://chat.example:80", "is 'http://chat.example' meant?"),
            ("https://chat.example\r\nx: y", "a host"),
        ] {
            let error = cors(&["https://a.example", bad]).expect_err(bad);
            assert!(error.contains(words), "{error}");
        }
    }
}
