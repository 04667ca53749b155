//! Base URL under which clients reach the server, and the check that a browser uses it.

use std::net::SocketAddr;

use anyhow::{bail, ensure};
use http::uri::Authority;
use http::{HeaderMap, Request, Uri, header};

/// Returns the base URL if none is configured: `localhost` and the port if the listener accepts connections of this
/// machine, since browsers treat `localhost` as secure; else the address of the listener.
pub(crate) fn default_public_url(scheme: &str, listen: SocketAddr) -> String {
    let address = listen.ip();
    if address.is_loopback() || address.is_unspecified() {
        return format!("{scheme}://localhost:{}", listen.port());
    }
    format!("{scheme}://{listen}")
}

/// Checks that `url` is a base URL of HTTP.
///
/// # Errors
/// The URL has another scheme, no host, or a part that a base URL must not have.
pub(crate) fn checked(url: String) -> anyhow::Result<String> {
    PublicOrigin::new(&url)?;
    Ok(url)
}

/// Origin of the base URL. Cookies and sign-in work only under this origin.
#[derive(Clone, Debug)]
pub struct PublicOrigin {
    /// `http` or `https`.
    scheme: String,
    /// Host in lower case, with the port unless it is the scheme's default.
    host: String,
    /// The base URL without a final slash.
    base: String,
}

/// Refusal of a request of a browser to another origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignOrigin {
    /// Origin that the request was sent to.
    pub requested: String,
    /// Address of the same page under the base URL.
    pub url: String,
    /// The base URL.
    pub base: String,
}

impl ForeignOrigin {
    /// Returns the explanation for the page.
    #[must_use]
    pub fn message(&self) -> String {
        format!(
            "This page was opened at {}, and works only at {}, which the server's public_url names. If {} is the right \
             address, set public_url to it. If a proxy is in front of the server, it must pass on the Host header, or be \
             in trusted_proxies and set X-Forwarded-Host and X-Forwarded-Proto.",
            self.requested, self.base, self.requested
        )
    }
}

impl PublicOrigin {
    /// Parses a base URL.
    ///
    /// # Errors
    /// The URL has another scheme than HTTP, no host, or a part that a base URL must not have.
    pub fn new(public_url: &str) -> anyhow::Result<Self> {
        let wrong = || {
            format!(
                "public_url is '{public_url}'; it must be http:// or https:// and a host, such as https://plane.example"
            )
        };
        let Ok(uri) = public_url.parse::<Uri>() else {
            bail!(wrong());
        };
        let parts = (uri.scheme_str(), uri.authority());
        let (Some(scheme @ ("http" | "https")), Some(authority)) = parts else {
            bail!(wrong());
        };
        let has_user = authority.as_str().contains('@');
        ensure!(
            !has_user && uri.query().is_none() && !public_url.contains('#'),
            wrong()
        );
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host_of(authority, scheme),
            base: public_url.trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the origin as browsers write it in the `Origin` header.
    #[must_use]
    pub fn as_origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// True if browsers reach the server over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// Checks that a browser sent a request to this origin. A request without a host is of no browser.
    ///
    /// # Errors
    /// The request was sent to another origin.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), ForeignOrigin> {
        let headers = request.headers();
        // The listener removes these headers unless the peer is a trusted proxy.
        let proto = first(headers, "x-forwarded-proto").map(str::to_ascii_lowercase);
        let host = first(headers, "x-forwarded-host");
        let host = host.or_else(|| {
            let authority = request.uri().authority().map(Authority::as_str);
            authority.or_else(|| headers.get(header::HOST)?.to_str().ok())
        });
        let Some(host) = host else {
            return Ok(());
        };
        let scheme = proto.as_deref().unwrap_or(&self.scheme);
        let authority = host.parse::<Authority>();
        let host = authority.map_or_else(|_| host.to_owned(), |host| host_of(&host, scheme));
        if host == self.host && scheme == self.scheme {
            return Ok(());
        }
        let page = request.uri().path_and_query();
        Err(ForeignOrigin {
            requested: format!("{scheme}://{host}"),
            url: format!("{}{}", self.base, page.map_or("/", |page| page.as_str())),
            base: self.base.clone(),
        })
    }
}

