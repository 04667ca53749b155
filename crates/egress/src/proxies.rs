//! Selection of a proxy for a destination, by a setting or by the usual environment variables.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Supported proxy schemes.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// Address of a proxy with its credentials; therefore without `Debug`.
#[derive(Clone)]
pub struct Proxy(Intercept);

/// Proxies of the environment, for destinations with and without TLS.
pub struct Proxies {
    http: Result<Option<Proxy>, ProxyError>,
    https: Result<Option<Proxy>, ProxyError>,
    direct: Direct,
}

/// Destinations that bypass the proxy (`NO_PROXY`).
struct Direct {
    is_all: bool,
    /// Matcher that selects the proxy for every destination except these hosts, on any port.
    others: Matcher,
    /// Matchers of this kind for one port each.
    ported: Vec<(Matcher, u16)>,
}

/// Error: the value is not a proxy address. Does not show the value, which may contain credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} is not the address of a proxy: it must be like http://proxy.example:3128, with the scheme http, https, socks5 \
     or socks5h"
)]
pub struct ProxyError {
    name: String,
}

impl Proxy {
    /// Parses the value of `name`: `http://user:password@host:port`. Without a scheme, an HTTP proxy.
    ///
    /// # Errors
    /// The value is not a proxy address.
    pub fn parse(name: &str, address: &str) -> Result<Self, ProxyError> {
        let matcher = Matcher::builder().all(address.trim()).build();
        let anywhere = Uri::from_static("http://destination.invalid");
        let intercept = matcher.intercept(&anywhere);
        let intercept = intercept.filter(|found| SCHEMES.contains(&scheme(found.uri())));
        intercept.map(Self).ok_or_else(|| ProxyError {
            name: name.to_owned(),
        })
    }

    /// Returns the address without credentials.
    #[must_use]
    pub fn address(&self) -> &Uri {
        self.0.uri()
    }

    /// Returns the value of `proxy-authorization`, if the proxy has credentials.
    #[must_use]
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.0.basic_auth()
    }

    /// True if requests to `destination` are sent to the proxy in absolute form with `proxy-authorization`. Other
    /// requests use a tunnel.
    #[must_use]
    pub fn forwards(&self, destination: &Uri) -> bool {
        !self.is_socks() && destination.scheme_str() == Some("http")
    }

    pub(crate) fn is_socks(&self) -> bool {
        scheme(self.address()).starts_with("socks5")
    }

    /// True if names are resolved locally, not by the proxy.
    pub(crate) fn needs_address(&self) -> bool {
        scheme(self.address()) == "socks5"
    }

    pub(crate) fn user_and_password(&self) -> Option<(&str, &str)> {
        self.0.raw_auth()
    }
}

/// Address without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address().to_string();
        f.write_str(address.trim_end_matches('/'))
    }
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case, using `variable`.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            let names = [name.to_owned(), name.to_ascii_lowercase()];
            let mut found = names.into_iter().filter_map(|name| {
                let value = variable(&name)?.trim().to_owned();
                (!value.is_empty()).then_some((name, value))
            });
            found.next()
        };
        let proxy = |name| {
            let found = find(name).or_else(|| find("ALL_PROXY"));
            let parsed = found.map(|(name, value)| Proxy::parse(&name, &value));
            parsed.transpose()
        };
        let no_proxy = find("NO_PROXY").map(|(_, value)| value);
        Self {
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            direct: Direct::new(no_proxy.as_deref().unwrap_or_default()),
        }
    }

    /// Reads the variables of this process like [`Self::new`].
    #[must_use]
    pub fn of_environment() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// Returns the proxy for `destination`; `None` for this machine and for destinations in `NO_PROXY`.
    ///
    /// # Errors
    /// The relevant variable is not a proxy address; the error names the variable.
    pub fn for_destination(&self, destination: &Uri) -> Result<Option<Proxy>, ProxyError> {
        if destination.host().is_none_or(is_this_machine) || self.direct.has(destination) {
            return Ok(None);
        }
        match destination.scheme_str() {
            Some("http") => self.http.clone(),
            Some("https") => self.https.clone(),
            _ => Ok(None),
        }
    }
}

