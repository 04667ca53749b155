//! The defence against cross-site requests: a request that changes something comes from a page of this server.

use http::{HeaderMap, Method, header};

/// Checks that a request that may change something was made by a page of this server, or by the person directly.
/// `GET`, `HEAD` and `OPTIONS` pass, since they change nothing. Else `Sec-Fetch-Site` must be `same-origin` or `none`;
/// browsers that do not send it must send an `Origin` that is the one of `public_url`, or of the request's own host.
#[must_use]
pub fn is_same_origin(method: &Method, headers: &HeaderMap, public_url: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let origin = headers.get(header::ORIGIN);
    let Some(origin) = origin.and_then(|origin| origin.to_str().ok()) else {
        return false;
    };
    origin_of(public_url).is_some_and(|own| own.eq_ignore_ascii_case(origin))
}

/// Returns the origin of a URL: its scheme, host and port, without a default port.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let host = host.strip_suffix(default_port).unwrap_or(host);
    (!host.is_empty()).then(|| format!("{scheme}://{}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const PUBLIC_URL: &str = "https://Models.example.com:443/base";

    fn passes(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_same_origin(method, &headers, PUBLIC_URL)
    }

    #[test]
    fn a_change_from_another_site_is_refused() {
        let own = ("origin", "https://models.example.com");
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site"), own], false),
            (&[("sec-fetch-site", "cross-site"), own], false),
            (&[own], true),
            (&[("origin", "https://models.example.com.evil.net")], false),
            (&[("origin", "http://models.example.com")], false),
            (&[("origin", "https://models.example.com:444")], false),
            (&[("origin", "null")], false),
            (&[], false),
        ] {
            for method in [Method::POST, Method::DELETE, Method::PUT, Method::PATCH] {
                assert_eq!(passes(&method, headers), expected, "{method} {headers:?}");
            }
            assert!(passes(&Method::GET, headers));
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, expected) in [
            ("http://localhost:8080/x?y", Some("http://localhost:8080")),
            ("http://Example.com:80", Some("http://example.com")),
            ("https://u:p@example.com/", Some("https://example.com")),
            ("ftp://example.com", None),
            ("example.com", None),
            ("https://", None),
        ] {
            assert_eq!(origin_of(url).as_deref(), expected, "{url}");
        }
    }
}
