//! Making a connection to an upstream, TLS and proxies included, within a time.

use std::error::Error;
use std::time::Duration;

use arc_swap::ArcSwap;
use egress::{Dialer, Proxy, Transport};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use rustls::ClientConfig;
use tower_service::Service;

/// How long a connection is silent before the kernel asks whether the other side is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A connection that is made.
pub(super) type Stream = MaybeHttpsStream<Transport>;

/// Why none was made.
pub(super) type Refusal = Box<dyn Error + Send + Sync>;

/// Makes connections to one upstream.
pub(super) struct Connector {
    dialer: Dialer,
    inner: ArcSwap<HttpsConnector<Dialer>>,
    base: Uri,
    timeout: Duration,
}

impl Connector {
    /// For the upstream whose addresses begin with `base`.
    ///
    /// # Errors
    /// The proxy is spoken to in TLS, and the system's certificates cannot be read.
    pub(super) fn new(
        base: Uri,
        timeout: Duration,
        tls: ClientConfig,
        proxy: Option<&Proxy>,
    ) -> Result<Self, egress::TlsError> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        let dialer = Dialer::new(tcp, proxy)?;
        Ok(Self {
            inner: ArcSwap::from_pointee(secure(dialer.clone(), tls)),
            dialer,
            base,
            timeout,
        })
    }

    /// Speaks TLS so from now on. Connections that were made before stay as they are.
    pub(super) fn set_tls(&self, tls: ClientConfig) {
        let connector = secure(self.dialer.clone(), tls);
        self.inner.store(connector.into());
    }

    pub(super) async fn connect(&self) -> Result<Stream, Refusal> {
        let mut inner = HttpsConnector::clone(&self.inner.load());
        let connecting = inner.call(self.base.clone());
        let stream = tokio::time::timeout(self.timeout, connecting).await;
        stream.map_err(|_| "the connection was not made in time")?
    }
}

fn secure(dialer: Dialer, tls: ClientConfig) -> HttpsConnector<Dialer> {
    let https = HttpsConnectorBuilder::new().with_tls_config(tls);
    let https = https.https_or_http().enable_all_versions();
    https.wrap_connector(dialer)
}

/// Whether both sides have agreed on HTTP/2.
pub(super) fn has_agreed_on_http2(stream: &Stream) -> bool {
    stream.connected().is_negotiated_h2()
}