/// Returns the host in lower case, with the port unless it is the default of `scheme`.
fn host_of(authority: &Authority, scheme: &str) -> String {
    let host = authority.host().to_ascii_lowercase();
    match (authority.port_u16(), scheme) {
        (None, _) | (Some(80), "http") | (Some(443), "https") => host,
        (Some(port), _) => format!("{host}:{port}"),
    }
}

/// Returns the first element of a header that proxies append to.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    let first = value.split(',').next()?.trim();
    (!first.is_empty()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_this_machine_if_the_listener_accepts_its_connections() {
        for (listen, expected) in [
            ("127.0.0.1:8080", "http://localhost:8080"),
            ("[::1]:8080", "http://localhost:8080"),
            ("0.0.0.0:80", "http://localhost:80"),
            ("[::]:8443", "http://localhost:8443"),
            ("192.0.2.1:8080", "http://192.0.2.1:8080"),
            ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(default_public_url("http", listen), expected);
        }
    }

    #[test]
    fn base_url_has_a_scheme_of_http_and_a_host_and_no_more_than_a_path() {
        for good in [
            "http://localhost:8080",
            "https://plane.example/",
            "https://plane.example/prefix",
            "https://[2001:db8::1]:8443",
        ] {
            assert!(PublicOrigin::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "plane.example",
            "localhost:8080",
            "ftp://plane.example",
            "https://",
            "/console",
            "https://u:p@plane.example",
            "https://plane.example/?a=b",
            "https://plane.example/#a",
        ] {
            let error = PublicOrigin::new(bad).map(|_| ()).expect_err(bad);
            assert!(error.to_string().contains("public_url is"), "{error}");
        }
    }

    fn checked(
        public_url: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(), ForeignOrigin> {
        let origin = PublicOrigin::new(public_url).expect("a base URL");
        let request = headers
            .iter()
            .fold(Request::get(path), |request, (name, value)| {
                request.header(*name, *value)
            });
        origin.check(&request.body(()).expect("a request"))
    }

    #[test]
    fn request_to_the_public_origin_passes() {
        let local = "http://localhost:8080";
        let far = "https://plane.example";
        for (public_url, path, headers) in [
            (local, "/console", &[("host", "localhost:8080")][..]),
            (local, "/console", &[("host", "LocalHost:8080")]),
            (local, "http://localhost:8080/console", &[]),
            (local, "/console", &[]),
            (far, "/console", &[("host", "plane.example")]),
            (far, "/console", &[("host", "plane.example:443")]),
            (
                far,
                "/console",
                &[
                    ("host", "backend:9000"),
                    ("x-forwarded-host", "plane.example, inner.example"),
                    ("x-forwarded-proto", "https"),
                ],
            ),
        ] {
            let passed = checked(public_url, path, headers);
            assert_eq!(passed, Ok(()), "{public_url} {headers:?}");
        }
    }

    #[test]
    fn request_to_another_origin_is_told_the_address_of_the_page() {
        let local = "http://localhost:8080";
        let far = "https://plane.example/";
        for (public_url, headers, requested, url) in [
            (
                local,
                &[("host", "127.0.0.1:8080")][..],
                "http://127.0.0.1:8080",
                "http://localhost:8080/console?a=b",
            ),
            (
                local,
                &[("host", "localhost:9090")],
                "http://localhost:9090",
                "http://localhost:8080/console?a=b",
            ),
            (
                far,
                &[("host", "plane.example"), ("x-forwarded-proto", "http")],
                "http://plane.example",
                "https://plane.example/console?a=b",
            ),
            (
                far,
                &[("host", "a b")],
                "https://a b",
                "https://plane.example/console?a=b",
            ),
        ] {
            let refused = checked(public_url, "/console?a=b", headers);
            let refused = refused.expect_err("another origin");
            assert_eq!((&*refused.requested, &*refused.url), (requested, url));
            let message = refused.message();
            assert!(message.contains(public_url.trim_end_matches('/')));
            assert!(message.contains(requested), "{message}");
        }
    }
}
