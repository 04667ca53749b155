//! Making a connection to an upstream, TLS included, within a time.

use std::error::Error;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

/// How long a connection is silent before the kernel asks whether the other side is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A connection that is made.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Why none was made.
pub(super) type Refusal = Box<dyn Error + Send + Sync>;

/// Makes connections to one upstream.
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    base: Uri,
    timeout: Duration,
}

impl Connector {
    /// For the upstream whose addresses begin with `base`.
    pub(super) fn new(base: Uri, timeout: Duration, tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls);
        let https = https.https_or_http().enable_all_versions();
        Self {
            inner: https.wrap_connector(tcp),
            base,
            timeout,
        }
    }

    pub(super) async fn connect(&self) -> Result<Stream, Refusal> {
        let connecting = self.inner.clone().call(self.base.clone());
        let stream = tokio::time::timeout(self.timeout, connecting).await;
        stream.map_err(|_| "the connection was not made in time")?
    }
}

/// Whether both sides have agreed on HTTP/2.
pub(super) fn has_agreed_on_http2(stream: &Stream) -> bool {
    stream.connected().is_negotiated_h2()
}
