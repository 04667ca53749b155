//! Security headers of every page.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Policy of a page: nothing from elsewhere, nothing inline, no frame around the page.
pub(crate) const STRICT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Policy of a page whose form may end in a redirect to a provider: browsers apply `form-action` to redirects as well.
pub(crate) const REDIRECTING_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds the headers that every page has, with this content security policy.
pub(crate) fn secure(headers: &mut HeaderMap, policy: &'static str) {
    let values: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
