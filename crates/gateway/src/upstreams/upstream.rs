//! One model server: its settings, checked, the requests that are sent to it, and what is learned of its health.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy;
use zeroize::Zeroizing;

use super::client::{Client, innermost};
use super::config::UpstreamConfig;
use super::health::{Health, Trouble};
use super::trust::Trust;
use crate::StartError;
use crate::dialect::DIALECTS;

/// A model server.
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) weight: u32,
    /// The longest that an answer may take.
    pub(super) timeout: Duration,
    /// The longest silence inside an answer.
    pub(super) idle_timeout: Duration,
    pub(super) client: Client,
    pub(super) health: Health,
    authority: Authority,
    scheme: Scheme,
    /// The path of the base URL, without a slash at its end.
    path: String,
    /// The address of every endpoint, by its path, ready made.
    addresses: Vec<(&'static str, Uri)>,
    /// What is asked for to find out whether it is back, if anything.
    health_address: Option<Uri>,
    authorization: Option<HeaderValue>,
}

/// What is asked of a model server, whichever it will be.
pub(crate) struct Outgoing {
    /// What follows the base URL, with a slash in front.
    pub(crate) path: &'static str,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Upstream {
    pub(super) fn new(config: &UpstreamConfig, trust: &mut Trust) -> Result<Self, StartError> {
        config.check()?;
        let wrong = |reason: &str| config.wrong(reason);
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
        let is_secure = scheme == Scheme::HTTPS;
        if is_secure && config.http2 {
            return Err(wrong("http2 is for http:// only: TLS agrees on it"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let whole = |rest: &str| address(&scheme, &authority, format!("{path}{rest}"));
        let health_address = match config.health_path.as_str() {
            "" => None,
            rest => Some(whole(rest).ok_or_else(|| wrong("health_path is not a path"))?),
        };
        let paths = DIALECTS.iter().map(|dialect| dialect.path);
        let ready: Option<Vec<_>> = paths.map(|path| Some((path, whole(path)?))).collect();
        let idle_timeout = config
            .idle_timeout_seconds
            .unwrap_or(config.timeout_seconds);
        Ok(Self {
            name: config.name.clone(),
            weight: config.weight,
            timeout: Duration::from_secs(config.timeout_seconds),
            idle_timeout: Duration::from_secs(idle_timeout),
            client: Client::new(config, trust.of(config, is_secure)?),
            health: Health::new(Duration::from_secs(config.health_interval_seconds)),
            addresses: ready.ok_or_else(|| wrong("base_url is not a URL"))?,
            health_address,
            authorization: authorization(config)
                .map_err(|()| wrong("its key has characters that no header can carry"))?,
            authority,
            scheme,
            path,
        })
    }

    /// A request to this upstream, with its own key. `None`: the client's query cannot be part of an address.
    pub(super) fn request(
        &self,
        outgoing: &Outgoing,
        headers: HeaderMap,
        body: Bytes,
    ) -> Option<Request<Full<Bytes>>> {
        let uri = match &outgoing.query {
            None => {
                let mut addresses = self.addresses.iter();
                let (_, uri) = addresses.find(|(path, _)| *path == outgoing.path)?;
                uri.clone()
            }
            Some(query) => {
                let text = format!("{}{}?{query}", self.path, outgoing.path);
                address(&self.scheme, &self.authority, text)?
            }
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        self.sign(&mut request);
        Some(request)
    }

    /// Whether it is found out in the background that it is back.
    pub(super) fn is_probed(&self) -> bool {
        self.health_address.is_some()
    }

    /// Whether the request at hand shall find out if it is back: no other one does, nor is it done in the background.
    pub(super) fn begin_trial(&self) -> bool {
        !self.is_probed() && self.health.begin_trial()
    }

    /// The request that finds out whether it is back.
    pub(super) fn probe(&self) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.health_address.clone()?;
        self.sign(&mut request);
        Some(request)
    }

    /// Takes note of a sign of life.
    pub(super) fn answered(&self) {
        if self.health.answered() {
            tracing::info!(upstream = self.name, "is back");
        }
    }

    /// Takes note of a failure, for this reason. It is logged until the upstream is skipped for it.
    pub(super) fn failed(&self, trouble: Trouble, reason: &str) {
        let upstream = self.name.as_str();
        let was_down = self.health.is_down();
        if self.health.failed(trouble) {
            tracing::warn!(upstream, reason, "failed, and is skipped until it is back");
        } else if was_down {
            tracing::debug!(upstream, reason, "failed again");
        } else {
            tracing::warn!(upstream, reason, "failed");
        }
    }

    /// Takes note of a request that was not answered.
    pub(super) fn failed_to_send(&self, error: &legacy::Error) {
        let trouble = if error.is_connect() {
            Trouble::Unreachable
        } else {
            Trouble::Failed
        };
        self.failed(trouble, &innermost(error));
    }

    fn sign(&self, request: &mut Request<Full<Bytes>>) {
        if let Some(authorization) = &self.authorization {
            let key = authorization.clone();
            request.headers_mut().insert(AUTHORIZATION, key);
        }
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
    let text = Zeroizing::new(format!("Bearer {}", key.text()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UpstreamKey;

    fn upstream(base_url: &str, key: &str) -> Result<Upstream, String> {
        checked(&UpstreamConfig {
            api_key: Some(UpstreamKey::new(key.into())),
            ..UpstreamConfig::new("local", base_url)
        })
    }

    fn checked(config: &UpstreamConfig) -> Result<Upstream, String> {
        Upstream::new(config, &mut Trust::default()).map_err(|error| error.to_string())
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
                    path: "/chat/completions",
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

    #[test]
    fn settings_are_checked() {
        type Change = fn(&mut UpstreamConfig);
        let wrong: [(&str, &str, Change); 10] = [
            ("http", "timeout_seconds", |it| it.timeout_seconds = 0),
            ("http", "idle_timeout_seconds", |it| {
                it.idle_timeout_seconds = Some(0);
            }),
            ("http", "connect_timeout_seconds", |it| {
                it.connect_timeout_seconds = 0;
            }),
            ("http", "health_interval_seconds", |it| {
                it.health_interval_seconds = 0;
            }),
            ("http", "health_path", |it| it.health_path = "models".into()),
            ("http", "health_path", |it| it.health_path = "/a b".into()),
            ("http", "alias", |it| {
                it.aliases = [("*".into(), "m".into())].into();
            }),
            ("http", "ca_file", |it| {
                it.ca_certificates = Some(Vec::new());
            }),
            ("https", "ca_file", |it| {
                it.ca_certificates = Some(b"x".to_vec());
            }),
            ("https", "http2", |it| it.http2 = true),
        ];
        for (scheme, key, change) in wrong {
            let mut config = UpstreamConfig::new("local", format!("{scheme}://h/v1"));
            change(&mut config);
            let error = checked(&config).err().expect(key);
            assert!(error.starts_with("upstream 'local': "), "{error}");
            assert!(error.contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn a_probe_asks_below_the_base_url_with_the_key() {
        let upstream = upstream("http://h/v1/", "k").expect("an upstream");
        let probe = upstream.probe().expect("a request");
        assert_eq!(
            (probe.method(), probe.uri().to_string().as_str()),
            (&Method::GET, "http://h/v1/models")
        );
        assert_eq!(probe.headers()[AUTHORIZATION], "Bearer k");
    }
}
