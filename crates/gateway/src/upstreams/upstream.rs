//! One model server: its settings, checked, the requests that are sent to it, and what is learned of its health.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use zeroize::Zeroizing;

use super::client::{Client, Form, SendError};
use super::config::UpstreamConfig;
use super::exhaustion::Exhaustion;
use super::health::{Health, Trouble};
use super::line::AnswerBody;
use super::trust::Trust;
use crate::StartError;
use crate::dialect::DIALECTS;
use crate::headers::to_upstream;

/// A model server.
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) weight: u32,
    /// The longest that an answer may take.
    pub(super) timeout: Duration,
    /// The longest silence inside an answer.
    pub(super) idle_timeout: Duration,
    pub(super) health: Health,
    client: Client,
    authority: Authority,
    scheme: Scheme,
    /// Its authority as a header, without a port that goes without saying.
    host: HeaderValue,
    /// The path of the base URL, without a slash at its end.
    path: String,
    /// The path of every endpoint below the base URL's, ready made.
    paths: Vec<(&'static str, PathAndQuery)>,
    /// What is asked for to find out whether it is back, if anything.
    health_path: Option<PathAndQuery>,
    authorization: Option<HeaderValue>,
    exhaustion: Exhaustion,
}

/// What is asked of a model server, whichever it will be.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    /// What follows the base URL, with a slash in front.
    pub(crate) path: Cow<'static, str>,
    pub(crate) query: Option<String>,
    /// Of which the upstream learns some.
    pub(crate) headers: HeaderMap,
}

/// What is asked of this one.
pub(super) struct Ask<'a> {
    method: Method,
    path: PathAndQuery,
    headers: &'a HeaderMap,
    body: Bytes,
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
        let whole = |rest: &str| PathAndQuery::try_from(format!("{path}{rest}")).ok();
        let health_path = match config.health_path.as_str() {
            "" => None,
            rest => Some(whole(rest).ok_or_else(|| wrong("health_path is not a path"))?),
        };
        let paths = DIALECTS.iter().map(|dialect| dialect.path);
        let paths: Option<Vec<_>> = paths.map(|path| Some((path, whole(path)?))).collect();
        let idle_timeout = config
            .idle_timeout_seconds
            .unwrap_or(config.timeout_seconds);
        Ok(Self {
            name: config.name.clone(),
            weight: config.weight,
            timeout: Duration::from_secs(config.timeout_seconds),
            idle_timeout: Duration::from_secs(idle_timeout),
            client: Client::new(config, url.clone(), trust.of(config, is_secure)?),
            health: Health::new(Duration::from_secs(config.health_interval_seconds)),
            paths: paths.ok_or_else(|| wrong("base_url is not a URL"))?,
            health_path,
            host: host(&url, &scheme).ok_or_else(|| wrong("base_url is not a URL"))?,
            authorization: authorization(config)
                .map_err(|()| wrong("its key has characters that no header can carry"))?,
            authority,
            scheme,
            path,
            exhaustion: Exhaustion::start(),
        })
    }

    /// What `outgoing` is for this upstream. `None`: the client's query cannot be part of an address.
    pub(super) fn ask<'a>(&self, outgoing: &'a Outgoing, body: Bytes) -> Option<Ask<'a>> {
        let mut paths = self.paths.iter();
        let ready = paths.find(|(path, _)| *path == outgoing.path);
        let path = match (&outgoing.query, ready) {
            (None, Some((_, ready))) => ready.clone(),
            (query, _) => {
                let mut path = format!("{}{}", self.path, outgoing.path);
                if let Some(query) = query {
                    path.push('?');
                    path.push_str(query);
                }
                PathAndQuery::try_from(path).ok()?
            }
        };
        Some(Ask {
            method: outgoing.method.clone(),
            path,
            headers: &outgoing.headers,
            body,
        })
    }

    /// Asks; comes back with the beginning of the answer.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response<AnswerBody>, SendError> {
        self.client.send(|form| self.request(ask, form)).await
    }

    /// Whether it is found out in the background that it is back.
    pub(super) fn is_probed(&self) -> bool {
        self.health_path.is_some()
    }

    /// Whether the request at hand shall find out if it is back: no other one does, nor is it done in the background.
    pub(super) fn begin_trial(&self) -> bool {
        !self.is_probed() && self.health.begin_trial()
    }

    /// Asks what finds out whether it is back; nothing where nothing does.
    pub(super) async fn probe(&self) -> Option<Result<Response<AnswerBody>, SendError>> {
        let ask = Ask {
            method: Method::GET,
            path: self.health_path.clone()?,
            headers: &HeaderMap::new(),
            body: Bytes::new(),
        };
        Some(self.send(&ask).await)
    }

    /// A request to this upstream, with its own key.
    fn request(&self, ask: &Ask<'_>, form: Form) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = self.address(&ask.path, form);
        let headers = request.headers_mut();
        *headers = to_upstream(ask.headers);
        if form == Form::Path {
            headers.insert(HOST, self.host.clone());
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    fn address(&self, path: &PathAndQuery, form: Form) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.clone());
        if form == Form::Whole {
            parts.scheme = Some(self.scheme.clone());
            parts.authority = Some(self.authority.clone());
        }
        Uri::from_parts(parts).expect("a path alone, or all of an address")
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

    /// Takes note of a request that was not answered. What this machine has run out of says nothing of an upstream that is
    /// healthy.
    pub(super) fn failed_to_send(&self, error: &SendError) {
        if error.is_exhausted() {
            self.exhaustion.log(&self.name, error);
            if !self.health.is_down() {
                return;
            }
        }
        let trouble = if error.is_unreachable() {
            Trouble::Unreachable
        } else {
            Trouble::Failed
        };
        self.failed(trouble, &error.to_string());
    }
}

fn host(url: &Uri, scheme: &Scheme) -> Option<HeaderValue> {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = url.port_u16().filter(|port| *port != usual);
    let host = url.host()?;
    let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::try_from(host).ok()
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
            ("https://[::1]:80/a", "https://[::1]:80/a/chat/completions"),
        ] {
            let upstream = upstream(base, "k").expect("an upstream");
            for (query, after) in [(None, ""), (Some("a=1".into()), "?a=1")] {
                let outgoing = Outgoing {
                    method: Method::POST,
                    path: "/chat/completions".into(),
                    query,
                    headers: HeaderMap::new(),
                };
                let ask = upstream.ask(&outgoing, Bytes::new()).expect("a path");
                let request = upstream.request(&ask, Form::Whole);
                assert_eq!(request.uri().to_string(), format!("{whole}{after}"));
                assert_eq!(request.headers()[AUTHORIZATION], "Bearer k");
                assert!(!request.headers().contains_key(HOST));
                let request = upstream.request(&ask, Form::Path);
                let host = request.headers()[HOST].to_str().expect("a host");
                let scheme = base.split("//").next().expect("a scheme");
                let address = format!("{scheme}//{host}{}", request.uri());
                assert_eq!(address, format!("{whole}{after}"));
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
    fn a_port_that_goes_without_saying_is_not_said() {
        for (base, host) in [
            ("http://h:80", "h"),
            ("https://h:443/v1", "h"),
            ("http://h:443", "h:443"),
        ] {
            assert_eq!(upstream(base, "k").expect("an upstream").host, host);
        }
    }

    #[test]
    fn what_is_asked_to_find_out_is_below_the_base_url() {
        let upstream = upstream("http://h/v1/", "k").expect("an upstream");
        assert_eq!(upstream.health_path.expect("a path"), "/v1/models");
    }
}