impl Direct {
    /// Parses `NO_PROXY`: names, which include their subdomains (`example.com`, `.example.com`, `*.example.com`),
    /// addresses and networks (`10.0.0.0/8`), each with an optional port; and `*`.
    fn new(no_proxy: &str) -> Self {
        let entries = no_proxy.split([',', ' ', '\t']);
        let entries: Vec<&str> = entries.filter(|entry| !entry.is_empty()).collect();
        let (mut ported, mut others) = (Vec::new(), Vec::new());
        for entry in &entries {
            match port_of(entry) {
                Some((host, port)) => ported.push((matcher_without(plain(host)), port)),
                None => others.push(plain(entry)),
            }
        }
        Self {
            is_all: entries.contains(&"*"),
            others: matcher_without(&others.join(",")),
            ported,
        }
    }

    fn has(&self, destination: &Uri) -> bool {
        let is_in = |matcher: &Matcher| matcher.intercept(destination).is_none();
        let is_https = destination.scheme_str() == Some("https");
        let port = destination.port_u16();
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        let mut of_port = self.ported.iter().filter(|(_, known)| *known == port);
        self.is_all || is_in(&self.others) || of_port.any(|(matcher, _)| is_in(matcher))
    }
}

/// Creates a matcher that selects the proxy for every destination except these.
fn matcher_without(hosts: &str) -> Matcher {
    Matcher::builder()
        .all("http://any.invalid")
        .no(hosts)
        .build()
}

/// Normalizes an entry of `NO_PROXY` for the matcher: without leading star or brackets.
fn plain(entry: &str) -> &str {
    let entry = entry.strip_prefix("*.").unwrap_or(entry);
    let inner = entry.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(entry)
}

/// Splits an entry of `NO_PROXY` into host and port, if it has a port.
fn port_of(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    let is_host = !host.contains(':') || host.ends_with(']');
    let port = port.parse().ok()?;
    (is_host && !host.is_empty()).then_some((host, port))
}

fn scheme(uri: &Uri) -> &str {
    uri.scheme_str().unwrap_or_default()
}

