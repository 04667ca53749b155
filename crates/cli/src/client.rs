//! Sends requests: headers, retries, and what `--debug` shows of them.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use egress::{Dialer, Proxies, Proxy};
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    USER_AGENT,
};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;

use crate::debug;
use crate::request::Request;
use crate::retry::Retries;
use crate::tls;

/// The longest time in which a connection is established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time from the request to the end of the response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(600);

/// The server that requests are sent to, and the identity that they carry.
pub struct ClientOptions {
    /// The address that every path is appended to, without a slash at its end.
    pub base_url: String,
    /// The key, sent as bearer token.
    pub key: Option<String>,
    /// The organization that the key must belong to.
    pub organization: Option<String>,
    /// The project that the key must belong to.
    pub project: Option<String>,
    /// The `User-Agent` of requests.
    pub user_agent: String,
    /// True if the heads of requests and responses are shown.
    pub debug: bool,
    /// The files of the client certificate and of its private key.
    pub identity: Option<(String, String)>,
}

/// A blocking HTTP client.
pub struct Client {
    runtime: Runtime,
    http: legacy::Client<HttpsConnector<Dialer>, Full<Bytes>>,
    headers: HeaderMap,
    base_url: String,
    /// The proxy that the environment names for the server.
    proxy: Option<Proxy>,
    debug: bool,
}

/// A response, with the request that it belongs to.
pub struct Reply {
    /// The method and the whole address of the request.
    pub requested: (Method, String),
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// Creates a client with these options.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let proxy = proxy(&options.base_url)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let is_secure = options.base_url.starts_with("https://");
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(is_secure, options.identity.as_ref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Dialer::new(tcp, proxy.as_ref())?);
        Ok(Self {
            runtime,
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            headers: headers(&options, proxy.as_ref())?,
            base_url: options.base_url,
            proxy,
            debug: options.debug,
        })
    }

    /// Sends `request`, again after a response that may be temporary, and returns the last response. A request without a
    /// response is not repeated: the server may have executed it.
    pub fn send(&self, request: &Request) -> Result<Reply> {
        let mut retries = Retries::default();
        loop {
            let reply = self
                .runtime
                .block_on(self.attempt(request, retries.count()))?;
            let Some(wait) = retries.after(reply.status, &reply.headers) else {
                return Ok(reply);
            };
            std::thread::sleep(wait);
        }
    }

    async fn attempt(&self, request: &Request, retry: u32) -> Result<Reply> {
        let url = format!("{}{}", self.base_url, request.address());
        let body = request.body.as_ref().map(ToString::to_string);
        let mut outgoing = http::Request::builder()
            .method(request.method.clone())
            .uri(&url)
            .body(Full::from(body.clone().unwrap_or_default()))
            .with_context(|| format!("'{url}' is not an address"))?;
        *outgoing.headers_mut() = self.headers.clone();
        let retry = HeaderValue::from(retry);
        outgoing
            .headers_mut()
            .insert("x-stainless-retry-count", retry);
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            outgoing.headers_mut().insert(CONTENT_TYPE, json);
        }
        if self.debug {
            debug::request(&outgoing);
        }
        let answer = async {
            let response = self.http.request(outgoing).await?;
            if self.debug {
                debug::response(&response);
            }
            let (parts, body) = response.into_parts();
            anyhow::Ok((parts, body.collect().await?.to_bytes()))
        };
        let failed = || format!("{} \"{url}\"", request.method);
        let Ok(answer) = tokio::time::timeout(RESPONSE_TIMEOUT, answer).await else {
            bail!("{}: there was no answer for {RESPONSE_TIMEOUT:?}", failed());
        };
        let (parts, body) = answer.map_err(|error| {
            let hint = if is_connect(&error) {
                self.connection_hint()
            } else {
                String::new()
            };
            anyhow!("{}: {error:#}{hint}", failed())
        })?;
        Ok(Reply {
            requested: (request.method.clone(), url),
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

impl Client {
    /// Returns the hint that follows a failed connection.
    fn connection_hint(&self) -> String {
        let base_url = "--base-url or OPENAI_BASE_URL says where to look";
        match &self.proxy {
            None => format!("\nHint: is a server running there? {base_url}"),
            Some(proxy) => format!(
                "\nHint: does the proxy {proxy} lead there? The environment names it; NO_PROXY names hosts that are reached \
                 without it, and {base_url}"
            ),
        }
    }
}

/// Returns the proxy that the environment names for the server.
fn proxy(base_url: &str) -> Result<Option<Proxy>> {
    let base = base_url
        .parse()
        .with_context(|| format!("'{base_url}' is not an address"))?;
    Ok(Proxies::of_environment().for_destination(&base)?)
}

/// Returns true if no connection was established, so that nothing was sent.
fn is_connect(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<legacy::Error>()
        .is_some_and(legacy::Error::is_connect)
}

fn headers(options: &ClientOptions, proxy: Option<&Proxy>) -> Result<HeaderMap> {
    let bearer = options.key.as_ref().map(|key| format!("Bearer {key}"));
    let all = [
        (
            ACCEPT,
            Some("application/json".to_owned()),
            "the answer's type",
        ),
        (
            USER_AGENT,
            Some(options.user_agent.clone()),
            "the program's name",
        ),
        (AUTHORIZATION, bearer, "the key"),
        (
            HeaderName::from_static("openai-organization"),
            options.organization.clone(),
            "--organization",
        ),
        (
            HeaderName::from_static("openai-project"),
            options.project.clone(),
            "--project",
        ),
    ];
    let mut headers = HeaderMap::new();
    for (name, value, what) in all {
        let Some(value) = value else { continue };
        let mut value = HeaderValue::from_str(&value)
            .with_context(|| format!("{what} has characters that no header can carry"))?;
        value.set_sensitive(name == AUTHORIZATION);
        headers.insert(name, value);
    }
    let base: Uri = options.base_url.parse()?;
    let of_proxy = proxy.filter(|proxy| proxy.forwards(&base));
    if let Some(authorization) = of_proxy.and_then(Proxy::authorization) {
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(headers)
}
