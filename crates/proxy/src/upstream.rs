//! Upstream: its checked configuration, the requests that are sent to it, and the record of their outcomes.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::affinity::InFlight;
use crate::body::ResponseBody;
use crate::circuit_breaker::{CircuitBreaker, FailureKind};
use crate::client::{Client, RequestTarget, SendError};
use crate::config::{
    CaCertificates, StreamUsage, UpstreamBilling, UpstreamConfig, UpstreamConfigError,
};
use crate::credentials::{Credential, Credentials};
use crate::exhaustion::ExhaustionLog;
use crate::file_stamp::FileStamp;
use crate::format::ApiFormat;
use crate::headers;
use crate::redirect;
use crate::request_body::{HttpBody, RequestBody};
use crate::stream_options::StreamOptionsRejection;
use crate::trust::{SystemRoots, client_config};

/// Upstream that requests can be sent to.
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) format: ApiFormat,
    pub(crate) weight: u32,
    /// True if the upstream stores objects that belong to projects.
    pub(crate) stores: bool,
    /// True if the account at the upstream has zero data retention.
    pub(crate) has_zero_data_retention: bool,
    pub(crate) billing: UpstreamBilling,
    /// Maximum time from a request to the last byte of its response.
    pub(crate) timeout: Duration,
    /// Maximum silence inside a response.
    pub(crate) idle_timeout: Duration,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) in_flight: InFlight,
    pub(crate) credentials: Credentials,
    pub(crate) stream_options_rejection: StreamOptionsRejection,
    /// True if the upstream accepts WebSocket connections.
    pub(crate) has_websocket: bool,
    pub(crate) client: Client,
    address: Address,
    /// Path of health checks, the base URL's included; `None` if there are none.
    health_path: Option<PathAndQuery>,
    /// File with CA certificates, and its stamp from before it was read first.
    pub(crate) ca_file: Option<(PathBuf, FileStamp)>,
    /// Value of the `proxy-authorization` header, for a proxy that forwards requests.
    proxy_authorization: Option<HeaderValue>,
    stream_usage: StreamUsage,
    exhaustion_log: ExhaustionLog,
}

/// Base URL of an upstream, taken apart.
struct Address {
    scheme: Scheme,
    authority: Authority,
    /// Value of the `host` header: the authority without the scheme's default port.
    host: HeaderValue,
    /// Path without a slash at its end.
    path: String,
    /// Whole path of every endpoint, by its path below the base URL, so that requests need not build it.
    endpoints: Vec<(&'static str, PathAndQuery)>,
}

/// Request that can be forwarded to any upstream. The body is built for each attempt, see [`Upstreams::send`].
///
/// [`Upstreams::send`]: crate::Upstreams::send
pub struct ForwardRequest {
    /// Method.
    pub method: Method,
    /// Path below the base URL, with a slash in front.
    pub path: Cow<'static, str>,
    /// Query, without the question mark.
    pub query: Option<String>,
    /// Headers of the client's request, of which upstreams get an allow-list.
    pub headers: HeaderMap,
    /// True if the body can ask for the usage of a stream where the client has not.
    pub can_ask_for_usage: bool,
}

/// Request to one upstream, without the upstream's credentials.
pub(crate) struct AttemptRequest<'a> {
    method: Method,
    path: PathAndQuery,
    headers: &'a HeaderMap,
    body: RequestBody,
}

impl AttemptRequest<'_> {
    /// True if the request cannot be sent again.
    pub(crate) fn is_streamed(&self) -> bool {
        self.body.is_stream()
    }
}

impl Address {
    fn parse(
        config: &UpstreamConfig,
        base_url: &Uri,
        endpoint_paths: &[&'static str],
    ) -> Result<Self, UpstreamConfigError> {
        let not_http = || config.invalid("base_url must begin with http:// or https://");
        let not_url = || config.invalid("base_url is not a URL");
        let scheme = base_url.scheme().cloned().ok_or_else(not_http)?;
        let authority = base_url.authority().cloned().ok_or_else(not_http)?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(not_http());
        }
        if authority.as_str().contains('@') || base_url.query().is_some() {
            return Err(config.invalid("base_url must have neither a user nor a query"));
        }
        if scheme == Scheme::HTTPS && config.http2 {
            return Err(config.invalid("http2 is for http:// only: TLS agrees on it"));
        }
        let mut address = Self {
            host: host_header(base_url, &scheme).ok_or_else(not_url)?,
            path: base_url.path().trim_end_matches('/').to_owned(),
            scheme,
            authority,
            endpoints: Vec::new(),
        };
        let endpoint = |path: &&'static str| Some((*path, address.whole_path(path)?));
        let endpoints: Option<Vec<_>> = endpoint_paths.iter().map(endpoint).collect();
        address.endpoints = endpoints.ok_or_else(not_url)?;
        Ok(address)
    }