/// True for names and addresses of this machine.
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the address of the proxy for `destination` with these variables, or `direct`.
    fn proxy(variables: &[(&str, &str)], destination: &str) -> String {
        let find = |name: &str| {
            let mut all = variables.iter();
            let found = all.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let destination: Uri = destination.parse().expect("a destination");
        let proxy = Proxies::new(find).for_destination(&destination);
        let proxy = proxy.expect("a proxy, or none");
        proxy.map_or_else(|| "direct".to_owned(), |proxy| proxy.to_string())
    }

    #[test]
    fn outbound_proxy_variables_are_followed_in_capital_and_small_letters() {
        let (http, https) = ("http://h.example/v1", "https://h.example/v1");
        for (variables, of_http, of_https) in [
            (&[][..], "direct", "direct"),
            (
                &[("HTTP_PROXY", "http://p:3128")],
                "http://p:3128",
                "direct",
            ),
            (&[("https_proxy", "p:3128")], "direct", "http://p:3128"),
            (
                &[("ALL_PROXY", "socks5h://p:1080")],
                "socks5h://p:1080",
                "socks5h://p:1080",
            ),
            (
                &[("all_proxy", "http://a:1"), ("HTTPS_PROXY", "https://b:2/")],
                "http://a:1",
                "https://b:2",
            ),
            (
                &[("HTTP_PROXY", " "), ("http_proxy", "http://p:1")],
                "http://p:1",
                "direct",
            ),
        ] {
            assert_eq!(proxy(variables, http), of_http, "{variables:?}");
            assert_eq!(proxy(variables, https), of_https, "{variables:?}");
        }
    }

    /// Test case: a value of `NO_PROXY`, hosts that match it, and hosts that do not.
    type Exceptions = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    const EXCEPTIONS: [Exceptions; 8] = [
        (
            "inside.example, .other.example",
            &[
                "inside.example",
                "a.inside.example",
                "INSIDE.example",
                "b.other.example",
            ],
            &["notinside.example", "example"],
        ),
        (
            "*.inside.example",
            &["a.inside.example"],
            &["outside.example"],
        ),
        (
            "10.0.0.0/8 fd00::/8",
            &["10.1.2.3", "[fd12::1]"],
            &["11.0.0.1", "[fe80::1]"],
        ),
        (
            "192.168.0.7,[fe80::1]",
            &["192.168.0.7", "[fe80::1]"],
            &["192.168.0.8"],
        ),
        ("*", &["any.example", "10.1.2.3", "[fe80::1]"], &[]),
        (
            "a.example:8080,[fe80::1]:81",
            &["a.example:8080", "[fe80::1]:81"],
            &["a.example", "[fe80::1]"],
        ),
        ("a.example:443", &[], &["a.example"]),
        (
            "",
            &[
                "localhost",
                "x.localhost:9",
                "127.0.0.1:8080",
                "127.9.9.9",
                "[::1]",
                "[::ffff:127.0.0.1]",
            ],
            &["localhost.example"],
        ),
    ];

    #[test]
    fn outbound_proxy_exceptions_stay_direct() {
        for (no_proxy, direct, others) in EXCEPTIONS {
            let variables = [("ALL_PROXY", "http://p:3128"), ("no_proxy", no_proxy)];
            let of = |host: &str| proxy(&variables, &format!("http://{host}/v1"));
            for host in direct {
                assert_eq!(of(host), "direct", "{no_proxy}: {host}");
            }
            for host in others {
                assert_eq!(of(host), "http://p:3128", "{no_proxy}: {host}");
            }
        }
        let variables = [
            ("ALL_PROXY", "http://p:3128"),
            ("NO_PROXY", "a.example:443"),
        ];
        assert_eq!(proxy(&variables, "https://a.example/v1"), "direct");
    }

    #[test]
    fn outbound_proxy_that_is_none_is_named_without_its_value() {
        for value in [
            "ftp://p:21",
            "http://",
            "socks4://p:1",
            "http://me:pa ss@p:1",
            "://",
        ] {
            let error = Proxy::parse("HTTPS_PROXY", value).err().expect(value);
            let text = error.to_string();
            assert!(text.starts_with("HTTPS_PROXY is not the address"), "{text}");
            assert!(!text.contains("pa ss"), "{text}");
            let named = Proxies::new(|name| (name == "https_proxy").then(|| value.to_owned()));
            let found = |url| named.for_destination(&Uri::from_static(url));
            let error = found("https://h.example").err().expect(value).to_string();
            assert!(error.starts_with("https_proxy is not"), "{error}");
            // Who does not need it is not disturbed by it.
            assert!(found("https://127.0.0.1").is_ok_and(|proxy| proxy.is_none()));
            assert!(found("http://h.example").is_ok_and(|proxy| proxy.is_none()));
        }
    }

    #[test]
    fn outbound_proxy_credentials_are_told_to_the_proxy_alone() {
        let proxy =
            Proxy::parse("proxy", "http://us%40er:pa%3Ass@p.example:3128/").expect("a proxy");
        assert_eq!(proxy.to_string(), "http://p.example:3128");
        let authorization = proxy.authorization().expect("an authorization");
        assert_eq!(authorization, "Basic dXNAZXI6cGE6c3M=");
        assert!(authorization.is_sensitive());
        let plain = Uri::from_static("http://h.example");
        assert!(proxy.forwards(&plain));
        assert!(!proxy.forwards(&Uri::from_static("https://h.example")));
        let socks = Proxy::parse("proxy", "socks5://me:pw@p:1080").expect("a proxy");
        assert_eq!(socks.user_and_password(), Some(("me", "pw")));
        assert!(!socks.forwards(&plain) && socks.needs_address());
    }
}
