//! HTTP client of one upstream: sends requests on pooled or new connections, over HTTP/1.1 or HTTP/2.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::time::Stopwatch;
use h2::Reason;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::sync::Mutex;

use crate::body::ResponseBody;
use crate::config::{UpstreamConfig, UpstreamConfigError};
use crate::connector::{ConnectError, Connector, has_negotiated_http2};
use crate::exhaustion::is_resource_exhaustion;
use crate::http1::Http1Connection;
use crate::http2::Http2Connection;
use crate::pool::Pool;
use crate::request_body::{HttpBody, RequestBroken};

/// Maximum number of times that a request is sent again because its reused connection was closed.
const MAX_STALE_RETRIES: usize = 2;
/// Maximum time after which a failure of a reused connection is taken for a close that crossed the request. A later close may
/// be the upstream's reaction to the request.
const STALE_TIMEOUT: Duration = Duration::from_secs(1);

/// HTTP client of one upstream.
pub(crate) struct Client {
    pub(crate) connector: Connector,
    pool: Arc<Pool>,
    /// True if HTTP/2 is spoken with prior knowledge.
    has_http2_prior_knowledge: bool,
    /// Form of the request target over HTTP/1.1.
    http1_target: RequestTarget,
    /// True if the last connection was an HTTP/2 connection.
    is_http2: AtomicBool,
    /// Lock of the task that makes the HTTP/2 connection.
    connecting: Mutex<()>,
}

/// Form of the target of a request (RFC 9112, section 3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestTarget {
    /// Path and query; the authority is in the `host` header. HTTP/1.1 to the upstream.
    Origin,
    /// Whole URL. HTTP/1.1 to a proxy that forwards requests.
    Absolute,
    /// Whole URL, sent as pseudo-header fields, without a `host` header. HTTP/2.
    Http2,
}

/// Reason why a request has no response.
pub(crate) enum SendError {
    /// No connection was made.
    Connect(ConnectError),
    /// The connection ended before the head of a response, or the upstream violated the protocol.
    Http {
        error: hyper::Error,
        /// True if the connection had carried a response before.
        is_reused: bool,
    },
}

/// Connection that can carry a request.
enum Connection {
    Http1(Http1Connection),
    Http2(Http2Connection),
}

impl Client {
    /// Returns a client of the upstream at `base_url`. Makes no connection yet.
    ///
    /// # Errors
    /// TLS is spoken to the proxy, and the system's certificates cannot be read.
    pub(crate) fn new(
        config: &UpstreamConfig,
        base_url: Uri,
        tls: ClientConfig,
    ) -> Result<Self, UpstreamConfigError> {
        let timeout = Duration::from_secs(config.connect_timeout_seconds);
        let proxy = config.proxy.as_ref();
        let http1_target = match proxy {
            Some(proxy) if proxy.forwards(&base_url) => RequestTarget::Absolute,
            _ => RequestTarget::Origin,
        };
        let connector = Connector::new(base_url, timeout, tls, proxy);
        Ok(Self {
            connector: connector.map_err(|error| UpstreamConfigError::Tls(error.to_string()))?,
            pool: Arc::default(),
            has_http2_prior_knowledge: config.http2,
            http1_target,
            is_http2: AtomicBool::new(config.http2),
            connecting: Mutex::default(),
        })
    }

    /// Sends the request that `build` returns, and waits for the head of its response.
    ///
    /// An upstream may close an idle connection at the moment at which a request goes out on it. Such a request was not read
    /// and is sent again.
    pub(crate) async fn send(
        &self,
        build: impl Fn(RequestTarget) -> Request<HttpBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        for _ in 0..MAX_STALE_RETRIES {
            let sent = Stopwatch::start();
            match self.send_once(&build).await {
                Err(error) if error.is_stale() && sent.elapsed() < STALE_TIMEOUT => {}
                result => return result,
            }
        }
        self.send_once(&build).await
    }

