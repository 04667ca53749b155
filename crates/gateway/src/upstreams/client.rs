//! Connections to one upstream: made within a time, kept while they are of use, over HTTP/1.1 or HTTP/2.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base::time::Stopwatch;
use bytes::Bytes;
use h2::Reason;
use http::{Extensions, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::config::UpstreamConfig;

/// How long a connection is kept that nobody uses.
const KEEP_IDLE: Duration = Duration::from_secs(60);
/// How many such connections are kept.
const MAX_IDLE: usize = 512;
/// How often a silent HTTP/2 connection is asked whether it lives, and how long it has to answer.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// How often a request is sent again because its connection was closed just then.
const MAX_STALE: usize = 2;
/// How soon that shows, in milliseconds. One that is closed later may be closed because of the request.
const MAX_STALE_AGE: u64 = 1_000;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Sends requests to one upstream.
pub(super) struct Client(legacy::Client<Connector, Full<Bytes>>);

impl Client {
    pub(super) fn new(config: &UpstreamConfig, tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_IDLE));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let connector = Connector {
            inner: https,
            timeout: Duration::from_secs(config.connect_timeout_seconds),
        };
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .http2_only(config.http2)
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1)
            .build(connector);
        Self(client)
    }

    /// Sends a request. An upstream may close a connection that it has answered on before, at the moment at which a request
    /// goes out on it; the request is sent again then, for it was not read.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        for _ in 0..MAX_STALE {
            let watch = Stopwatch::start();
            match self.send_once(request.clone()).await {
                Err(error) if is_stale(&error) && watch.milliseconds() < MAX_STALE_AGE => {}
                sent => return sent,
            }
        }
        self.send_once(request).await
    }

    async fn send_once(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let response = self.0.request(request).await?;
        if let Some(Used(is_used)) = response.extensions().get() {
            is_used.store(true, Ordering::Relaxed);
        }
        Ok(response)
    }
}

/// Whether a request failed because a connection that had been answered on before was closed.
fn is_stale(error: &legacy::Error) -> bool {
    let mut extras = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    let used = extras.get::<Used>();
    used.is_some_and(|Used(is_used)| is_used.load(Ordering::Relaxed)) && is_closing(error)
}

/// Whether the connection ended, or took no more requests; a stream of it can also end because of its own request.
fn is_closing(error: &legacy::Error) -> bool {
    let mut reason = error.source();
    while let Some(error) = reason {
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
        reason = error.source();
    }
    false
}

/// The innermost reason: those around it say only that a request failed.
pub(super) fn innermost(error: &legacy::Error) -> String {
    let mut reason: &dyn Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// Whether an answer came on a connection.
#[derive(Clone, Default)]
struct Used(Arc<AtomicBool>);

/// Makes connections, TLS included, within a time.
#[derive(Clone)]
struct Connector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

type Refusal = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Marked;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Marked, Refusal>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (timeout, connecting) = (self.timeout, self.inner.call(uri));
        Box::pin(async move {
            let stream = tokio::time::timeout(timeout, connecting).await;
            let stream = stream.map_err(|_| "the connection was not made in time")??;
            let used = Used::default();
            Ok(Marked { stream, used })
        })
    }
}

/// A connection that knows whether an answer came on it.
struct Marked {
    stream: Stream,
    used: Used,
}

impl Connection for Marked {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.used.clone());
        if self.stream.connected().is_negotiated_h2() {
            return connected.negotiated_h2();
        }
        connected
    }
}

impl Read for Marked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Marked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
