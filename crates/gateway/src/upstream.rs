//! One model server: its settings, checked, and the requests that are sent to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use zeroize::Zeroizing;

use crate::StartError;
use crate::dialect::DIALECTS;

/// How long an upstream that could not be reached is tried last, in milliseconds.
const COOL_DOWN: u64 = 3_000;

/// The key that the gateway shows to an upstream. It has no `Debug`; it is wiped when dropped.
#[derive(Clone)]
pub struct UpstreamKey(Zeroizing<String>);

impl UpstreamKey {
    /// The key with this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// How an upstream is reached and what it serves.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// What logs call it.
    pub name: String,
    /// What stands before `/chat/completions` and the other paths: `http://127.0.0.1:9000/v1`.
    pub base_url: String,
    /// The key it wants, if it wants one.
    pub api_key: Option<UpstreamKey>,
    /// The models it serves; `*` is every name that no upstream lists.
    pub models: Vec<String>,
    /// Further names that a client may ask for, and the upstream's own name for each.
    pub aliases: BTreeMap<String, String>,
    /// Whether it keeps the files, batches and vector stores that clients make. One upstream at the most does.
    pub stores: bool,
    /// The longest wait for the beginning of an answer, and for each further piece of it, in seconds.
    pub timeout_seconds: u64,
}

impl UpstreamConfig {
    /// The `timeout_seconds` of an upstream whose operator says nothing about it.
    pub const DEFAULT_TIMEOUT_SECONDS: u64 = 600;
}

/// A model server.
pub(crate) struct Upstream {
    pub(crate) name: String,
    /// The longest silence before it counts as gone.
    pub(crate) timeout: Duration,
    pub(crate) is_secure: bool,
    authority: Authority,
    scheme: Scheme,
    /// The path of the base URL, without a slash at its end.
    path: String,
    /// The address of every endpoint, by its path, ready made.
    addresses: Vec<(&'static str, Uri)>,
    authorization: Option<HeaderValue>,
    /// Until when it is tried last, in milliseconds since the gateway's start.
    cool_until: AtomicU64,
}

/// What is asked of a model server, whichever it will be.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// What follows the base URL, with a slash in front.
    pub(crate) path: Cow<'static, str>,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Upstream {
    pub(crate) fn new(config: &UpstreamConfig) -> Result<Self, StartError> {
        let wrong = |reason: &str| StartError::Upstream {
            name: config.name.clone(),
            reason: reason.to_owned(),
        };
        let not_http = || wrong("base_url must begin with http:// or https://");
        let url =
            Uri::try_from(config.base_url.as_str()).map_err(|_| wrong("base_url is not a URL"))?;
        let scheme = url.scheme().cloned().ok_or_else(not_http)?;
        let authority = url.authority().cloned().ok_or_else(not_http)?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(not_http());
        }
        if authority.as_str().contains('@') || url.query().is_some() {
            return Err(wrong("base_url must have neither a user nor a query"));
        }
        if config.timeout_seconds == 0 {
            return Err(wrong("timeout_seconds must be at least 1"));
        }
        if config.aliases.contains_key("*") {
            return Err(wrong("'*' is for models and cannot be an alias"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self {
            name: config.name.clone(),
            timeout: Duration::from_secs(config.timeout_seconds),
            is_secure: scheme == Scheme::HTTPS,
            addresses: DIALECTS
                .iter()
                .map(|dialect| {
                    let whole = format!("{path}{}", dialect.path);
                    Some((dialect.path, address(&scheme, &authority, whole)?))
                })
                .collect::<Option<_>>()
                .ok_or_else(|| wrong("base_url is not a URL"))?,
            authorization: authorization(config)
                .map_err(|()| wrong("its key has characters that no header can carry"))?,
            authority,
            scheme,
            path,
            cool_until: AtomicU64::new(0),
        })
    }

    /// A request to this upstream, with its own key. `None`: the client's query cannot be part of an address.
    pub(crate) fn request(
        &self,
        outgoing: &Outgoing,
        headers: HeaderMap,
        body: Bytes,
    ) -> Option<Request<Full<Bytes>>> {
        let mut addresses = self.addresses.iter();
        let ready = addresses.find(|(path, _)| *path == outgoing.path);
        let whole = |rest| {
            address(
                &self.scheme,
                &self.authority,
                format!("{}{rest}", self.path),
            )
        };
        let uri = match (&outgoing.query, ready) {
            (None, Some((_, ready))) => ready.clone(),
            (None, None) => whole(outgoing.path.to_string())?,
            (Some(query), _) => whole(format!("{}?{query}", outgoing.path))?,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if let Some(authorization) = &self.authorization {
            let key = authorization.clone();
            request.headers_mut().insert(AUTHORIZATION, key);
        }
        Some(request)
    }

    /// Takes note that it could not be reached at `now`, in milliseconds since the gateway's start.
    pub(crate) fn cool_down(&self, now: u64) {
        self.cool_until.store(now + COOL_DOWN, Ordering::Relaxed);
    }

    /// Whether it could not be reached shortly before `now`.
    pub(crate) fn is_cooling(&self, now: u64) -> bool {
        self.cool_until.load(Ordering::Relaxed) > now
    }
}

fn address(scheme: &Scheme, authority: &Authority, path_and_query: String) -> Option<Uri> {
    Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.clone())
        .path_and_query(path_and_query)
        .build()
        .ok()
}

fn authorization(config: &UpstreamConfig) -> Result<Option<HeaderValue>, ()> {
    let Some(key) = &config.api_key else {
        return Ok(None);
    };
    let text = Zeroizing::new(format!("Bearer {}", *key.0));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(base_url: &str, key: &str) -> Result<Upstream, String> {
        let config = UpstreamConfig {
            name: "local".into(),
            base_url: base_url.into(),
            api_key: Some(UpstreamKey::new(key.into())),
            models: vec!["m".into()],
            aliases: BTreeMap::new(),
            stores: false,
            timeout_seconds: UpstreamConfig::DEFAULT_TIMEOUT_SECONDS,
        };
        Upstream::new(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_the_base_url_and_the_path() {
        for (base, whole) in [
            ("http://h:9000/v1", "http://h:9000/v1/chat/completions"),
            ("http://h:9000/v1/", "http://h:9000/v1/chat/completions"),
            ("https://h", "https://h/chat/completions"),
        ] {
            let upstream = upstream(base, "k").expect("an upstream");
            for (query, after) in [(None, ""), (Some("a=1".into()), "?a=1")] {
                let outgoing = Outgoing {
                    method: Method::POST,
                    path: "/chat/completions".into(),
                    query,
                    headers: HeaderMap::new(),
                };
                let request = upstream.request(&outgoing, HeaderMap::new(), Bytes::new());
                let request = request.expect("a request");
                assert_eq!(request.uri().to_string(), format!("{whole}{after}"));
                assert_eq!(request.headers()[AUTHORIZATION], "Bearer k");
            }
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (base, key, reason) in [
            ("h:9000", "k", "must begin with http"),
            ("/v1", "k", "must begin with http"),
            ("ftp://h/v1", "k", "must begin with http"),
            ("http://me:pw@h/v1", "k", "neither a user nor a query"),
            ("http://h/v1?key=1", "k", "neither a user nor a query"),
            ("http://h h/", "k", "is not a URL"),
            ("http://h/v1", "a\nb", "no header can carry"),
        ] {
            let error = upstream(base, key).err().expect("an error");
            assert!(error.contains(reason), "{base}: {error}");
            assert!(!error.contains("a\nb"));
        }
    }
}
