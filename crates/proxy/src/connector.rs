//! New connections to an upstream: TCP, proxies and TLS, within a timeout.

use std::error::Error;
use std::time::Duration;

use arc_swap::ArcSwap;
use egress::{Dialer, Proxy, Transport};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use rustls::ClientConfig;
use tower_service::Service;

/// Silence after which the kernel begins to send TCP keep-alive probes.
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);

/// Byte stream to an upstream, with TLS or without.
pub(crate) type Stream = MaybeHttpsStream<Transport>;

/// Reason why no connection was made.
pub(crate) type ConnectError = Box<dyn Error + Send + Sync>;

/// Connector to one upstream.
pub(crate) struct Connector {
    dialer: Dialer,
    https: ArcSwap<HttpsConnectors>,
    base_url: Uri,
    timeout: Duration,
}

/// Connectors with the same trust.
struct HttpsConnectors {
    /// For requests: TLS negotiates HTTP/2 or HTTP/1.1.
    any_version: HttpsConnector<Dialer>,
    /// For connections that leave HTTP, which only HTTP/1.1 can.
    http1: HttpsConnector<Dialer>,
}

impl Connector {
    /// Returns a connector to the host of `base_url`.
    ///
    /// # Errors
    /// TLS is spoken to the proxy, and the system's certificates cannot be read.
    pub(crate) fn new(
        base_url: Uri,
        timeout: Duration,
        tls: ClientConfig,
        proxy: Option<&Proxy>,
    ) -> Result<Self, egress::TlsError> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE_INTERVAL));
        let dialer = Dialer::new(tcp, proxy)?;
        Ok(Self {
            https: ArcSwap::from_pointee(HttpsConnectors::new(&dialer, tls)),
            dialer,
            base_url,
            timeout,
        })
    }

    /// Sets the TLS configuration of new connections. Existing connections stay as they are.
    pub(crate) fn set_tls(&self, tls: ClientConfig) {
        let connectors = HttpsConnectors::new(&self.dialer, tls);
        self.https.store(connectors.into());
    }

    /// Makes a connection for requests.
    pub(crate) async fn connect(&self) -> Result<Stream, ConnectError> {
        let https = self.https.load().any_version.clone();
        self.connect_with(https).await
    }

    /// Makes a connection that speaks HTTP/1.1.
    pub(crate) async fn connect_http1(&self) -> Result<Stream, ConnectError> {
        let https = self.https.load().http1.clone();
        self.connect_with(https).await
    }

    async fn connect_with(
        &self,
        mut https: HttpsConnector<Dialer>,
    ) -> Result<Stream, ConnectError> {
        let connecting = https.call(self.base_url.clone());
        let stream = tokio::time::timeout(self.timeout, connecting).await;
        stream.map_err(|_| "the connection was not made in time")?
    }
}

impl HttpsConnectors {
    fn new(dialer: &Dialer, tls: ClientConfig) -> Self {
        let builder = |tls| {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
        };
        let any_version = builder(tls.clone()).enable_all_versions();
        let http1 = builder(tls).enable_http1();
        Self {
            any_version: any_version.wrap_connector(dialer.clone()),
            http1: http1.wrap_connector(dialer.clone()),
        }
    }
}

/// True if TLS has negotiated HTTP/2.
pub(crate) fn has_negotiated_http2(stream: &Stream) -> bool {
    stream.connected().is_negotiated_h2()
}
