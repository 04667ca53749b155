//! One model server: its settings, checked, the requests that are sent to it, and what is learned of its health.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;

use super::client::{Client, Form, SendError};
use super::config::{CaCertificates, StreamUsage, UpstreamConfig};
use super::credentials::{Credential, Credentials};
use super::exhaustion::Exhaustion;
use super::health::{Health, Trouble};
use super::key::FileStamp;
use super::line::AnswerBody;
use super::redirect;
use super::trust::{Trust, of_certificates};
use super::usage_refusal::UsageRefusal;
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
    pub(super) credentials: Credentials,
    /// The file with the certificates that its own is checked against, if that may change.
    ca_file: Option<(PathBuf, FileStamp)>,
    /// The value of `proxy-authorization`, for a proxy that forwards requests.
    proxy_authorization: Option<HeaderValue>,
    stream_usage: StreamUsage,
    /// The time since which it is known to refuse `stream_options`.
    pub(super) usage_refusal: UsageRefusal,
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
    /// True if the body can ask for the usage of a stream where the client has not.
    pub(crate) can_ask_for_usage: bool,
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
        // Before the file is read, so that no change after that goes unnoticed.
        let ca_file = match &config.ca_certificates {
            Some(CaCertificates::File(file)) => Some((file.clone(), FileStamp::of(file))),
            Some(CaCertificates::Pem(_)) | None => None,
        };
        Ok(Self {
            name: config.name.clone(),
            weight: config.weight,
            timeout: Duration::from_secs(config.timeout_seconds),
            idle_timeout: Duration::from_secs(idle_timeout),
            client: Client::new(config, url.clone(), trust.of(config, is_secure)?)?,
            health: Health::new(Duration::from_secs(config.health_interval_seconds)),
            paths: paths.ok_or_else(|| wrong("base_url is not a URL"))?,
            health_path,
            host: host(&url, &scheme).ok_or_else(|| wrong("base_url is not a URL"))?,
            credentials: Credentials::new(&config.name, config.api_key.as_ref())
                .ok_or_else(|| wrong("its key has characters that no header can carry"))?,
            ca_file,
            proxy_authorization: config
                .proxy
                .as_ref()
                .and_then(|it| it.authorization().cloned()),
            stream_usage: config.stream_usage,
            usage_refusal: UsageRefusal::default(),
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

    /// Asks with this key; comes back with the beginning of the answer.
    pub(super) async fn send(
        &self,
        ask: &Ask<'_>,
        key: &Credential,
    ) -> Result<Response<AnswerBody>, SendError> {
        let request = |form| self.request(ask, key, form);
        self.client.send(request).await
    }

    /// True if a stream that would report no usage else is to be asked for it.
    pub(super) fn is_asked_for_usage(&self) -> bool {
        self.stream_usage == StreamUsage::Ask && !self.usage_refusal.is_recent()
    }

    /// The file with the certificates that its own is checked against, if it is to be looked at.
    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_ref().map(|(file, _)| file.as_path())
    }

    /// The marks of that file from before it was read first.
    pub(super) fn ca_stamp(&self) -> Option<FileStamp> {
        self.ca_file.as_ref().map(|(_, stamp)| *stamp)
    }

    /// Reads the file with certificates anew. One that cannot be used leaves those before in use.
    pub(super) async fn reread_certificates(&self) {
        let Some((file, _)) = self.ca_file.clone() else {
            return;
        };
        let upstream = self.name.as_str();
        let read = move || of_certificates(&CaCertificates::File(file));
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(tls)) => {
                self.client.set_tls(tls);
                tracing::info!(upstream, "certificates read");
            }
            Ok(Err(error)) => {
                tracing::error!(
                    upstream,
                    error,
                    "certificates not read; those before stay in use"
                );
            }
            Err(_) => {}
        }
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
        Some(self.send(&ask, &self.credentials.current()).await)
    }

    /// Returns the path below the base URL that is asked for in the background.
    pub(super) fn health_path(&self) -> &str {
        let path = self.health_path.as_ref().map_or("", PathAndQuery::path);
        path.strip_prefix(self.path.as_str()).unwrap_or(path)
    }

    /// The reason why an answer to a request for `asked`, below the base URL, is a failure of the upstream, if it is.
    pub(super) fn trouble<B>(
        &self,
        answer: &Response<B>,
        asked: &str,
    ) -> Option<Cow<'static, str>> {
        let status = answer.status();
        if is_no_answer(status) {
            let reason = redirect::reason(status, answer.headers(), asked);
            return Some(Cow::Owned(reason));
        }
        let code = || Cow::Owned(status.as_str().to_owned());
        status.is_server_error().then(code)
    }

    /// A request to this upstream, with its key.
    fn request(&self, ask: &Ask<'_>, key: &Credential, form: Form) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = self.address(&ask.path, form);
        let headers = request.headers_mut();
        *headers = to_upstream(ask.headers);
        if form != Form::Whole {
            headers.insert(HOST, self.host.clone());
        }
        if let (Form::Forwarded, Some(authorization)) = (form, &self.proxy_authorization) {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        if let Some(authorization) = key.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    fn address(&self, path: &PathAndQuery, form: Form) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.clone());
        if form != Form::Path {
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

/// True for what is neither a success nor an error: redirects, switches of the protocol, and what HTTP does not know.
pub(super) fn is_no_answer(status: StatusCode) -> bool {
    !(status.is_success() || status.is_client_error() || status.is_server_error())
}

fn host(url: &Uri, scheme: &Scheme) -> Option<HeaderValue> {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = url.port_u16().filter(|port| *port != usual);
    let host = url.host()?;
    let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::try_from(host).ok()
}

#[cfg(test)]
mod tests;
