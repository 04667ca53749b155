//! Compression of pages and assets with gzip.
//!
//! A compressed page reveals by its length how much a text in its address has in common with the rest of the page. So a page
//! is compressed only for who cannot see its length: a request that another site caused gets it as it is, and so does a form,
//! whose answer may have a secret beside what was entered.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body_util::BodyExt as _;

/// Fewest bytes of a page that are worth the time.
const MIN_PAGE_BYTES: u64 = 1024;
/// Most bytes of a page that are compressed at once, on the thread that serves requests.
const MAX_PAGE_BYTES: u64 = 2 * 1024 * 1024;
/// Types of content that are compressed.
const PAGE_TYPES: [&str; 2] = ["text/html; charset=utf-8", "application/json"];

/// Compresses the response to a request with this method and these headers, if the client accepts gzip and the request came
/// from a page of this server or from the person directly. A body that is sent while it is made stays as it is.
pub async fn compress(
    method: &Method,
    headers: &HeaderMap,
    response: Response<Body>,
) -> Response<Body> {
    if !may_compress(method, headers) || !is_page(&response) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // The body has a known length: it is in memory, and reading it does not fail.
    let bytes = body.collect().await.map(|body| body.to_bytes());
    let packed = gzip(&bytes.unwrap_or_default(), Compression::default());
    head.headers
        .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers
        .append(header::VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(head, Body::from(packed))
}

fn may_compress(method: &Method, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    matches!(*method, Method::GET | Method::HEAD)
        && site.is_some_and(|site| site == "same-origin" || site == "none")
        && accepts_gzip(headers)
}

fn is_page(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let kind = headers.get(header::CONTENT_TYPE);
    let length = response.body().size_hint().exact();
    kind.is_some_and(|kind| PAGE_TYPES.iter().any(|known| kind == known))
        && !headers.contains_key(header::CONTENT_ENCODING)
        && length.is_some_and(|length| (MIN_PAGE_BYTES..=MAX_PAGE_BYTES).contains(&length))
}

/// Compresses bytes.
pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    // Writing to memory does not fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}

/// True if the client accepts gzip with a weight above 0.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .any(|coding| match coding.split_once(';') {
            None => coding.trim().eq_ignore_ascii_case("gzip"),
            Some((name, weight)) => {
                let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
                name.trim().eq_ignore_ascii_case("gzip")
                    && weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)
            }
        })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::HeaderName;

    use super::*;

    const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");
    const GZIP: (&str, &str) = ("accept-encoding", "gzip, br");

    fn page(kind: &'static str, length: usize) -> Response<Body> {
        let mut response = Response::new(Body::from("<p>".repeat(length / 3)));
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    async fn encoding(
        method: Method,
        headers: &[(&'static str, &'static str)],
        page: Response<Body>,
    ) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let answer = compress(&method, &headers.collect(), page).await;
        answer.headers().contains_key(header::CONTENT_ENCODING)
    }

    #[tokio::test]
    async fn a_page_is_compressed_for_its_own_site_alone() {
        let html = || page(PAGE_TYPES[0], 9_000);
        assert!(encoding(Method::GET, &[OWN, GZIP], html()).await);
        assert!(encoding(Method::HEAD, &[("sec-fetch-site", "none"), GZIP], html()).await);
        for other in ["cross-site", "same-site"] {
            let headers = [("sec-fetch-site", other), GZIP];
            assert!(!encoding(Method::GET, &headers, html()).await, "{other}");
        }
        assert!(!encoding(Method::GET, &[GZIP], html()).await, "unknown");
        assert!(!encoding(Method::GET, &[OWN], html()).await, "not accepted");
        assert!(
            !encoding(Method::POST, &[OWN, GZIP], html()).await,
            "a form"
        );
    }

    #[tokio::test]
    async fn files_small_pages_and_compressed_ones_stay_as_they_are() {
        let headers = [OWN, GZIP];
        assert!(!encoding(Method::GET, &headers, page("image/png", 9_000)).await);
        assert!(!encoding(Method::GET, &headers, page(PAGE_TYPES[0], 300)).await);
        let mut packed = page(PAGE_TYPES[0], 9_000);
        let coding = HeaderValue::from_static("zstd");
        packed
            .headers_mut()
            .insert(header::CONTENT_ENCODING, coding);
        let headers = HeaderMap::from_iter([
            (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
            (
                HeaderName::from_static("sec-fetch-site"),
                HeaderValue::from_static("none"),
            ),
        ]);
        let answer = compress(&Method::GET, &headers, packed).await;
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "zstd");
    }

    #[tokio::test]
    async fn a_compressed_page_is_the_same_page() {
        let headers = HeaderMap::from_iter([
            (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
            (
                HeaderName::from_static("sec-fetch-site"),
                HeaderValue::from_static("none"),
            ),
        ]);
        let answer = compress(&Method::GET, &headers, page(PAGE_TYPES[1], 9_000)).await;
        assert_eq!(answer.headers()[header::VARY], "accept-encoding");
        let bytes = answer.into_body().collect().await.expect("a body");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes.to_bytes()[..])
            .read_to_string(&mut text)
            .expect("gzip");
        assert_eq!(text, "<p>".repeat(3_000));
    }
}
