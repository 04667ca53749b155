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
    https: ArcSwap<HttpsConnector<Dialer>>,
    base_url: Uri,
    timeout: Duration,
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
            https: ArcSwap::from_pointee(with_tls(dialer.clone(), tls)),
            dialer,
            base_url,
            timeout,
        })
    }

    /// Sets the TLS configuration of new connections. Existing connections stay as they are.
    pub(crate) fn set_tls(&self, tls: ClientConfig) {
        let connector = with_tls(self.dialer.clone(), tls);
        self.https.store(connector.into());
    }

    pub(crate) async fn connect(&self) -> Result<Stream, ConnectError> {
        let mut https = HttpsConnector::clone(&self.https.load());
        let connecting = https.call(self.base_url.clone());
        let stream = tokio::time::timeout(self.timeout, connecting).await;
        stream.map_err(|_| "the connection was not made in time")?
    }
}

fn with_tls(dialer: Dialer, tls: ClientConfig) -> HttpsConnector<Dialer> {
    let https = HttpsConnectorBuilder::new().with_tls_config(tls);
    let https = https.https_or_http().enable_all_versions();
    https.wrap_connector(dialer)
}

/// True if TLS has negotiated HTTP/2.
pub(crate) fn has_negotiated_http2(stream: &Stream) -> bool {
    stream.connected().is_negotiated_h2()
}