    /// Sends a request whose body cannot be sent again, and waits for the head of its response. An HTTP/1.1 connection is new,
    /// because the upstream may close a reused one as the request goes out.
    pub(crate) async fn send_stream(
        &self,
        build: impl Fn(RequestTarget) -> Request<HttpBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        let shared = match self.is_http2.load(Ordering::Relaxed) {
            true => self.pooled(),
            false => None,
        };
        let connection = match shared {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut connection = match connection {
            Connection::Http1(connection) => connection,
            Connection::Http2(connection) => {
                return send_http2(connection, build(RequestTarget::Http2)).await;
            }
        };
        match connection.send_request(build(self.http1_target)).await {
            Ok(response) => Ok(self.answered(connection, response)),
            Err(error) => Err(SendError::Http {
                error: error.into_error(),
                is_reused: false,
            }),
        }
    }

    async fn send_once(
        &self,
        build: impl Fn(RequestTarget) -> Request<HttpBody>,
    ) -> Result<Response<ResponseBody>, SendError> {
        loop {
            let connection = match self.pooled() {
                Some(connection) => connection,
                // Boxed because it is large and rare: every other request is smaller by it.
                None => Box::pin(self.connect()).await?,
            };
            let mut connection = match connection {
                Connection::Http1(connection) => connection,
                Connection::Http2(connection) => {
                    return send_http2(connection, build(RequestTarget::Http2)).await;
                }
            };
            let is_reused = connection.is_reused();
            match connection.send_request(build(self.http1_target)).await {
                Ok(response) => return Ok(self.answered(connection, response)),
                // The idle connection was closed, and the request was not sent: the next connection is tried.
                Err(error) if is_reused && error.message().is_some() => {}
                Err(error) => {
                    let error = error.into_error();
                    return Err(SendError::Http { error, is_reused });
                }
            }
        }
    }

    /// Returns a response with the HTTP/1.1 connection that its body comes on.
    fn answered(
        &self,
        connection: Http1Connection,
        response: Response<Incoming>,
    ) -> Response<ResponseBody> {
        let connection = Some((connection, Arc::clone(&self.pool)));
        response.map(|it| ResponseBody::new(it, connection))
    }

    /// Returns a connection of the pool.
    fn pooled(&self) -> Option<Connection> {
        if self.is_http2.load(Ordering::Relaxed) {
            self.pool.shared().map(Connection::Http2)
        } else {
            self.pool.take().map(Connection::Http1)
        }
    }

    /// Returns a new connection, or the shared HTTP/2 connection if another request has made it meanwhile.
    async fn connect(&self) -> Result<Connection, SendError> {
        if !self.is_http2.load(Ordering::Relaxed) {
            return self.connect_now().await;
        }
        let _connecting = self.connecting.lock().await;
        match self.pooled() {
            Some(connection) => Ok(connection),
            None => self.connect_now().await,
        }
    }

    async fn connect_now(&self) -> Result<Connection, SendError> {
        let stream = self.connector.connect().await;
        let stream = stream.map_err(SendError::Connect)?;
        let is_http2 = self.has_http2_prior_knowledge || has_negotiated_http2(&stream);
        self.is_http2.store(is_http2, Ordering::Relaxed);
        let connection = if is_http2 {
            let new = Http2Connection::handshake(stream).await;
            new.map(|new| Connection::Http2(self.pool.share(new)))
        } else {
            let new = Http1Connection::handshake(stream).await;
            new.map(Connection::Http1)
        };
        let is_reused = false;
        connection.map_err(|error| SendError::Http { error, is_reused })
    }
}

async fn send_http2(
    mut connection: Http2Connection,
    request: Request<HttpBody>,
) -> Result<Response<ResponseBody>, SendError> {
    match connection.send_request(request).await {
        Ok(response) => Ok(response.map(|it| ResponseBody::new(it, None))),
        Err(error) => {
            let is_reused = connection.is_reused();
            Err(SendError::Http { error, is_reused })
        }
    }
}

impl SendError {
    /// True if no connection was made.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }

    /// True if no connection was made because this machine is out of a resource, such as file descriptors.
    pub(crate) fn is_resource_exhaustion(&self) -> bool {
        matches!(self, Self::Connect(error) if is_resource_exhaustion(error.as_ref()))
    }

    /// True if the body of the request broke off.
    pub(crate) fn is_request_broken(&self) -> bool {
        let Self::Http { error, .. } = self else {
            return false;
        };
        let mut source: Option<&dyn Error> = Some(error);
        while let Some(error) = source {
            if error.is::<RequestBroken>() {
                return true;
            }
            source = error.source();
        }
        false
    }

    /// True if a reused connection was closed.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Http { error, is_reused: true } if is_close(error))
    }
}

/// Shows the innermost source: the errors around it say only that a request failed.
impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error: &dyn Error = match self {
            Self::Connect(error) => error.as_ref(),
            Self::Http { error, .. } => error,
        };
        while let Some(source) = error.source() {
            error = source;
        }
        fmt::Display::fmt(error, f)
    }
}

/// True if the connection ended or took no more requests. A reset of the request's own HTTP/2 stream is none of these.
fn is_close(error: &hyper::Error) -> bool {
    let mut source: Option<&dyn Error> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let is_unread = [Reason::REFUSED_STREAM, Reason::NO_ERROR].map(Some);
            return error.is_io() || is_unread.contains(&error.reason());
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if error.is::<std::io::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}
