//! HTTP requests to providers: bounded in time and size, without redirects, through a proxy where the environment names one.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egress::{Dialer, Proxies};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::{OpenIdError, Reason, Result};

/// Maximum time from the start of a connection to the end of the response.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum length of a response.
const MAX_RESPONSE_BYTES: usize = 512 * 1024;

/// HTTP client for providers. Every request has its own connection: there are two or three in a sign-in.
pub struct HttpClient {
    tls: ClientConfig,
    proxies: Proxies,
}

/// Error: the certificates that providers are trusted by cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("TLS to identity providers: {0}")]
pub struct TrustError(String);

/// Response of a provider.
pub(crate) struct ProviderResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl HttpClient {
    /// Creates a client that trusts the authorities in `pem` alone, or those of the system. May read files, and blocks.
    ///
    /// # Errors
    /// The authorities cannot be loaded.
    pub fn new(pem: Option<&[u8]>, proxies: Proxies) -> std::result::Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError(error.to_string()))?;
        let builder = match pem {
            Some(pem) => builder.with_root_certificates(parse_roots(pem)?),
            None => builder
                .with_native_roots()
                .map_err(|error| TrustError(error.to_string()))?,
        };
        Ok(Self {
            tls: builder.with_no_client_auth(),
            proxies,
        })
    }

    /// Sends a `GET`, with this bearer token if there is one.
    pub(crate) async fn get(&self, address: &Uri, token: Option<&str>) -> Result<ProviderResponse> {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let request = request(Method::GET, address, authorization, Bytes::new())?;
        self.send(request).await
    }

    /// Sends a form, with this `Authorization` if there is one.
    pub(crate) async fn post_form(
        &self,
        address: &Uri,
        authorization: Option<String>,
        form: String,
    ) -> Result<ProviderResponse> {
        let mut request = request(Method::POST, address, authorization, form.into())?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        self.send(request).await
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<ProviderResponse> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let unavailable = |error: &dyn std::fmt::Display| {
            OpenIdError::new(Reason::ProviderUnavailable, format!("{host}: {error}"))
        };
        let proxy = self.proxies.for_destination(request.uri());
        let proxy = proxy.map_err(|error| unavailable(&error))?;
        if let Some(proxy) = &proxy
            && proxy.forwards(request.uri())
            && let Some(authorization) = proxy.authorization()
        {
            let headers = request.headers_mut();
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let dialer = Dialer::new(tcp, proxy.as_ref()).map_err(|error| unavailable(&error))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(dialer);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        let answer = async {
            let response = client.request(request).await.map_err(|error| {
                let cause = error.source().map(|cause| format!(": {cause}"));
                unavailable(&format!("{error}{}", cause.unwrap_or_default()))
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES);
            let body = body.collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    OpenIdError::new(
                        Reason::Malformed,
                        format!("{host}: the response is too long"),
                    )
                } else {
                    unavailable(&error)
                }
            })?;
            Ok(ProviderResponse {
                status,
                body: body.to_bytes(),
            })
        };
        let answer = tokio::time::timeout(RESPONSE_TIMEOUT, answer).await;
        answer.map_err(|_| OpenIdError::new(Reason::ProviderTimeout, &host))?
    }
}

impl ProviderResponse {
    /// Returns the body of a response with status 200.
    ///
    /// # Errors
    /// The provider failed or refused the request.
    pub(crate) fn ok(self, what: &str) -> Result<Bytes> {
        let detail = format!("{what}: status {}", self.status.as_u16());
        if self.status == StatusCode::OK {
            Ok(self.body)
        } else if self.is_temporary() {
            Err(OpenIdError::new(Reason::ProviderUnavailable, detail))
        } else {
            Err(OpenIdError::new(Reason::ProviderRefused, detail))
        }
    }

    /// True if a later request may succeed.
    pub(crate) fn is_temporary(&self) -> bool {
        self.status.is_server_error()
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
    }
}

fn request(
    method: Method,
    address: &Uri,
    authorization: Option<String>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = address.clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let agent = concat!("orgplane/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(&authorization)
            .map_err(|_| OpenIdError::new(Reason::Malformed, "a token that no header can carry"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn parse_roots(pem: &[u8]) -> std::result::Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(base::without_mark(pem)) {
        let certificate = certificate.map_err(|error| TrustError(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| TrustError(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TrustError("ca_file holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
}
