//! HTTP/2 connections, each of which carries all requests to its upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::time::Stopwatch;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::Stream;
use crate::request_body::HttpBody;

/// Silence after which a PING frame is sent.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Maximum time to the answer of a PING frame; the connection is closed after it.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP/2 connection that a task of its own drives. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Http2Connection {
    sender: SendRequest<HttpBody>,
    is_reused: Arc<AtomicBool>,
    /// Start of the last request, as far as this clone knows.
    pub(crate) used: Stopwatch,
}

impl Http2Connection {
    pub(crate) async fn handshake(stream: Stream) -> hyper::Result<Self> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let (sender, driver) = builder.handshake(stream).await?;
        tokio::spawn(async {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "HTTP/2 connection to upstream failed");
            }
        });
        Ok(Self {
            sender,
            is_reused: Arc::default(),
            used: Stopwatch::start(),
        })
    }

    /// Sends a request and waits for the head of its response.
    pub(crate) async fn send_request(
        &mut self,
        request: Request<HttpBody>,
    ) -> hyper::Result<Response<Incoming>> {
        let response = self.sender.send_request(request).await?;
        self.is_reused.store(true, Ordering::Relaxed);
        Ok(response)
    }

    /// True unless the connection is known to have ended.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// True if the connection has carried a response before.
    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused.load(Ordering::Relaxed)
    }
}
