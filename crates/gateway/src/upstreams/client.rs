//! Requests to one upstream: on a connection that is kept, or on a new one, over HTTP/1.1 or HTTP/2.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::time::Stopwatch;
use bytes::Bytes;
use h2::Reason;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::sync::Mutex;

use super::config::UpstreamConfig;
use super::connect::{Connector, Refusal, Stream, has_agreed_on_http2};
use super::exhaustion::is_exhausted;
use super::line::{AnswerBody, Line};
use super::pool::{Pool, Shared};
use crate::StartError;

/// How often a silent HTTP/2 connection is asked whether it lives, and how long it has to answer.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// How often a request is sent again because its connection was closed just then.
const MAX_STALE: usize = 2;
/// How soon that shows, in milliseconds. One that is closed later may be closed because of the request.
const MAX_STALE_AGE: u64 = 1_000;

/// Sends requests to one upstream.
pub(super) struct Client {
    connector: Connector,
    pool: Arc<Pool>,
    /// Whether it is spoken to in HTTP/2 without being asked.
    is_http2: bool,
    /// The form of the address in requests in HTTP/1.1.
    http1_form: Form,
    /// Whether all requests can share a connection, as far as is known.
    shares: AtomicBool,
    /// Held by the one who makes that connection.
    sharing: Mutex<()>,
}

/// How a request names its address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Only its path: HTTP/1.1, which has the rest in the header `host`.
    Path,
    /// All of it: HTTP/2.
    Whole,
    /// All of it, to a proxy that forwards it: HTTP/1.1.
    Forwarded,
}

/// Why there is no answer.
pub(super) enum SendError {
    /// No connection was made.
    Unreachable(Refusal),
    /// The connection broke off, or the upstream made no sense.
    Broken {
        error: hyper::Error,
        /// Whether an answer had come on the connection before.
        was_used: bool,
    },
}

/// What a request is sent on.
enum Way {
    Line(Line),
    Shared(Shared),
}

impl Client {
    /// For the upstream whose addresses begin with `base`.
    ///
    /// # Errors
    /// The proxy is spoken to in TLS, and the system's certificates cannot be read.
    pub(super) fn new(
        config: &UpstreamConfig,
        base: Uri,
        tls: ClientConfig,
    ) -> Result<Self, StartError> {
        let timeout = Duration::from_secs(config.connect_timeout_seconds);
        let proxy = config.proxy.as_ref();
        let is_forwarded = proxy.is_some_and(|proxy| proxy.forwards(&base));
        let connector = Connector::new(base, timeout, tls, proxy);
        Ok(Self {
            connector: connector.map_err(|error| StartError::Tls(error.to_string()))?,
            pool: Arc::default(),
            is_http2: config.http2,
            http1_form: if is_forwarded {
                Form::Forwarded
            } else {
                Form::Path
            },
            shares: AtomicBool::new(config.http2),
            sharing: Mutex::default(),
        })
    }

    /// Speaks TLS so on the connections that are made from now on.
    pub(super) fn set_tls(&self, tls: ClientConfig) {
        self.connector.set_tls(tls);
    }

    /// Sends a request, which `make` makes. An upstream may close a connection that it has answered on before, at the
    /// moment at which a request goes out on it; the request is sent again then, for it was not read.
    pub(super) async fn send(
        &self,
        make: impl Fn(Form) -> Request<Full<Bytes>>,
    ) -> Result<Response<AnswerBody>, SendError> {
        for _ in 0..MAX_STALE {
            let watch = Stopwatch::start();
            match self.send_once(&make).await {
                Err(error) if error.is_stale() && watch.milliseconds() < MAX_STALE_AGE => {}
                sent => return sent,
            }
        }
        self.send_once(&make).await
    }

    async fn send_once(
        &self,
        make: impl Fn(Form) -> Request<Full<Bytes>>,
    ) -> Result<Response<AnswerBody>, SendError> {
        loop {
            let way = match self.kept() {
                Some(way) => way,
                // Rare, and large: it has a place of its own, so that every request is smaller by it.
                None => Box::pin(self.new_way()).await?,
            };
            let mut line = match way {
                Way::Line(line) => line,
                Way::Shared(shared) => return send_shared(shared, make(Form::Whole)).await,
            };
            let was_used = line.is_used();
            match line.exchange(make(self.http1_form)).await {
                Ok(answer) => {
                    let on = |incoming| AnswerBody::on_line(incoming, line, Arc::clone(&self.pool));
                    return Ok(answer.map(on));
                }
                // It was closed since it was used last, and nothing went out on it.
                Err(error) if was_used && error.message().is_some() => {}
                Err(error) => {
                    let error = error.into_error();
                    return Err(SendError::Broken { error, was_used });
                }
            }
        }
    }

    /// A connection that is kept.
    fn kept(&self) -> Option<Way> {
        if self.shares.load(Ordering::Relaxed) {
            self.pool.shared().map(Way::Shared)
        } else {
            self.pool.take().map(Way::Line)
        }
    }

    /// A new connection; or the one that all requests share, if another one has made it meanwhile.
    async fn new_way(&self) -> Result<Way, SendError> {
        if !self.shares.load(Ordering::Relaxed) {
            return self.begin().await;
        }
        let _sharing = self.sharing.lock().await;
        match self.kept() {
            Some(way) => Ok(way),
            None => self.begin().await,
        }
    }

    /// A new connection.
    async fn begin(&self) -> Result<Way, SendError> {
        let stream = self.connector.connect().await;
        let stream = stream.map_err(SendError::Unreachable)?;
        let shares = self.is_http2 || has_agreed_on_http2(&stream);
        self.shares.store(shares, Ordering::Relaxed);
        let way = if shares {
            share(stream)
                .await
                .map(|new| Way::Shared(self.pool.share(new)))
        } else {
            Line::begin(stream).await.map(Way::Line)
        };
        let was_used = false;
        way.map_err(|error| SendError::Broken { error, was_used })
    }
}

/// Begins to speak HTTP/2.
async fn share(stream: Stream) -> hyper::Result<Shared> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    let (sender, connection) = builder.handshake(stream).await?;
    tokio::spawn(async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream's connection broke");
        }
    });
    Ok(Shared::new(sender))
}

async fn send_shared(
    mut shared: Shared,
    request: Request<Full<Bytes>>,
) -> Result<Response<AnswerBody>, SendError> {
    match shared.sender.send_request(request).await {
        Ok(answer) => {
            shared.answered();
            Ok(answer.map(AnswerBody::shared))
        }
        Err(error) => {
            let was_used = shared.is_used();
            Err(SendError::Broken { error, was_used })
        }
    }
}

impl SendError {
    /// Whether no connection was made.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// True if no connection was made because this machine has run out of something, such as descriptors.
    pub(super) fn is_exhausted(&self) -> bool {
        matches!(self, Self::Unreachable(refusal) if is_exhausted(refusal.as_ref()))
    }

    /// Whether a request failed because a connection that had been answered on before was closed.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Broken { error, was_used: true } if is_closing(error))
    }
}

/// The innermost reason: those around it say only that a request failed.
impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reason: &dyn Error = match self {
            Self::Unreachable(refusal) => refusal.as_ref(),
            Self::Broken { error, .. } => error,
        };
        while let Some(source) = reason.source() {
            reason = source;
        }
        fmt::Display::fmt(reason, f)
    }
}

/// Whether the connection ended, or took no more requests; a stream of it can also end because of its own request.
fn is_closing(error: &hyper::Error) -> bool {
    let mut reason: Option<&dyn Error> = Some(error);
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