    /// Returns a path below the base URL with the base URL's path in front; `None` if that is no path.
    fn whole_path(&self, path: &str) -> Option<PathAndQuery> {
        PathAndQuery::try_from(format!("{}{path}", self.path)).ok()
    }

    /// Returns the whole path of a request; `None` if the client's query cannot be part of a URL.
    fn path_of(&self, request: &ForwardRequest) -> Option<PathAndQuery> {
        let mut endpoints = self.endpoints.iter();
        let endpoint = endpoints.find(|(path, _)| *path == request.path);
        match (&request.query, endpoint) {
            (None, Some((_, whole))) => Some(whole.clone()),
            (None, None) => self.whole_path(&request.path),
            (Some(query), _) => self.whole_path(&format!("{}?{query}", request.path)),
        }
    }

    fn uri(&self, path: &PathAndQuery, target: RequestTarget) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.clone());
        if target != RequestTarget::Origin {
            parts.scheme = Some(self.scheme.clone());
            parts.authority = Some(self.authority.clone());
        }
        Uri::from_parts(parts).expect("a path alone, or scheme, authority and path")
    }
}

impl Upstream {
    /// Checks the configuration. Makes no connection yet. May read files, and blocks.
    pub(crate) fn new(
        config: &UpstreamConfig,
        endpoint_paths: &[&'static str],
        system_roots: &mut SystemRoots,
    ) -> Result<Self, UpstreamConfigError> {
        config.validate()?;
        let base_url = Uri::try_from(config.base_url.as_str())
            .map_err(|_| config.invalid("base_url is not a URL"))?;
        let address = Address::parse(config, &base_url, endpoint_paths)?;
        let health_path = match config.health_path.as_str() {
            "" => None,
            path => {
                let whole = address.whole_path(path);
                Some(whole.ok_or_else(|| config.invalid("health_path is not a path"))?)
            }
        };
        let idle_timeout = config
            .idle_timeout_seconds
            .unwrap_or(config.timeout_seconds);
        // Taken before the file is read, so that a later change is noticed.
        let ca_file = match &config.ca_certificates {
            Some(CaCertificates::File(file)) => Some((file.clone(), FileStamp::of(file))),
            Some(CaCertificates::Pem(_)) | None => None,
        };
        let tls = system_roots.tls_for(config, address.scheme == Scheme::HTTPS)?;
        let proxy = config.proxy.as_ref();
        if config.websocket && proxy.is_some_and(|proxy| proxy.forwards(&base_url)) {
            let reason = "websocket with http:// is not spoken through an HTTP proxy: set proxy = \"\" or name the host in \
                          NO_PROXY";
            return Err(config.invalid(reason));
        }
        Ok(Self {
            name: config.name.clone(),
            format: config.format,
            weight: config.weight,
            stores: config.stores,
            has_zero_data_retention: config.zero_data_retention,
            billing: config.billing,
            timeout: Duration::from_secs(config.timeout_seconds),
            idle_timeout: Duration::from_secs(idle_timeout),
            in_flight: InFlight::default(),
            breaker: CircuitBreaker::new(Duration::from_secs(config.health_interval_seconds)),
            credentials: Credentials::new(
                &config.name,
                config.key_header(),
                config.api_key.as_ref(),
            )
            .ok_or_else(|| config.invalid("its key has characters that no header can carry"))?,
            stream_options_rejection: StreamOptionsRejection::default(),
            has_websocket: config.websocket,
            client: Client::new(config, base_url, tls)?,
            address,
            health_path,
            ca_file,
            proxy_authorization: proxy.and_then(|proxy| proxy.authorization().cloned()),
            stream_usage: config.stream_usage,
            exhaustion_log: ExhaustionLog::new(),
        })
    }

    /// Returns the request to this upstream; `None` if the client's query cannot be part of a URL.
    pub(crate) fn attempt_request<'a>(
        &self,
        request: &'a ForwardRequest,
        body: RequestBody,
    ) -> Option<AttemptRequest<'a>> {
        Some(AttemptRequest {
            method: request.method.clone(),
            path: self.address.path_of(request)?,
            headers: &request.headers,
            body,
        })
    }

    /// Sends a request with this key, and waits for the head of the response.
    pub(crate) async fn send(
        &self,
        request: &AttemptRequest<'_>,
        key: &Credential,
    ) -> Result<Response<ResponseBody>, SendError> {
        let in_flight = self.in_flight.enter();
        let build = |target| self.http_request(request, key, target);
        let mut response = match request.is_streamed() {
            true => Box::pin(self.client.send_stream(build)).await?,
            false => self.client.send(build).await?,
        };
        response.body_mut().hold(in_flight);
        Ok(response)
    }

    /// Sends a health check; `None` if none is configured.
    pub(crate) async fn send_health_check(
        &self,
    ) -> Option<Result<Response<ResponseBody>, SendError>> {
        let request = AttemptRequest {
            method: Method::GET,
            path: self.health_path.clone()?,
            headers: &HeaderMap::new(),
            body: Bytes::new().into(),
        };
        Some(self.send(&request, &self.credentials.current()).await)
    }

    /// True if health checks probe an open circuit. Otherwise a client's request does.
    pub(crate) fn has_health_checks(&self) -> bool {
        self.health_path.is_some()
    }

    /// Returns the path of health checks, below the base URL.
    pub(crate) fn health_path(&self) -> &str {
        let path = self.health_path.as_ref().map_or("", PathAndQuery::path);
        path.strip_prefix(self.address.path.as_str())
            .unwrap_or(path)
    }

    /// Claims the half-open probe for a client's request. Always false with health checks.
    pub(crate) fn try_half_open(&self) -> bool {
        !self.has_health_checks() && self.breaker.try_half_open()
    }

    /// True if a stream that would report no usage otherwise is to be asked for it.
    pub(crate) fn asks_for_stream_usage(&self) -> bool {
        self.stream_usage == StreamUsage::Ask && !self.stream_options_rejection.is_recent()
    }

    /// Loads the CA certificates again, if they come from a file. The previous ones stay in use if that fails.
    pub(crate) async fn reload_certificates(&self) {
        let Some((file, _)) = self.ca_file.clone() else {
            return;
        };
        let upstream = self.name.as_str();
        let load = move || client_config(&CaCertificates::File(file));
        match tokio::task::spawn_blocking(load).await {
            Ok(Ok(tls)) => {
                self.client.connector.set_tls(tls);
                tracing::info!(upstream, "CA certificates reloaded");
            }
            Ok(Err(error)) => {
                tracing::error!(
                    upstream,
                    error,
                    "failed to reload CA certificates; the previous certificates stay in use"
                );
            }
            Err(_) => {}
        }
    }

    /// Records the head of a response to a request for `path`, below the base URL: a sign of life, unless the status is an
    /// error of the server or no answer at all.
    pub(crate) fn record_response<B>(&self, response: &Response<B>, path: &str) {
        let status = response.status();
        if is_unexpected(status) {
            let reason = redirect::describe(status, response.headers(), path);
            self.record_failure(FailureKind::Response, &reason);
        } else if status.is_server_error() {
            self.record_failure(FailureKind::Response, status.as_str());
        } else {
            self.record_alive();
        }
    }

    /// Records a sign of life.
    pub(crate) fn record_alive(&self) {
        if self.breaker.record_response() {
            tracing::info!(upstream = self.name, "upstream healthy");
        }
    }

    /// Records a failure. Logged as a warning until the circuit is open.
    pub(crate) fn record_failure(&self, kind: FailureKind, reason: &str) {
        let upstream = self.name.as_str();
        let was_open = self.breaker.is_open();
        if self.breaker.record_failure(kind) {
            tracing::warn!(upstream, reason, "circuit opened");
        } else if was_open {
            tracing::debug!(upstream, reason, "upstream failed with an open circuit");
        } else {
            tracing::warn!(upstream, reason, "upstream failed");
        }
    }

    /// Records a request without a response. Resource exhaustion of this machine says nothing of a healthy upstream.
    pub(crate) fn record_send_error(&self, error: &SendError) {
        if error.is_resource_exhaustion() {
            self.exhaustion_log.log(&self.name, error);
            if !self.breaker.is_open() {
                return;
            }
        }
        let kind = match error.is_connect() {
            true => FailureKind::Connect,
            false => FailureKind::Response,
        };
        self.record_failure(kind, &error.to_string());
    }

    pub(crate) fn http_request(
        &self,
        request: &AttemptRequest<'_>,
        key: &Credential,
        target: RequestTarget,
    ) -> Request<HttpBody> {
        let mut http_request = Request::new(request.body.open());
        *http_request.method_mut() = request.method.clone();
        *http_request.uri_mut() = self.address.uri(&request.path, target);
        let headers = http_request.headers_mut();
        *headers = headers::forwarded(request.headers, self.format);
        if target != RequestTarget::Http2 {
            headers.insert(HOST, self.address.host.clone());
        }
        if let (RequestTarget::Absolute, Some(authorization)) = (target, &self.proxy_authorization)
        {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        if let Some(value) = &key.header_value {
            headers.insert(self.credentials.header.name(), value.clone());
        }
        http_request
    }
}

/// True for a status that is neither a success nor an error: redirects, protocol switches, and numbers beyond HTTP.
pub(crate) fn is_unexpected(status: StatusCode) -> bool {
    !(status.is_success() || status.is_client_error() || status.is_server_error())
}

fn host_header(url: &Uri, scheme: &Scheme) -> Option<HeaderValue> {
    let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = url.port_u16().filter(|port| *port != default_port);
    let host = url.host()?;
    let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::try_from(host).ok()
}

#[cfg(test)]
mod tests;
